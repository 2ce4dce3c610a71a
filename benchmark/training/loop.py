"""The one training loop. A training killed at any step and started again ends with the same bits as one left alone."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from benchmark.core.devices import memory_explained, pick_device
from benchmark.core.distributed import World, agree, join_world, share_buffers, share_gradients, share_values
from benchmark.core.errors import UsageError
from benchmark.core.progress import progress
from benchmark.core.seeding import batch_positions, seed_all
from benchmark.core.types import Budget
from benchmark.training.batches import Feed, batches
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.config import TrainingConfig
from benchmark.training.log import Write, training_log
from benchmark.training.phases import Phase, as_phases, parameters_of
from benchmark.training.state import Training, begin, follow, to_device, unread_losses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)
WHEN_TO_SAVE = ("checkpoint_seconds", "checkpoint_steps")  # free to change between a kill and a resume
CHECKPOINT_SHARE = 50


class Objective(nn.Module):
    """The losses as a module, so that DistributedDataParallel and autocast cover all that they call on the network."""

    def __init__(self, net: nn.Module, phases: Sequence[Phase], *, half: bool, device: str) -> None:
        super().__init__()
        self.net, self.phases, self.half_precision, self.device_type = net, phases, half, device

    def forward(self, batch: Any, phase: int) -> Tensor:
        """Return the batch's loss in a phase, a scalar."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.half_precision):
            return self.phases[phase].loss(self.net, batch)


@dataclass(frozen=True)
class Job:
    """What stays the same from step to step."""

    recipe: TrainingConfig
    phases: tuple[Phase, ...]
    seed: int
    world: World
    label: str
    limit: float
    """Seconds of training after which it ends."""
    items: int
    path: Path
    key: Mapping[str, object]

    def positions(self, step: int) -> NDArray[np.int64]:
        """Return which items this process sees at a step."""
        share = {"rank": self.world.rank, "world": self.world.size}
        return batch_positions(self.seed, step, items=self.items, batch_size=self.recipe.batch_size, **share)


def train(
    net: Net,
    loss: Callable[[Net, T], Tensor] | Sequence[Phase],
    feed: Feed[T],
    recipe: TrainingConfig,
    *,
    folder: Path,
    seed: int,
    device: str = "auto",
    label: str = "training",
    budget: Budget | None = None,
    options: Mapping[str, object] | None = None,
) -> Net:
    """Train net by recipe and return the averaged network (net itself where ema is 0), in evaluation mode.

    Before each step all generators are seeded from (seed, step, rank), and the batch follows from (seed, step), so
    `loss(net, batch)` may draw what it likes; several losses that take turns, as of adversarial networks, are given as
    phases. State is kept in folder/training.pt; a call that finds it there
    continues, and returns at once when nothing is left to do. `options` is what else decides the weights (data,
    architecture): a checkpoint made with other ones is refused. Under torchrun, processes share each batch.

    Raises AdapterError for a loss that is not finite and for a checkpoint that is unreadable or of other options,
    MachineError when memory does not suffice, UsageError for an empty feed or a batch that processes cannot share.
    """
    place = pick_device(device)
    world = join_world(place)
    _check(feed, recipe, world)
    key = {**_decisive(recipe), "seed": seed, "items": len(feed), "processes": world.size, **(options or {})}
    limit = budget.seconds if budget and budget.seconds is not None else math.inf
    phases = as_phases(loss)
    job = Job(recipe, phases, seed, world, label, limit, len(feed), folder / "training.pt", key)
    objective = Objective(to_device(net, place), phases, half=recipe.half(place.type), device=place.type)
    shared = _distribute(objective, world, place)  # first, as it gives every process the first one's weights
    training = begin(net, phases, recipe, place)
    saved = load_checkpoint(job.path, key)
    if saved:
        training.restore(saved)
    quiet = world.rank > 0 or training.done >= recipe.steps
    with memory_explained(place, recipe.batch_size), training_log(folder, training.done, silent=quiet) as write:
        _run(training, shared, feed, job, write)
    return (training.average or net).eval()  # type: ignore[return-value]


def _check(feed: Feed[T], recipe: TrainingConfig, world: World) -> None:
    if not len(feed):
        raise UsageError("there are no items to train on", "give a training split that is not empty")
    if recipe.batch_size % world.size:
        raise UsageError(
            f"{world.size} processes cannot share batches of {recipe.batch_size} equally",
            f"give a batch size that {world.size} divides",
        )


def _decisive(recipe: TrainingConfig) -> dict[str, object]:
    return {name: value for name, value in asdict(recipe).items() if name not in WHEN_TO_SAVE}


def _distribute(objective: Objective, world: World, device: torch.device) -> nn.Module:
    """Let processes train one network: of several phases, whose gradients are partial, `_step` shares them itself."""
    if world.size == 1:
        return objective
    if len(objective.phases) > 1:
        share_values(objective.net)
        return objective
    return nn.parallel.DistributedDataParallel(objective, device_ids=[device] if device.type == "cuda" else None)


def _run(training: Training, objective: nn.Module, feed: Feed[T], job: Job, write: Write) -> None:
    """Step until the recipe's last step or the budget's last second; then save."""
    began, before, first = time.monotonic(), training.seconds, training.done
    note, stop = "", job.recipe.steps if before < job.limit else first
    with progress(job.label, job.recipe.steps, first) as advance:
        for batch in batches(feed, job.positions, first, stop):
            seed_all(job.seed, training.done, job.world.rank)
            _step(training, objective, batch, job)
            training.seconds = before + time.monotonic() - began
            if line := _line_due(training, job.recipe):
                note = _report(training, job, write)
            if job.world.rank == 0:
                advance(1, note)
            if _save_due(training, job.recipe):
                _save(training, job)
            if (line or job.world.size == 1) and agree(
                job.world, training.seconds >= job.limit, training.losses.device
            ):
                break
    if training.done > first:
        _save(training, job)
        _tell_early(training, job, write)


def _step(training: Training, objective: nn.Module, batch: Any, job: Job) -> None:
    """Give each phase whose turn it is its loss, gradient and optimiser step; then move the average."""
    row = training.done % len(training.losses)
    training.losses[row] = training.losses[row - 1]
    for number, phase in enumerate(job.phases):
        if training.done % phase.every == 0:
            loss = _turn(training, objective, batch, number, job)
            training.losses[row, number] = loss.detach()
    if training.average:
        follow(training.average, training.net, job.recipe.decay(training.done))
    training.done += 1


def _turn(training: Training, objective: nn.Module, batch: Any, number: int, job: Job) -> Tensor:
    """Take one phase's optimiser step; only the weights that it moves get a gradient."""
    phase = job.phases[number]
    optimizer = training.optimizers[phase.part.name]
    for group in optimizer.param_groups:
        group["lr"] = phase.part.rate * job.recipe.rate(training.done)
    if len(training.optimizers) > 1:
        for name, other in training.optimizers.items():
            for weight in parameters_of(other):
                weight.requires_grad_(name == phase.part.name)
    optimizer.zero_grad(set_to_none=True)
    loss: Tensor = objective(batch, number)
    if loss.requires_grad:
        loss.backward()
    weights = parameters_of(optimizer)
    if len(job.phases) > 1 and job.world.size > 1:
        share_gradients(weights, job.world)
        share_buffers(training.net)
    if job.recipe.clip:
        nn.utils.clip_grad_norm_(weights, job.recipe.clip)
    optimizer.step()
    return loss


def _report(training: Training, job: Job, write: Write) -> str:
    """Log the mean losses since the last line and return them as a note."""
    means = unread_losses(training).mean(0).tolist()
    named = {phase.name: mean for phase, mean in zip(job.phases, means, strict=True)}
    rate = job.recipe.rate(training.done - 1)
    write(training.done, **named, learning_rate=rate, seconds=round(training.seconds, 3))
    return ", ".join(f"{name} {mean:.4g}" for name, mean in named.items())


def _line_due(training: Training, recipe: TrainingConfig) -> bool:
    return training.done % recipe.lines_apart() == 0 or training.done == recipe.steps


def _save_due(training: Training, recipe: TrainingConfig) -> bool:
    apart = int(os.environ.get("BENCH_CHECKPOINT_STEPS", recipe.checkpoint_steps))
    if apart and training.done % apart == 0:
        return True
    least = max(recipe.checkpoint_seconds, CHECKPOINT_SHARE * training.saving_took)
    return time.monotonic() - training.saved_at >= least


def _save(training: Training, job: Job) -> None:
    started = time.monotonic()
    unread_losses(training)
    if job.world.rank == 0:
        save_checkpoint(job.path, training.state(), job.key)
    training.saved_at = time.monotonic()
    training.saving_took = training.saved_at - started


def _tell_early(training: Training, job: Job, write: Write) -> None:
    if training.done < job.recipe.steps:
        spent = f"the budget of {job.limit:g} s is spent"
        note = f"{job.label} ended at step {training.done} of {job.recipe.steps}: {spent}"
        write(training.done, note=note)
        logging.getLogger(__name__).warning(note)
