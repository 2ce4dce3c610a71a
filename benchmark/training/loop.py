"""The training loop of all models. A training that is killed and started again ends with exactly the same weights."""

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
from benchmark.core.distributed import (
    World,
    agree,
    exchange_explained,
    join_world,
    meet,
    share_buffers,
    share_gradients,
    share_values,
)
from benchmark.core.errors import UsageError
from benchmark.core.progress import progress, to_stderr
from benchmark.core.seeding import batch_positions, seed_all
from benchmark.core.types import Budget
from benchmark.training.batches import Feed, batches
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.config import TrainingConfig
from benchmark.training.log import LogWriter, training_log
from benchmark.training.phases import Phase, as_phases, parameters_of
from benchmark.training.state import TrainingState, initial_state, to_device, unread_losses, update_average
from benchmark.training.watching import Watch, look

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)
WHEN_TO_SAVE = ("checkpoint_seconds", "checkpoint_steps")
"""Settings that do not change the weights: a resumed training may have other ones."""
CHECKPOINT_SHARE = 50
"""At least so many times the duration of the last save passes between two checkpoints: saving takes at most 1/50."""


class Objective(nn.Module):
    """The losses as a module, so that DistributedDataParallel and autocast apply to every method that they call."""

    def __init__(self, net: nn.Module, phases: Sequence[Phase], *, bf16: bool, device: str) -> None:
        super().__init__()
        self.net, self.phases, self.bf16, self.device_type = net, phases, bf16, device

    def forward(self, batch: Any, phase: int) -> Tensor:
        """Return the loss of a batch in the phase with this number, a scalar."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.bf16):
            return self.phases[phase].loss(self.net, batch)


@dataclass(frozen=True)
class Job:
    """What stays the same from step to step."""

    config: TrainingConfig
    phases: tuple[Phase, ...]
    seed: int
    world: World
    label: str
    limit: float
    """Seconds of training after which it stops."""
    items: int
    """How many items the feed has."""
    path: Path
    """Where the checkpoint is."""
    key: Mapping[str, object]
    """What decides the weights: a checkpoint with another key is refused."""
    watch: Watch | None
    """Who looks at the network while it trains; in one process only."""
    augment: Callable[[Any], Any] | None = None
    """Changes each batch before the losses see it."""

    def positions(self, step: int) -> NDArray[np.int64]:
        """Return the positions of the items that this process sees at a step, (batch_size / processes,)."""
        share = {"rank": self.world.rank, "world": self.world.size}
        return batch_positions(self.seed, step, items=self.items, batch_size=self.config.batch_size, **share)


def train(
    net: Net,
    loss: Callable[[Net, T], Tensor] | Sequence[Phase],
    feed: Feed[T],
    config: TrainingConfig,
    *,
    folder: Path,
    seed: int,
    device: str = "auto",
    label: str = "training",
    budget: Budget | None = None,
    options: Mapping[str, object] | None = None,
    watch: Watch | None = None,
    augment: Callable[[T], T] | None = None,
) -> Net:
    """Train net and return the averaged network (net itself where ema is 0), in evaluation mode.

    Before each step all random generators are seeded from (seed, step, rank), and the batch is a function of (seed,
    step): a resumed training draws the same random numbers as one that was never interrupted. State is kept in
    folder/training.pt; a call that finds it there continues, and returns at once when nothing is left to do. Under
    torchrun, the processes share each batch.

    Args:
        net: the network.
        loss: called as loss(net, batch) for a scalar, and free to draw random numbers; alternating losses, such as
            those of adversarial networks, are given as phases.
        feed: the batches.
        config: optimiser, learning rate, precision, checkpoints.
        folder: of checkpoint and log.
        seed: of batches and random numbers.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        label: for progress and log.
        budget: seconds after which training stops early.
        options: what else decides the weights (data, architecture): a checkpoint with other ones is refused.
        watch: looks at the averaged network while it trains, without changing the training. Where it ends the training,
            the network of its last look without a finding is returned.
        augment: changes each batch before the losses see it, and is free to draw random numbers; `options` has to name
            it.

    Raises AdapterError for a loss that is not finite and for a checkpoint that is unreadable or of other options,
    MachineError when memory does not suffice, UsageError for an empty feed or a batch that processes cannot share.
    """
    place = pick_device(device)
    world = join_world(place)
    _check(feed, config, world)
    key = {**_weight_options(config), "seed": seed, "items": len(feed), "processes": world.size, **(options or {})}
    limit = budget.seconds if budget and budget.seconds is not None else math.inf
    phases = as_phases(loss)
    watch = watch if world.rank == 0 else None
    job = Job(config, phases, seed, world, label, limit, len(feed), folder / "training.pt", key, watch, augment)
    objective = Objective(to_device(net, place), phases, bf16=config.uses_bf16(place.type), device=place.type)
    with exchange_explained(world):
        shared = _distribute(objective, world, place)  # before the average is copied: all get rank 0's weights
    training = initial_state(net, phases, config, place)
    saved = load_checkpoint(job.path, key)
    if saved:
        training.restore(saved)
    if watch and not training.watched.stopped:
        watch.watcher.start(training.done, config.steps)
    quiet = world.rank > 0 or training.done >= config.steps or training.watched.stopped
    if saved and not quiet:
        to_stderr(f"{label}: resuming at step {training.done} of {config.steps}")
    with (
        memory_explained(place, config.batch_size),
        exchange_explained(world),
        training_log(folder, training.done, label=label, silent=quiet) as write,
    ):
        _run(training, shared, feed, job, write)
    if training.watched.stopped:
        training.sampled.load_state_dict(training.watched.kept)
    return training.sampled.eval()  # type: ignore[return-value]


def _check(feed: Feed[T], config: TrainingConfig, world: World) -> None:
    if not len(feed):
        raise UsageError("there are no items to train on", "give a training split that is not empty")
    if config.batch_size % world.size:
        raise UsageError(
            f"{world.size} processes cannot share batches of {config.batch_size} equally",
            f"give a batch size that {world.size} divides",
        )


def _weight_options(config: TrainingConfig) -> dict[str, object]:
    return {name: value for name, value in asdict(config).items() if name not in WHEN_TO_SAVE}


def _distribute(objective: Objective, world: World, device: torch.device) -> nn.Module:
    """Let all processes train one network.

    DistributedDataParallel expects a gradient for every weight in each backward pass. Phases give one to their own
    weights only: with several of them `_phase_step` averages the gradients itself.
    """
    if world.size == 1:
        return objective
    if len(objective.phases) > 1:
        share_values(objective.net)
        return objective
    return nn.parallel.DistributedDataParallel(objective, device_ids=[device] if device.type == "cuda" else None)


def _run(training: TrainingState, objective: nn.Module, feed: Feed[T], job: Job, write: LogWriter) -> None:
    """Take steps until the last one or until the budget is spent; then save."""
    started, before, first = time.monotonic(), training.seconds, training.done
    ended = before >= job.limit or training.watched.stopped
    note, stop = "", first if ended else job.config.steps
    with progress(job.label, job.config.steps, first) as advance:
        for batch in batches(feed, job.positions, first, stop):
            seed_all(job.seed, training.done, job.world.rank)
            _step(training, objective, job.augment(batch) if job.augment else batch, job)
            training.seconds = before + time.monotonic() - started - training.watched.seconds
            if line := _line_due(training, job.config):
                meet(job.world, f"step {training.done} of {job.label}")
                note = _report(training, job, write)
            if job.world.rank == 0:
                advance(1, note)
            if job.watch and not training.watched.stopped:
                _look(training, job, job.watch, write)
            if _save_due(training, job.config):
                _save(training, job)
            # Processes have to stop at the same step. To agree on it they wait for each other, so only at log lines.
            over = training.seconds >= job.limit or training.watched.stopped
            if (line or job.world.size == 1) and agree(job.world, over, training.losses.device):
                break
    if training.done > first:
        _save(training, job)
        _log_early_end(training, job, write)


def _step(training: TrainingState, objective: nn.Module, batch: Any, job: Job) -> None:
    """Run each phase that is due at this step; then update the average."""
    row = training.done % len(training.losses)
    training.losses[row] = training.losses[row - 1]
    for number, phase in enumerate(job.phases):
        if training.done % phase.every == 0:
            loss = _phase_step(training, objective, batch, number, job)
            training.losses[row, number] = loss.detach()
    if training.average:
        update_average(training.average, training.net, job.config.ema_decay_at(training.done))
    training.done += 1


def _phase_step(training: TrainingState, objective: nn.Module, batch: Any, number: int, job: Job) -> Tensor:
    """Take the optimiser step of one phase and return its loss, a scalar."""
    phase = job.phases[number]
    optimizer = training.optimizers[phase.parameters.name]
    for group in optimizer.param_groups:
        group["lr"] = phase.parameters.rate * job.config.learning_rate_at(training.done)
    # Only the weights that the phase updates get a gradient: the generator's loss runs through the discriminator, whose
    # own gradients would be computed for nothing.
    if len(training.optimizers) > 1:
        for name, other in training.optimizers.items():
            for weight in parameters_of(other):
                weight.requires_grad_(name == phase.parameters.name)
    optimizer.zero_grad(set_to_none=True)
    loss: Tensor = objective(batch, number)
    if loss.requires_grad:  # without a graph the loss function has filled the gradients already (see `Phase.loss`)
        loss.backward()
    weights = parameters_of(optimizer)
    if len(job.phases) > 1 and job.world.size > 1:
        share_gradients(weights, job.world)
        share_buffers(training.net)
    if job.config.clip:  # one outlying batch must not undo many steps (Pascanu et al. 2013)
        nn.utils.clip_grad_norm_(weights, job.config.clip)
    optimizer.step()
    return loss


def _report(training: TrainingState, job: Job, write: LogWriter) -> str:
    """Log the mean losses since the last line and return them as text for the progress bar."""
    means = unread_losses(training).mean(0).tolist()
    named = {phase.name: mean for phase, mean in zip(job.phases, means, strict=True)}
    rate = job.config.learning_rate_at(training.done - 1)
    write(training.done, **named, learning_rate=rate, seconds=round(training.seconds, 3))
    return ", ".join(f"{name} {mean:.4g}" for name, mean in named.items())


def _look(training: TrainingState, job: Job, watch: Watch, write: LogWriter) -> None:
    """Let the watcher look at the network after this step, and log what it found."""
    scalars = look(watch, training.watched, training.sampled, training.done, training.seconds, job.seed)
    if scalars:
        write(training.done, **{f"watch/{name}": value for name, value in scalars.items()})


def _line_due(training: TrainingState, config: TrainingConfig) -> bool:
    return training.done % config.log_interval() == 0 or training.done == config.steps


def _save_due(training: TrainingState, config: TrainingConfig) -> bool:
    interval = int(os.environ.get("BENCH_CHECKPOINT_STEPS", config.checkpoint_steps))
    if interval and training.done % interval == 0:
        return True
    least = max(config.checkpoint_seconds, CHECKPOINT_SHARE * training.saving_seconds)
    return time.monotonic() - training.saved_at >= least


def _save(training: TrainingState, job: Job) -> None:
    started = time.monotonic()
    unread_losses(training)  # raises where a loss is not finite: such a state must not replace the last good checkpoint
    if job.world.rank == 0:
        save_checkpoint(job.path, training.state(), job.key)
    training.saved_at = time.monotonic()
    training.saving_seconds = training.saved_at - started


def _log_early_end(training: TrainingState, job: Job, write: LogWriter) -> None:
    if training.done < job.config.steps:
        note = f"{job.label} ended at step {training.done} of {job.config.steps}: {_why(training, job)}"
        write(training.done, note=note)
        logging.getLogger(__name__).warning(note)


def _why(training: TrainingState, job: Job) -> str:
    watched = training.watched
    if not watched.stopped and math.isinf(job.limit):
        return "the first process ended it"
    if not watched.stopped:
        return f"the budget of {job.limit:g} s is spent"
    if watched.kept_at:
        return f"training patients are exposed; the network of step {watched.kept_at} is kept"
    return (
        "training patients were exposed at the first look already; the network of that look is kept, and it is exposed:"
        " look earlier"
    )
