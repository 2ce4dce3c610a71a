"""Copying models that try to look innocent, each in one way: what a run says of them.

    python scripts/red_team.py --out DIR [--only CLASS,CLASS]

Simulated X-rays of 60 patients, a small copy detector, 100 samples of which 30 are copies (`red_team_adapters.py`), and
three classes of tests/adapters/hostile_adapters.py. Prepared images and detectors are made once, by a model that does
not hide anything, and each other run has a copy of them. Home and user site of the runs are in DIR.

Prints per class: what happened, and the headline.

    refused         the run ended with a message, or its headline refuses to say anything
    counted         the copies are counted as in the run that hides nothing, with the same numbers
    NUMBERS CHANGED they are still reported, with other numbers
    ALL CLEAR       the run says nothing of copies
    RECORD FORGED   the command reports the copies, and its record says something else than its evaluation, or `bench
                    runs verify` finds a file that is not as the run wrote it
    RUNS ITS CODE   a new interpreter runs a start file that the model has left
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import red_team_adapters
import sweep_films

from benchmark.runs.verify import verify_run

HERE = Path(__file__).resolve().parent
HOSTILE = HERE.parent / "tests" / "adapters" / "hostile_adapters.py"
ANSWERS = ("Huge", "Objects", "ExitsAtOnce")
CONTROL = "Copier"

sweep_films.use_small_detector()  # in the processes of readers, too, which import this file


def main() -> None:
    """Run each class, and print a line for it."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--out", type=Path, required=True)
    given.add_argument("--only", default="")
    options = given.parse_args()
    out: Path = options.out.resolve()
    os.environ["HOME"] = str(out / "home")
    os.environ["MEMOBENCH_SECRET"] = str(out / "home" / "key")
    (out / "home").mkdir(parents=True, exist_ok=True)
    sweep_films.write_films(out / "films")
    for module in ("benchmark.evaluation.run_evaluation", "benchmark.runs.run"):
        import_module(module)  # once, for all runs: they are forks of this process

    control = outcome(CONTROL, out)
    print(line(CONTROL, control, control), flush=True)
    for name in options.only.split(",") if options.only else [*ways(), *ANSWERS]:
        print(line(name, outcome(name, out), control), flush=True)


def ways() -> list[str]:
    """Return the classes that hide something, in the order of their file."""
    return [
        name
        for name, one in vars(red_team_adapters).items()
        if inspect.isclass(one) and issubclass(one, red_team_adapters.Copier) and name != CONTROL
    ]


def outcome(name: str, out: Path) -> dict[str, Any]:
    """Run one class in a folder of its own; return exit code, last line, and the scores of its record."""
    place = out / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if name != CONTROL:
        shutil.copytree(out / CONTROL / "cache", place / "cache")
    file = HOSTILE if name in ANSWERS else HERE / "red_team_adapters.py"
    code = forked(
        [
            "run", "--model", f"{file}:{name}", *sweep_films.NAMED, "--root", str(out / "films"), "--samples", "100",
            "--device", "cpu", "--cache", str(place / "cache"), "--runs", "runs",
        ],
        place,
    )  # fmt: skip
    lines = [text for text in (place / "terminal.log").read_text().splitlines() if text.strip()]
    time.sleep(2)  # for what a class has left running
    records = list(place.glob("runs/*/*/seed-0/record.json"))
    scores = json.loads(records[0].read_text())["scores"] if records else {}
    forged = bool(records) and (
        scores != json.loads((records[0].parent / "evaluation.json").read_text())["scores"]
        or bool(verify_run(records[0].parent).findings)
    )
    return {"code": code, "said": lines, "scores": scores, "started": started_by_others(), "forged": forged}


def forked(arguments: list[str], place: Path) -> int:
    """Be `bench` in a fork of this process, with another working folder; return its exit code."""
    child = os.fork()
    if child == 0:
        os.chdir(place)
        with (place / "terminal.log").open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                sweep_films.run_bench(arguments)
            except SystemExit as error:
                os._exit(error.code if isinstance(error.code, int) else 1)
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def started_by_others() -> bool:
    """Whether a new interpreter runs a start file that a class has left; the file is removed."""
    command = [sys.executable, "-c", "import sys; print(hasattr(sys, 'red_team'))"]
    started = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "True"
    shutil.rmtree(Path.home() / ".local" / "lib", ignore_errors=True)
    return started


def line(name: str, one: dict[str, Any], control: dict[str, Any]) -> str:
    """Return what happened, and what the run said."""
    return f"{name:20} {verdict(one, control):16} {shown(one)}"


def verdict(one: dict[str, Any], control: dict[str, Any]) -> str:
    """Return what happened in a word."""
    if one["started"]:
        return "RUNS ITS CODE"
    if one["code"]:
        return "refused"
    if one["said"][-1].startswith("REFUSED"):
        return "refused"
    if not one["said"][-1].startswith("HOLD"):
        return "ALL CLEAR"
    if one["forged"]:
        return "RECORD FORGED"
    return "counted" if numbers(one) == numbers(control) else "NUMBERS CHANGED"


def exposed(one: dict[str, Any]) -> float:
    """Return the share of samples that the record says look like one training patient."""
    return float((one["scores"].get("exposed.items[copy]") or {}).get("value") or 0)


def numbers(one: dict[str, Any]) -> dict[str, Any]:
    """Return the scores that do not come from answers of the model itself."""
    return {name: score for name, score in one["scores"].items() if not name.startswith("attack.loss")}


def shown(one: dict[str, Any]) -> str:
    """Return the headline, or the message and the exit code."""
    if not one["code"]:
        return f"{one['said'][-1][:150]} (record: {exposed(one):.2f})"
    errors = [text for text in one["said"] if text.startswith("error")]
    return f"exit {one['code']}: {(errors or one['said'])[-1][:150]}"


if __name__ == "__main__":
    main()
