"""Plant one error at a time in a copy of the code, and see whether a test fails: `python scripts/mutants.py --jobs 2`.

The list is in `mutant_list.py`. The working tree is never changed: each job has its own copy in a temporary folder. A
mutant is `killed` where a test fails, `survived` where all pass, `equivalent` where it survives and the list says why
no test can see it, and `broken` where the tests could not run at all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Heavy libraries are imported once, here: every mutant is tried in a child of this process.
import numba
import pandas
import pytest
import scipy.stats
import sklearn.cluster
import torch

from scripts.mutant_list import MUTANTS, Mutant

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("benchmark", "models", "datasets", "tests", "scripts", "pyproject.toml")
SECONDS = 240
"""A test that takes longer than this with a mutant hangs: the mutant counts as killed."""


def copy_tree(to: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)


def mutated(text: str, mutant: Mutant) -> str:
    """Return the file's text with the error. Raises ValueError where the old text does not occur exactly once."""
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file}: {text.count(mutant.old)} times: {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


def tests_fail(tree: Path, tests: Sequence[str]) -> str:
    """Run tests in a child that has the heavy libraries already; return `killed`, `survived` or `broken`."""
    child = os.fork()
    if not child:
        _run_tests(tree, tests)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return {0: "survived", 1: "killed"}.get(os.waitstatus_to_exitcode(status), "broken")
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed"


def _run_tests(tree: Path, tests: Sequence[str]) -> None:
    """Never returns: the child ends with pytest's exit code, or 9 where it would import other code than the copy."""
    code = 9
    try:
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("benchmark", "scripts", "tests")]:
            del sys.modules[name]
        import benchmark

        if Path(str(benchmark.__file__)).is_relative_to(tree):
            with (tree / "output.txt").open("w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(code)


def tried(tree: Path, mutant: Mutant) -> str:
    path = tree / mutant.file
    original = path.read_text()
    try:
        path.write_text(mutated(original, mutant))
    except ValueError:
        return "does not apply"
    try:
        result = tests_fail(tree, mutant.tests)
    finally:
        path.write_text(original)
    return "equivalent" if result == "survived" and mutant.equivalent else result


def work(tree: Path, todo: Queue[int], results: Queue[tuple[int, str]], mutants: Sequence[Mutant]) -> None:
    """Try mutants, by their numbers, until a negative one comes."""
    copy_tree(tree)
    while (number := todo.get()) >= 0:
        started, mutant = time.monotonic(), mutants[number]
        result = tried(tree, mutant)
        print(f"{result:14} {time.monotonic() - started:5.0f} s  {mutant.file}: {mutant.why}", flush=True)
        results.put((number, result))


def run(mutants: Sequence[Mutant], jobs: int) -> list[str]:
    """Try all mutants and return their results, in order; each is printed when it is known."""
    forked = get_context("fork")
    todo, results = forked.Queue(), forked.Queue()
    for number in [*range(len(mutants)), *[-1] * jobs]:
        todo.put(number)
    with tempfile.TemporaryDirectory() as folder:
        trees = [Path(folder).resolve() / str(number) for number in range(jobs)]
        workers = [forked.Process(target=work, args=(tree, todo, results, mutants)) for tree in trees]
        for worker in workers:
            worker.start()
        outcomes = dict(results.get() for _ in mutants)
        for worker in workers:
            worker.join()
    return [outcomes[number] for number in range(len(mutants))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose file or reason holds this text")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"with {', '.join(f'{one.__name__} {one.__version__}' for one in (numba, pandas, scipy, sklearn, torch))}")
    chosen = [mutant for mutant in MUTANTS if asked.only in f"{mutant.file} {mutant.why}"]
    results = run(chosen, asked.jobs)
    print(", ".join(f"{name}: {results.count(name)}" for name in dict.fromkeys(results)))
    return int(bool(set(results) - {"killed", "equivalent"}))


if __name__ == "__main__":
    raise SystemExit(main())
