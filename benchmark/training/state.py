"""What changes from one training step to the next."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmark.core.errors import AdapterError
from benchmark.training.batches import LAYOUTS
from benchmark.training.config import TrainingConfig
from benchmark.training.phases import Phase, build_optimizers
from benchmark.training.watching import Watched


@dataclass
class TrainingState:
    """What changes from step to step; all but the times of saving are in the checkpoint."""

    net: nn.Module
    average: nn.Module | None
    """Exponential moving average of the weights."""
    optimizers: dict[str, torch.optim.Optimizer]
    """By the name of the parameter group that each updates."""
    losses: Tensor
    """(steps, phases): the losses since the last line of the log, on the device, read only when a line is written."""
    done: int = 0
    """Steps taken."""
    seconds: float = 0.0
    """Time spent in training, interrupted trainings included, without looks of a watcher."""
    watched: Watched = field(default_factory=Watched)
    saved_at: float = field(default_factory=time.monotonic)
    saving_seconds: float = 0.0
    """How long the last checkpoint took to write."""

    def state(self) -> dict[str, Any]:
        """Return all that a resumed training needs, as tensors and numbers."""
        average = self.average.state_dict() if self.average else {}
        counts = {"done": self.done, "seconds": self.seconds, "losses": self.losses}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        watched = {"watched": self.watched.state()} if self.watched.kept else {}
        return {"net": self.net.state_dict(), "average": average, "optimizers": optimizers, **counts, **watched}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.losses.copy_(state["losses"])
        self.done, self.seconds = int(state["done"]), float(state["seconds"])
        self.watched.restore(state.get("watched", {}))

    @property
    def sampled(self) -> nn.Module:
        """The network that samples are drawn from: the average, or the network itself where there is none."""
        return self.average or self.net


def to_device(net: nn.Module, device: torch.device) -> nn.Module:
    """Move net to the device, in training mode; on CUDA its convolutions use the channels-last layout."""
    net.to(device).train()
    # cuDNN's tensor-core kernels work on channels last; any other layout is transposed before and after each of them.
    if device.type == "cuda":
        for weight in net.parameters():
            if weight.dim() in LAYOUTS:
                weight.data = weight.data.contiguous(memory_format=LAYOUTS[weight.dim()])
    return net


def initial_state(
    net: nn.Module, phases: Sequence[Phase], config: TrainingConfig, device: torch.device
) -> TrainingState:
    """Return the state before the first step."""
    average = copy.deepcopy(net).requires_grad_(False).eval() if config.ema else None
    losses = torch.zeros(config.log_interval(), len(phases), device=device)
    return TrainingState(net, average, build_optimizers(net, phases, config, device), losses)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the average's weights towards net's: a <- decay a + (1 - decay) w; buffers are copied.

    The average is sampled from in place of the last weights, which keep moving with the noise of the gradients (Ho et
    al. 2020 and all later diffusion models). Buffers are running statistics or counters, whose average means nothing.
    """
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), None)
    for averaged, current in zip(average.buffers(), net.buffers(), strict=True):
        averaged.copy_(current)


def unread_losses(training: TrainingState) -> Tensor:
    """Return the losses since the last line of the log (steps, phases), on the CPU.

    Only here does the loop wait for the device. A phase that does not run at each step keeps its last loss. Raises
    AdapterError where a loss is not finite.
    """
    count = (training.done - 1) % len(training.losses) + 1
    losses = training.losses[:count].cpu()
    bad = torch.nonzero(~torch.isfinite(losses))
    if len(bad):
        step, phase = bad[0].tolist()
        raise AdapterError(
            f"the loss is not finite ({float(losses[step, phase])}) at step {training.done - count + step + 1}",
            "lower the learning rate, or train with precision fp32; the last checkpoint is from before it",
        )
    return losses
