"""Two processes of torchrun: uneven data, a process that is lost, another number of processes on resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.core.errors import AdapterError
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]
UNEVEN, RESUMED = (Path(__file__).parent / name for name in ("uneven_job.py", "training_job.py"))

LONG = 240
"""Seconds in which two processes start, train and end on any machine; one that hangs would sleep for 3,000."""


def start(job: Path, *arguments: object, processes: int = 2, wait: float = 60) -> subprocess.CompletedProcess[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(job), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BENCH_WAIT_SECONDS": str(wait)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONG)


def seen(folder: Path) -> list[list[list[float]]]:
    return [json.loads((folder / f"seen-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(("items", "batch"), [(7, 4), (1, 4), (3, 8)], ids=["odd", "fewer than ranks", "small"])
def test_both_processes_take_as_many_steps_whatever_the_number_of_items(tmp_path: Path, items: int, batch: int) -> None:
    done = start(UNEVEN, tmp_path, items, batch, "nothing")
    assert done.returncode == 0, done.stderr
    steps = seen(tmp_path)
    assert [len(batches) for batches in steps] == [12, 12]
    assert {len(rows) for batches in steps for rows in batches} == {batch // 2}
    stream = [row for first, second in zip(*steps, strict=True) for row in first + second]
    epochs = len(stream) // items
    assert epochs
    for epoch in range(epochs):
        assert sorted(stream[epoch * items : (epoch + 1) * items]) == list(range(items))
    first, second = (torch.load(tmp_path / f"result-{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
@pytest.mark.parametrize(("what", "wait"), [("hang", 5), ("end", 60)], ids=["hang", "end"])
def test_a_process_that_is_lost_is_named(tmp_path: Path, what: str, wait: int) -> None:
    done = start(UNEVEN, tmp_path, 7, 4, what, wait=wait)
    assert done.returncode != 0
    assert (tmp_path / "error-0.txt").read_text() == (
        "process 1 of 2 (the first is 0) did not answer in a training step: it has ended, or hangs\n"
        f"  hint: its own last message says why; if it is only slow, wait longer: BENCH_WAIT_SECONDS={2 * wait}"
    )


@pytest.mark.slow
def test_a_process_that_fails_ends_all_with_its_reason(tmp_path: Path) -> None:
    done = start(UNEVEN, tmp_path, 7, 4, "crash", wait=600)
    assert done.returncode != 0
    assert (tmp_path / "error-1.txt").read_text() == "rank 1 has found a damaged image\n  hint: export it again"
    assert not (tmp_path / "error-0.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("before", "now"), [(2, 1), (1, 2)])
def test_another_number_of_processes_is_refused_on_resume(tmp_path: Path, before: int, now: int) -> None:
    assert start(RESUMED, tmp_path, 0, processes=before).returncode == 0
    kept = (tmp_path / "training.pt").read_bytes()
    done = start(RESUMED, tmp_path, 0, processes=now)
    assert done.returncode != 0
    assert f"training.pt was made with other options: processes {before}, now {now}" in done.stderr
    assert (tmp_path / "training.pt").read_bytes() == kept


@pytest.mark.parametrize(
    ("before", "now", "hint"),
    [
        (2, 1, "start it with `torchrun --nproc-per-node 2` to continue it"),
        (1, 3, "start it without torchrun to continue it"),
    ],
)
def test_the_refusal_says_how_to_resume(tmp_path: Path, before: int, now: int, hint: str) -> None:
    path = tmp_path / "training.pt"
    save_checkpoint(path, {"done": 4}, {"processes": before, "steps": 30})
    with pytest.raises(AdapterError) as error:
        load_checkpoint(path, {"processes": now, "steps": 30})
    assert str(error.value) == (
        f"{path} was made with other options: processes {before}, now {now}\n"
        f"  hint: {hint}, or delete it to train from the start"
    )
    with pytest.raises(AdapterError) as error:
        load_checkpoint(path, {"processes": now, "steps": 40})
    assert str(error.value) == (
        f"{path} was made with other options: processes {before}, now {now}; steps 30, now 40\n"
        "  hint: give the former options to continue it, or delete it to train from the start"
    )
