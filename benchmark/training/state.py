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


@dataclass
class Training:
    """What changes from step to step, and so lies in the checkpoint."""

    net: nn.Module
    average: nn.Module | None
    optimizers: dict[str, torch.optim.Optimizer]
    """By the name of the part that each moves."""
    losses: Tensor
    """(steps, phases): the losses since the last line of the log, on the device, read only when a line is written."""
    done: int = 0
    seconds: float = 0.0
    saved_at: float = field(default_factory=time.monotonic)
    saving_took: float = 0.0

    def state(self) -> dict[str, Any]:
        """Return all that a resumed training needs, as tensors and numbers."""
        average = self.average.state_dict() if self.average else {}
        counts = {"done": self.done, "seconds": self.seconds, "losses": self.losses}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"net": self.net.state_dict(), "average": average, "optimizers": optimizers, **counts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load_state_dict(state["net"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.losses.copy_(state["losses"])
        self.done, self.seconds = int(state["done"]), float(state["seconds"])


def to_device(net: nn.Module, device: torch.device) -> nn.Module:
    """Move net to the device, in training mode; on CUDA its convolutions take channels last."""
    net.to(device).train()
    if device.type == "cuda":
        for weight in net.parameters():
            if weight.dim() in LAYOUTS:
                weight.data = weight.data.contiguous(memory_format=LAYOUTS[weight.dim()])
    return net


def begin(net: nn.Module, phases: Sequence[Phase], recipe: TrainingConfig, device: torch.device) -> Training:
    """Return the state before the first step."""
    average = copy.deepcopy(net).requires_grad_(False).eval() if recipe.ema else None
    losses = torch.zeros(recipe.lines_apart(), len(phases), device=device)
    return Training(net, average, build_optimizers(net, phases, recipe, device), losses)


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move average's weights towards net's: a <- decay a + (1 - decay) w; buffers are copied."""
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), None)
    for ours, theirs in zip(average.buffers(), net.buffers(), strict=True):
        ours.copy_(theirs)


def unread_losses(training: Training) -> Tensor:
    """Return the losses since the last line of the log (steps, phases), on the CPU: the only wait for the device.

    All are finite. A phase that does not have its turn at each step stands with its last loss.
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
