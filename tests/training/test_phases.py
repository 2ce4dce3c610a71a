"""Alternating losses: which weights they update, when, and that they resume and run on several processes exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark.core.errors import AdapterError, UsageError
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.phases import ParameterGroup, Phase

JOB = Path(__file__).parent / "phases_job.py"
torch.set_num_threads(1)


class Pair(nn.Module):
    """Two layers that alternating phases update."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(2, 1), nn.Linear(2, 1)


def items() -> Resident:
    return Resident(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), torch.device("cpu"))


def config(**changes: object) -> TrainingConfig:
    given = {"steps": 6, "batch_size": 4, "learning_rate": 0.1, "schedule": "constant", "warmup": 0, "ema": 0}
    return TrainingConfig(**(given | changes))  # type: ignore[arg-type]


def together(net: Pair, batch: Tensor) -> Tensor:
    return (net.one(batch) + net.other(batch)).square().mean()


def fit(folder: Path, phases: list[Phase], net: Pair | None = None, **changes: object) -> Pair:
    torch.manual_seed(0)
    return train(net or Pair(), phases, items(), config(**changes), folder=folder, seed=0, device="cpu")


def test_a_phase_updates_its_own_weights_only_and_when_it_is_due(tmp_path: Path) -> None:
    seen: list[str] = []

    def loss(name: str, moving: str):
        def call(net: Pair, batch: Tensor) -> Tensor:
            seen.append(name)
            for part in ("one", "other"):
                assert all(weight.requires_grad == (part == moving) for weight in net.get_submodule(part).parameters())
            return together(net, batch)

        return call

    fit(
        tmp_path,
        [
            Phase("a", loss("a", "one"), ParameterGroup("one")),
            Phase("b", loss("b", "other"), ParameterGroup("other"), every=4),
        ],
    )
    assert "".join(seen) == "abaaaaba"


def test_parts_have_rates_of_their_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = Pair()
    after = fit(
        tmp_path,
        [Phase("a", together, ParameterGroup("one", rate=0.5)), Phase("b", together, ParameterGroup("other"))],
        steps=1,
        clip=0,
    )
    # Adam's first step is as long as the learning rate, whatever the gradient.
    torch.testing.assert_close((after.one.weight - before.one.weight).abs(), torch.full((1, 2), 0.05))
    torch.testing.assert_close((after.other.weight - before.other.weight).abs(), torch.full((1, 2), 0.1))


def test_a_loss_may_accumulate_its_own_gradient(tmp_path: Path) -> None:
    def own(net: Pair, batch: Tensor) -> Tensor:
        loss = together(net, batch)
        loss.backward()
        return loss.detach()

    def twins(loss: object) -> list[Phase]:
        return [Phase("a", loss, ParameterGroup("one")), Phase("b", loss, ParameterGroup("other"))]  # type: ignore[arg-type]

    one, other = fit(tmp_path / "a", twins(together)), fit(tmp_path / "b", twins(own))
    assert torch.equal(one.one.weight, other.one.weight)


def test_each_phase_is_logged_with_its_last_loss(tmp_path: Path) -> None:
    def constant(value: float):
        return lambda net, batch: together(net, batch) * 0 + value

    phases = [Phase("a", constant(2), ParameterGroup("one")), Phase("b", constant(3), ParameterGroup("other"), every=4)]
    fit(tmp_path, phases, log_every=3)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["a"], line["b"]) for line in lines] == [(2, 3), (2, 3)]


def test_a_loss_that_is_not_finite_is_named_by_its_step(tmp_path: Path) -> None:
    def infinite(net: Pair, batch: Tensor) -> Tensor:
        return together(net, batch) / 0

    with pytest.raises(AdapterError, match=r"the loss is not finite \(inf\) at step 1"):
        fit(
            tmp_path,
            [Phase("a", together, ParameterGroup("one")), Phase("b", infinite, ParameterGroup("other"), every=4)],
            log_every=3,
        )


def test_a_step_without_any_phase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        fit(tmp_path, [Phase("a", together, ParameterGroup("one"), every=2)])
    assert str(error.value) == "no phase runs at every step\n  hint: let the first phase run at every step (every=1)"


@pytest.mark.slow
def test_two_processes_train_one_pair(tmp_path: Path) -> None:
    """Halves of a batch, gradients averaged: the weights of one process with the whole batch."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(torchrun if processes > 1 else []), str(JOB), str(tmp_path / str(processes))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    alone, *both = (torch.load(path, weights_only=True) for path in sorted(tmp_path.glob("*/result-*.pt")))
    assert len(both) == 2
    for name, value in alone.items():
        assert torch.equal(both[0][name], both[1][name])
        torch.testing.assert_close(both[0][name], value)
