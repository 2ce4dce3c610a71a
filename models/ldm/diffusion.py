"""The second stage: MONAI's U-Net denoises scaled latents; diffusers' schedulers say how much noise and which steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

TIMESTEPS = 1000


class Denoiser(nn.Module):
    """A diffusion model of latents (Ho et al. 2020), sampled by DDIM (Song et al. 2021)."""

    scale: Tensor
    """1 / standard deviation of the training latents; saved with the weights."""

    def __init__(self, unet: nn.Module, *, prediction: str, noise_schedule: str, noise_end: float) -> None:
        super().__init__()
        from diffusers.schedulers import DDIMScheduler, DDPMScheduler

        self.unet = unet
        self.prediction = prediction
        self.register_buffer("scale", torch.ones(()))
        options = {
            "num_train_timesteps": TIMESTEPS,
            "beta_schedule": noise_schedule,
            "prediction_type": prediction,
            "clip_sample": False,
        }
        if noise_schedule == "scaled_linear":
            options |= {"beta_start": 0.0015, "beta_end": noise_end}  # Rombach et al. 2022, as MONAI's tutorials
        self._noising: Any = DDPMScheduler(**options)
        self._steps: Any = DDIMScheduler(**options, timestep_spacing="trailing")

    def loss(self, latents: Tensor) -> Tensor:
        """Return the mean squared error at random timesteps, a scalar."""
        noise = torch.randn_like(latents)
        timesteps = torch.randint(TIMESTEPS, (len(latents),), device=latents.device)
        return self.errors(latents, noise, timesteps).mean()

    def errors(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return each item's mean squared error of the prediction at its timestep, (N,)."""
        latents = latents * self.scale
        predicted = self.unet(self._noising.add_noise(latents, noise, timesteps), timesteps)
        error: Tensor = predicted.float() - self._target(latents, noise, timesteps)
        return error.square().flatten(1).mean(1)

    def _target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction == "sample":
            return latents
        if self.prediction == "epsilon":
            return noise
        velocity: Tensor = self._noising.get_velocity(latents, noise, timesteps)
        return velocity

    @torch.no_grad()
    def sample(self, noise: Tensor, steps: int) -> Tensor:
        """Turn noise into latents, unscaled, in this many DDIM steps (eta 0: the noise decides everything)."""
        self._steps.set_timesteps(steps)
        latents = noise
        for timestep in self._steps.timesteps:
            now = torch.full((len(latents),), int(timestep), device=latents.device)
            latents = self._steps.step(self.unet(latents, now), timestep, latents).prev_sample
        return latents / self.scale


def build_denoiser(
    *,
    dims: int,
    latent_channels: int,
    widths: tuple[int, ...],
    blocks: int,
    attention: tuple[int, ...],
    head_channels: int,
    residual_resampling: bool,
    prediction: str,
    noise_schedule: str,
    noise_end: float,
) -> Denoiser:
    """Build an untrained denoiser; `attention` lists the levels, from 0, that have self-attention."""
    from monai.networks.nets import DiffusionModelUNet

    unet = DiffusionModelUNet(
        dims,
        latent_channels,
        latent_channels,
        num_res_blocks=blocks,
        channels=widths,
        attention_levels=[level in attention for level in range(len(widths))],
        num_head_channels=[head_channels or width for width in widths],
        resblock_updown=residual_resampling,
        norm_num_groups=math.gcd(32, *widths),
    )
    return Denoiser(unet, prediction=prediction, noise_schedule=noise_schedule, noise_end=noise_end)
