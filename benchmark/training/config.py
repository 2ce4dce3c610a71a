"""How a network is trained: the numbers of the optimiser, and what follows from them at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """AdamW whose learning rate warms up, then falls along half a cosine (or stays), and an average of the weights."""

    steps: int
    batch_size: int
    """Items a step, all processes together."""
    learning_rate: float
    """The highest one, reached after the warm-up."""
    weight_decay: float = 0.0
    warmup: float = 0.05
    """Share of the steps during which the rate rises in a line."""
    schedule: Literal["cosine", "half-cosine", "constant"] = "cosine"
    """Fall to 0, to half of the rate, or not at all."""
    clip: float = 1.0
    """Largest norm of the gradient, over all weights; 0 leaves it as it is."""
    ema: float = 0.999
    """Decay of the weights' exponential moving average, lower in the first steps; 0 keeps none."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 autocast, or not; auto is bf16 on CUDA and fp32 on CPU."""
    log_every: int = 0
    """Steps between two lines of the log; 0 makes about a hundred lines, never more than 100 steps apart."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; they also never take more than a fiftieth of the time."""
    checkpoint_steps: int = 0
    """Steps between checkpoints, on top of those by time; 0 for none."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("warmup", 0.0), ("clip", 0.0), ("ema", 0.0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}", f"give at least {least}")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate is {self.learning_rate}", "give a positive number, say 0.001")
        if self.ema >= 1:
            raise UsageError(f"ema is {self.ema}, which never follows the weights", "give less than 1, say 0.999")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = self.warmup * self.steps
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        if self.schedule == "constant":
            return self.learning_rate
        fallen = 0.5 * (1 + math.cos(math.pi * (step - rising) / (self.steps - rising)))
        return self.learning_rate * (fallen if self.schedule == "cosine" else 0.5 + 0.5 * fallen)

    def decay(self, step: int) -> float:
        """Return the average's decay after a step, counted from 0: min(ema, (1 + n) / (10 + n)) with n = step + 1."""
        return min(self.ema, (2 + step) / (11 + step))

    def lines_apart(self) -> int:
        """Return the number of steps between two lines of the log."""
        return self.log_every or min(100, max(1, self.steps // 100))

    def half(self, device: str) -> bool:
        """Return whether the network runs in bf16 autocast on this kind of device."""
        return self.precision == "bf16" or (self.precision == "auto" and device == "cuda")
