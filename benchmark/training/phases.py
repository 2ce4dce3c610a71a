"""Losses that take turns within a training step, each moving its own weights: how adversarial networks train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.training.config import TrainingConfig

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class ParameterGroup:
    """A submodule with an optimiser of its own."""

    name: str = ""
    """Attribute of the network; nothing for all of it."""
    rate: float = 1.0
    """Its learning rate, as a multiple of the recipe's."""
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def weights(self, net: nn.Module) -> list[nn.Parameter]:
        """Return the weights that it moves."""
        return list((net.get_submodule(self.name) if self.name else net).parameters())


@dataclass(frozen=True)
class Phase:
    """One loss, the part of the network that it moves, and how often it has its turn."""

    name: str
    loss: Loss
    """Called as loss(net, batch) for a scalar; one without a graph says that the gradient has been accumulated."""
    part: ParameterGroup = ParameterGroup()
    every: int = 1
    """Its turn comes at each step whose number, from 0, this divides."""


def as_phases(loss: Loss | Sequence[Phase]) -> tuple[Phase, ...]:
    """Return phases as they are, and a single loss as the phase of the whole network."""
    if callable(loss):
        return (Phase("loss", loss),)
    if not loss or loss[0].every != 1:
        raise UsageError("no phase has its turn at every step", "let the first one have it")
    return tuple(loss)


def build_optimizers(
    net: nn.Module, phases: Iterable[Phase], recipe: TrainingConfig, device: torch.device
) -> dict[str, torch.optim.Optimizer]:
    """Return an AdamW for each part that phases move, by the part's name; alone, it leaves frozen weights out.

    With several parts, whose turn it is decides which weights need a gradient.
    """
    parts = {phase.part.name: phase.part for phase in phases}.values()
    return {
        part.name: torch.optim.AdamW(
            [weight for weight in part.weights(net) if weight.requires_grad or len(parts) > 1],
            lr=part.rate * recipe.learning_rate,
            betas=part.betas,
            eps=part.epsilon,
            weight_decay=recipe.weight_decay,
            fused=device.type in ("cuda", "cpu"),
        )
        for part in parts
    }


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the weights of an optimiser."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]
