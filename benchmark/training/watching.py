"""Looking at a training while it runs: samples are drawn from a copy of its network and given to a watcher.

The watcher comes from the caller and decides when to look. It alone holds held-out images: neither the training loop
nor the model gets them. Looking changes nothing in the training: samples come from a copy, with random numbers of their
own, and the time is not counted as training time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.core.seeding import derive_seed, kept_random_state

if TYPE_CHECKING:
    from benchmark.core.types import Images, Watcher

STREAM = 7_919
"""Counter that separates the seeds of looks from those of steps and of the final samples."""


@dataclass(frozen=True)
class Watch:
    """A watcher, and how samples come from the network in training."""

    watcher: Watcher
    draw: Callable[[Any, int, int], Iterator[Images]]
    """Called as draw(net, count, seed), with a copy of the averaged network: yields batches (n, C, *spatial)."""


@dataclass
class Watched:
    """What a watched training adds to its state; all but the seconds are in the checkpoint."""

    kept: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the network at the last look that found nobody exposed, on the CPU."""
    kept_at: int = 0
    """The step of that look; 0 where there was none."""
    stopped: bool = False
    seconds: float = 0.0
    """Time that this process spent on looks."""

    def state(self) -> dict[str, Any]:
        """Return what the checkpoint holds."""
        return {"kept": self.kept, "kept_at": self.kept_at, "stopped": self.stopped}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state; one from a training that was not watched is empty."""
        self.kept, self.kept_at = dict(state.get("kept", {})), int(state.get("kept_at", 0))
        self.stopped = bool(state.get("stopped", False))


def look(watch: Watch, watched: Watched, net: nn.Module, step: int, seconds: float, seed: int) -> dict[str, float]:
    """Look at a network after a step as often as the watcher asks, and return what to log.

    Args:
        watch: the watcher.
        watched: changed here: time spent, weights kept, whether to stop.
        net: the averaged network, or the network itself where there is no average; it is not changed.
        step: steps taken.
        seconds: of training, without looks.
        seed: of the training.
    """
    watcher, scalars = watch.watcher, dict[str, float]()
    while count := watcher.wanted(step, seconds):
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # steps that still run on the device are training, not sampling
        before = time.monotonic()
        samples = _drawn(watch, net, count, derive_seed(seed, STREAM, step))
        scalars = dict(watcher.update(step, samples, sampling_seconds=time.monotonic() - before))
        if scalars and watcher.may_stop and (watcher.clean or not watched.kept):
            watched.kept = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
            watched.kept_at = step if watcher.clean else 0
        watched.seconds += time.monotonic() - before
    watched.stopped = watcher.should_stop
    return scalars


def _drawn(watch: Watch, net: nn.Module, count: int, seed: int) -> Images:
    """Draw from a copy of the network: samplers may change buffers, and a training network must stay in its mode."""
    with kept_random_state():
        return np.concatenate(list(watch.draw(copy.deepcopy(net).eval(), count, seed)))
