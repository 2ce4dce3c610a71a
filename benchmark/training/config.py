"""How a network is trained: the settings of the optimiser, and what follows from them at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay of the learning rate, and an average of weights.

    Raises UsageError for a value outside its range.
    """

    steps: int
    batch_size: int
    """Items per step, over all processes together."""
    learning_rate: float
    """The highest learning rate, reached after the warm-up."""
    weight_decay: float = 0.0
    warmup: float = 0.05
    """Share of the steps during which the learning rate rises linearly."""
    schedule: Literal["cosine", "half-cosine", "constant"] = "cosine"
    """Whether the learning rate falls to 0, to half of its highest value, or not at all."""
    clip: float = 1.0
    """Largest norm of the gradient over all weights; 0 disables clipping."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights, lower in the first steps; 0 keeps no average."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Whether the network runs in bf16 autocast; `auto` is bf16 on CUDA and fp32 on the CPU."""
    log_every: int = 0
    """Steps between two lines of the log; 0 writes about a hundred lines, never more than 100 steps apart."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; writing them also never takes more than a fiftieth of the time."""
    checkpoint_steps: int = 0
    """Steps between checkpoints, in addition to those by time; 0 for none."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("warmup", 0.0), ("clip", 0.0), ("ema", 0.0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}", f"give at least {least}")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate is {self.learning_rate}", "give a positive number, such as 0.001")
        if self.ema >= 1:
            raise UsageError(f"ema is {self.ema}, which never follows the weights", "give less than 1, such as 0.999")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warmup_steps = self.warmup * self.steps
        # Adam's second moments are estimated from few gradients at first, so that full steps would be erratic. With
        # (step + 1) / (warmup_steps + 1) the first step already learns, and the rate stays below its maximum.
        if step < warmup_steps:
            return self.learning_rate * (step + 1) / (warmup_steps + 1)
        if self.schedule == "constant":
            return self.learning_rate
        # Half a period of a cosine, from 1 to 0 (Loshchilov & Hutter 2017).
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (self.steps - warmup_steps)))
        return self.learning_rate * (cosine if self.schedule == "cosine" else 0.5 + 0.5 * cosine)

    def ema_decay_at(self, step: int) -> float:
        """Return the decay of the average after a step, counted from 0: min(ema, (1 + n) / (10 + n)) with n = step + 1.

        A constant decay d would keep a share d^n of the random initial weights in the average; the ramp, that of
        TensorFlow's ExponentialMovingAverage, forgets them within the first tens of steps.
        """
        return min(self.ema, (2 + step) / (11 + step))

    def log_interval(self) -> int:
        """Return the number of steps between two lines of the log."""
        return self.log_every or min(100, max(1, self.steps // 100))

    def uses_bf16(self, device_type: str) -> bool:
        """Return whether the network runs in bf16 autocast on this type of device (`cpu`, `cuda`)."""
        return self.precision == "bf16" or (self.precision == "auto" and device_type == "cuda")
