"""Diffusion of any tensor: MONAI's U-Net predicts, diffusers' schedulers say how much noise and which steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmark.core.errors import UsageError

LOSS_TIMESTEPS = 10
"""For an image's loss: so many timesteps, evenly spread."""
CHOICES = {
    "prediction": ("epsilon", "v_prediction", "sample", "flow"),
    "noise_schedule": ("squaredcos_cap_v2", "scaled_linear", "linear"),
    "sampler": ("ddim", "ddpm", "dpm-solver"),
}


class Denoiser(nn.Module):
    """A diffusion model of scaled values (Ho et al. 2020), or a flow from noise to them (Lipman et al. 2023).

    Samplers: DDPM (Ho et al. 2020), DDIM (Song et al. 2021) and DPM-Solver++ (Lu et al. 2022); a flow is always
    followed by Euler's steps.
    """

    scale: Tensor
    """1 / standard deviation of what is learnt; saved with the weights."""

    def __init__(
        self,
        unet: nn.Module,
        *,
        prediction: str,
        noise_schedule: str,
        noise_end: float,
        timesteps: int,
        sampler: str,
        bounded: bool = False,
    ) -> None:
        """Take `bounded` for values in [-1, 1]: sampling then clips its guess of the clean image at each step."""
        super().__init__()
        self.unet, self.prediction, self.sampler, self.bounded = unet, prediction, sampler, bounded
        self.timesteps = timesteps
        self.register_buffer("scale", torch.ones(()))
        self._options: dict[str, Any] = {
            "num_train_timesteps": timesteps,
            "beta_schedule": noise_schedule,
            "prediction_type": "epsilon" if prediction == "flow" else prediction,
        }
        if noise_schedule == "scaled_linear":
            self._options |= {"beta_start": 0.0015, "beta_end": noise_end}  # Rombach et al. 2022, as MONAI's tutorials
        if noise_schedule == "linear":
            self._options |= {"beta_start": 0.1 / timesteps, "beta_end": 20 / timesteps}  # Dhariwal & Nichol 2021
        from diffusers.schedulers import DDPMScheduler

        self._noising: Any = DDPMScheduler(**self._options)

    def loss(self, values: Tensor) -> Tensor:
        """Return the mean squared error at random timesteps, a scalar."""
        noise = torch.randn_like(values)
        timesteps = torch.randint(self.timesteps, (len(values),), device=values.device)
        return self.errors(values, noise, timesteps).mean()

    def errors(self, values: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return each item's mean squared error of the prediction at its timestep, (N,)."""
        values = values * self.scale
        noisy, target = self._noised(values, noise, timesteps)
        error: Tensor = self.unet(noisy, timesteps).float() - target
        return error.square().flatten(1).mean(1)

    def mean_errors(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return each item's error averaged over as many timesteps as noise (T, *item) has, the same for all, (N,)."""
        total = values.new_zeros(len(values))
        for step, drawn in enumerate(noise):
            timestep = (2 * step + 1) * self.timesteps // (2 * len(noise))
            now = torch.full((len(values),), timestep, device=values.device)
            total += self.errors(values, drawn.expand_as(values), now)
        return total / len(noise)

    def _noised(self, values: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network sees and what it should answer."""
        if self.prediction == "flow":
            time = ((timesteps + 1) / self.timesteps).view(-1, *(1,) * (values.dim() - 1))
            return (1 - time) * values + time * noise, noise - values
        noisy = self._noising.add_noise(values, noise, timesteps)
        if self.prediction == "sample":
            return noisy, values
        if self.prediction == "epsilon":
            return noisy, noise
        return noisy, self._noising.get_velocity(values, noise, timesteps)

    @torch.no_grad()
    def sample(self, noise: Tensor, steps: int, seed: int) -> Tensor:
        """Turn noise into values, unscaled, in this many steps; seed feeds the noise that `ddpm` adds on the way."""
        scheduler = self._scheduler()
        scheduler.set_timesteps(steps)
        options: dict[str, Any] = {}
        if self.sampler == "ddpm" and self.prediction != "flow":
            options = {"generator": torch.Generator().manual_seed(seed)}
        values = noise
        for timestep in scheduler.timesteps:
            now = torch.full((len(values),), float(timestep), device=values.device)
            if self.prediction == "flow":
                now = now - 1  # a flow's times count from 1, a diffusion's from 0
            values = scheduler.step(self.unet(values, now), timestep, values, **options).prev_sample
        return values / self.scale

    def _scheduler(self) -> Any:
        from diffusers import schedulers

        if self.prediction == "flow":
            return schedulers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=self.timesteps)
        clip = {"clip_sample": self.bounded, "clip_sample_range": float(self.scale)}
        if self.sampler == "ddpm":
            return schedulers.DDPMScheduler(**self._options, **clip, timestep_spacing="trailing")
        if self.sampler == "ddim":
            return schedulers.DDIMScheduler(**self._options, **clip, timestep_spacing="trailing")
        return schedulers.DPMSolverMultistepScheduler(**self._options, timestep_spacing="trailing")


def check_levels(widths: Sequence[int], attention: Sequence[int], head_channels: int) -> None:
    """Refuse, with UsageError, a U-Net that cannot be built."""
    for level in attention:
        if not 0 <= level < len(widths):
            raise UsageError(f"there is no level {level} for attention", f"levels are 0 to {len(widths) - 1}")
        if head_channels and widths[level] % head_channels:
            raise UsageError(
                f"head_channels {head_channels} does not divide level {level}'s width {widths[level]}",
                "choose a divisor",
            )


def build_unet(
    *,
    dims: int,
    channels: int,
    widths: Sequence[int],
    blocks: int,
    attention: Sequence[int],
    head_channels: int,
    residual_resampling: bool,
    recompute: bool,
) -> nn.Module:
    """Build MONAI's U-Net; `attention` lists the levels, from 0, that have self-attention (0 heads: one a level)."""
    from monai.networks.nets import DiffusionModelUNet

    unet: nn.Module = DiffusionModelUNet(
        dims,
        channels,
        channels,
        num_res_blocks=blocks,
        channels=widths,
        attention_levels=[level in attention for level in range(len(widths))],
        num_head_channels=[head_channels or width for width in widths],
        resblock_updown=residual_resampling,
        norm_num_groups=math.gcd(32, *widths),
    )
    if recompute:
        for block in [*unet.down_blocks, *unet.up_blocks]:  # type: ignore[misc]
            block.forward = partial(_recomputed, block.forward)
    return unet


def _recomputed(forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call forward without keeping what it needs for the gradient (Chen et al. 2016)."""
    if not torch.is_grad_enabled():
        return forward(*given, **named)
    return checkpoint(forward, *given, use_reentrant=False, **named)
