"""Plant one error at a time in a copy of the code, and see whether a test fails: `python scripts/mutants.py --jobs 2`.

The list is in `mutant_list.py`. The working tree is never changed: each job has its own copy in a temporary folder. A
mutant is `killed` where a test fails, `survived` where all pass, `equivalent` where it survives and the list says why it
changes nothing that could be tested, and `broken` where the tests could not run at all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.mutant_list import MUTANTS, Mutant

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
    """Run tests in a copy of the tree; return `killed`, `survived` or `broken`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return "killed"
    return {0: "survived", 1: "killed"}.get(done.returncode, "broken")


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


def imported_from(tree: Path) -> bool:
    """Whether the tests would import the copy, not an installed package."""
    command = [sys.executable, "-c", "import benchmark; print(benchmark.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=environment, check=True)
    return Path(done.stdout.strip()).is_relative_to(tree.resolve())


def run(mutants: Sequence[Mutant], jobs: int) -> list[str]:
    """Try all mutants and return their results, in order; each is printed when it is known."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            tree = Path(folder).resolve() / str(number)
            copy_tree(tree)
            trees.put(tree)
        if not imported_from(tree):
            raise SystemExit("the copy of the code is not what would be imported")

        def work(mutant: Mutant) -> str:
            tree, started = trees.get(), time.monotonic()
            try:
                result = tried(tree, mutant)
            finally:
                trees.put(tree)
            print(f"{result:14} {time.monotonic() - started:5.0f} s  {mutant.file}: {mutant.why}", flush=True)
            return result

        return list(pool.map(work, mutants))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose file or reason holds this text")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if asked.only in f"{mutant.file} {mutant.why}"]
    results = run(chosen, asked.jobs)
    print(", ".join(f"{name}: {results.count(name)}" for name in dict.fromkeys(results)))
    return int(bool(set(results) - {"killed", "equivalent"}))


if __name__ == "__main__":
    raise SystemExit(main())
