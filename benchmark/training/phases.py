"""Alternating losses within a training step, each updating its own weights: how adversarial networks train."""

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
    """Attribute of the network; empty for the whole network."""
    rate: float = 1.0
    """Its learning rate, as a multiple of the one in the training configuration."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's first and second moments."""
    epsilon: float = 1e-8

    def weights(self, net: nn.Module) -> list[nn.Parameter]:
        """Return the weights that it updates."""
        return list((net.get_submodule(self.name) if self.name else net).parameters())


@dataclass(frozen=True)
class Phase:
    """One loss, the weights that it updates, and how often."""

    name: str
    loss: Loss
    """Called as loss(net, batch) for a scalar. One without a graph means that it has already filled the gradients."""
    parameters: ParameterGroup = ParameterGroup()
    every: int = 1
    """It runs at each step whose number, counted from 0, is divisible by this."""


def as_phases(loss: Loss | Sequence[Phase]) -> tuple[Phase, ...]:
    """Return phases as they are, and a single loss as one phase of the whole network.

    Raises UsageError where the first phase does not run at every step: some steps would then have no loss.
    """
    if callable(loss):
        return (Phase("loss", loss),)
    if not loss or loss[0].every != 1:
        raise UsageError("no phase runs at every step", "let the first phase run at every step (every=1)")
    return tuple(loss)


def build_optimizers(
    net: nn.Module, phases: Iterable[Phase], config: TrainingConfig, device: torch.device
) -> dict[str, torch.optim.Optimizer]:
    """Return an AdamW for each parameter group of the phases, by the group's name.

    A single group leaves frozen weights out. With several groups nothing can be left out: the training loop freezes all
    but the weights of the current phase, so that requires_grad says nothing about what is to be trained.
    """
    groups = {phase.parameters.name: phase.parameters for phase in phases}.values()
    return {
        group.name: torch.optim.AdamW(
            [weight for weight in group.weights(net) if weight.requires_grad or len(groups) > 1],
            lr=group.rate * config.learning_rate,
            betas=group.betas,
            eps=group.epsilon,
            weight_decay=config.weight_decay,
            fused=device.type in ("cuda", "cpu"),
        )
        for group in groups
    }


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the weights of an optimiser."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]
