"""The commands that `scripts/soak.py` disturbs, and their results."""

from __future__ import annotations

import csv
import json
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sweep_films

SOAK = Path(__file__).parents[1] / "soak.py"
DRIVE = "--drive"
SYNTHETIC = 40
NOT_COMPARED = ("cost", "environment", "digest", "seconds", "bytes", "joules", "state")
"""Parts of results that tell of the machine, of the hour, and of what was computed before (`cached`)."""


@dataclass(frozen=True)
class Job:
    """A command line, and the file in which its result is."""

    arguments: tuple[str, ...]
    result: str
    """Pattern of the file, below the folder in which the command runs."""
    code: int = 0
    """The exit code of an undisturbed call."""


def jobs(films: Path) -> dict[str, Job]:
    """Return the commands: two models, a sweep that shares their cohort, and an audit."""
    data = (*sweep_films.NAMED, "--root", str(films / "all"), "--device", "cpu", "--samples", "60")
    audit = [option for side in ("train", "heldout", "synthetic") for option in (f"--{side}", str(films / side))]
    return {
        "copycat": Job(
            # The sweep has a copycat, too: its cells have the number of samples in the name of their folder.
            ("run", "--model", "copycat", "--set", "contamination=0.3", *data), "runs/*/copycat*/seed-0/record.json"
        ),
        "vae": Job(("run", "--model", "vae", "--set", "steps=40", *data), "runs/*/vae*/*/record.json"),
        "sweep": Job(
            ("sweep", "--model", "copycat:contamination=0.5,gaussian", *data, "--name", "soak", "--workers", "1"),
            "sweeps/soak/table.csv",
        ),
        "audit": Job(
            ("audit", *audit, "--patients", "each-file", "--quick", "--out", "audits/soak"),
            "audits/soak/summary.json", 10,
        ),
    }  # fmt: skip


def write_data(films: Path) -> None:
    """Write the X-rays of the runs, and the three folders of an audit in which every fourth image is a copy."""
    sweep_films.write_films(films / "all")
    images = sorted((films / "all").rglob("*.jpeg"))
    kept = {"train": images[0:80:2], "heldout": images[80::2], "synthetic": []}
    for side, paths in kept.items():
        (films / side).mkdir(exist_ok=True)
        for path in paths:
            os.link(path, films / side / path.name)
    for number in range(SYNTHETIC):
        source = kept["train"][number // 4] if number % 4 == 0 else images[1 + 2 * number]
        os.link(source, films / "synthetic" / f"{number:04d}.jpeg")


def result(job: Job, folder: Path) -> Any:
    """Return what a command has computed, without times; None where its file is missing."""
    paths = sorted(folder.glob(job.result))
    if not paths:
        return None
    if paths[0].suffix == ".csv":
        return [_kept(row) for row in csv.DictReader(paths[0].read_text().splitlines())]
    return [_kept(json.loads(path.read_text())) for path in paths]


def _kept(value: dict[str, Any]) -> dict[str, Any]:
    """Return a result without what tells of the machine and of the hour."""
    return {name: item for name, item in value.items() if not any(word in name for word in NOT_COMPARED)}


def start(job: Job, folder: Path, *, fresh: bool, before: Any = None) -> int:
    """Start a command in a folder with a cache of its own, and return its process; its output is in `output`.

    Where it is not `fresh`, the process is a fork of this one, which has the heavy packages already. `before` is called
    in the new process first.
    """
    output = folder / "output"
    process = os.fork()
    if process:
        return process
    os.setsid()
    os.chdir(folder)
    os.environ.update(MEMOBENCH_CACHE="cache", BENCH_CHECKPOINT_STEPS="10")
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if before is not None:
        before()
    if fresh:
        os.execv(sys.executable, [sys.executable, str(SOAK), DRIVE, *job.arguments])
    os._exit(_code_of(job))


def _code_of(job: Job) -> int:
    """Run a command in this process, and return its exit code; to take all modules apart would take a second."""
    code = 1
    try:
        sweep_films.run_bench(list(job.arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  a fork must not get back to the commands that the script starts
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code
