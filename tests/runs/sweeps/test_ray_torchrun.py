"""One cell in two training processes, which torchrun starts inside the task (gloo on the CPU)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.core.errors import AdapterError
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.ray_task import by_torchrun


@pytest.fixture(autouse=True)
def _job_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def config(runs: Path, seed: int) -> RunConfig:
    return RunConfig.of({"model": {"name": "ldm"}, "data": {"name": "phantom-mr"}, "runs": runs, "seed": seed}, "test")


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    by_torchrun(config(tmp_path, 0), 2, "torchrun_job")
    first, second = (torch.load(tmp_path / f"rank-{rank}-of-2.pt") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_failure_is_the_reason_that_a_process_gave(tmp_path: Path) -> None:
    with pytest.raises(AdapterError) as error:
        by_torchrun(config(tmp_path, 1), 2, "torchrun_job")
    assert str(error.value) == (
        "training in 2 processes failed: the loss is not finite\n  hint: run.log in the run folder has more"
    )
