"""Diffusion of any tensor: MONAI's U-Net predicts, schedulers of diffusers define noise levels and sampling steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmark.core.errors import UsageError
from benchmark.core.monai_import import import_monai

LOSS_TIMESTEPS = 10
"""Number of evenly spread timesteps over which the loss of an image is averaged."""
CHOICES = {
    "prediction": ("epsilon", "v_prediction", "sample", "flow"),
    "noise_schedule": ("squaredcos_cap_v2", "scaled_linear", "linear"),
    "sampler": ("ddim", "ddpm", "dpm-solver"),
}


class Denoiser(nn.Module):
    """A diffusion model of scaled values (Ho et al. 2020), or a flow from noise to them (Lipman et al. 2023).

    With a_t the product of all 1 - beta up to timestep t (`alphas_cumprod`), the noisy values are
    x_t = sqrt(a_t) x + sqrt(1 - a_t) eps. The network predicts eps, x (`sample`) or v = sqrt(a_t) eps - sqrt(1 - a_t) x
    (Salimans & Ho 2022).

    The signal left at the last timestep decides which prediction is stable: a_T is 2e-9 in the squared-cosine schedule,
    practically zero signal-to-noise ratio, 4e-5 in `linear` and 1e-4 in `scaled_linear` (1000 timesteps). Where a_T is
    near zero, eps carries no information on x and x = (x_t - sqrt(1 - a_t) eps) / sqrt(a_t) divides by almost nothing;
    v and x stay well defined (Lin et al. 2024, 2305.08891). So the default is v with the squared-cosine schedule.

    Samplers: DDPM (Ho et al. 2020), DDIM (Song et al. 2021) and second-order DPM-Solver++ (Lu et al. 2022); a flow is
    always integrated with Euler steps.
    """

    scale: Tensor
    """1 / standard deviation of the training values; saved with the weights.

    The schedules assume values of unit variance: with latents of another scale the same timesteps would mean other
    signal-to-noise ratios (Rombach et al. 2022, appendix G).
    """

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
        """Build the noise schedule.

        Args:
            unet: maps (noisy values (N, C, *spatial), timesteps (N,)) to its prediction, (N, C, *spatial).
            prediction: one of CHOICES, as the next two.
            noise_schedule: of the betas.
            noise_end: the last beta of `scaled_linear`.
            timesteps: noise levels in training.
            sampler: `ddim`, `ddpm` or `dpm-solver`.
            bounded: whether values are in [-1, 1], as pixels are. DDPM and DDIM then clip their estimate of the clean
                image at each step, which stops errors from growing (Ho et al. 2020). Latents have no bound to clip to.
        """
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
            # 1e-4 to 0.02 at 1000 timesteps (Ho et al. 2020), scaled so that another number of timesteps ends at the
            # same a_T (Dhariwal & Nichol 2021, guided-diffusion).
            self._options |= {"beta_start": 0.1 / timesteps, "beta_end": 20 / timesteps}
        from diffusers.schedulers import DDPMScheduler

        self._noising: Any = DDPMScheduler(**self._options)

    def loss(self, values: Tensor) -> Tensor:
        """Return the mean squared error of values (N, C, *spatial) at random timesteps, a scalar.

        Without weights over timesteps: the simplified loss of Ho et al. (2020, equation 14).
        """
        noise = torch.randn_like(values)
        timesteps = torch.randint(self.timesteps, (len(values),), device=values.device)
        return self.errors(values, noise, timesteps).mean()

    def errors(self, values: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the mean squared error of the prediction for each item, (N,).

        Args:
            values: (N, C, *spatial), unscaled.
            noise: standard normal, of the same shape.
            timesteps: (N,) integers in [0, timesteps).
        """
        values = values * self.scale
        noisy, target = self._noisy_and_target(values, noise, timesteps)
        error: Tensor = self.unet(noisy, timesteps).float() - target
        return error.square().flatten(1).mean(1)

    def mean_errors(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the error of each item averaged over T timesteps, (N,).

        Args:
            values: (N, C, *spatial), unscaled.
            noise: (T, C, *spatial), one noise per timestep, the same for all items.
        """
        total = values.new_zeros(len(values))
        for number, noise_here in enumerate(noise):
            timestep = (2 * number + 1) * self.timesteps // (2 * len(noise))  # the middle of T equal intervals
            timesteps = torch.full((len(values),), timestep, device=values.device)
            total += self.errors(values, noise_here.expand_as(values), timesteps)
        return total / len(noise)

    def _noisy_and_target(self, values: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's input and its target, each (N, C, *spatial)."""
        if self.prediction == "flow":
            # The straight path x_s = (1 - s) x + s eps, with velocity eps - x (Lipman et al. 2023; Liu et al. 2023).
            # Timestep t stands for s = (t + 1) / T, so that the last one is pure noise, where sampling begins.
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
        """Map noise (N, C, *spatial) to values of the same shape, unscaled.

        Args:
            noise: standard normal.
            steps: calls of the U-Net.
            seed: of the noise that `ddpm` adds at each step; the other samplers are deterministic.
        """
        scheduler = self._scheduler()
        scheduler.set_timesteps(steps)
        options: dict[str, Any] = {}
        if self.sampler == "ddpm" and self.prediction != "flow":
            options = {"generator": torch.Generator().manual_seed(seed)}
        values = noise
        for timestep in scheduler.timesteps:
            timesteps = torch.full((len(values),), float(timestep), device=values.device)
            if self.prediction == "flow":
                timesteps = timesteps - 1  # the flow scheduler counts timesteps from 1, training from 0
            values = scheduler.step(self.unet(values, timesteps), timestep, values, **options).prev_sample
        return values / self.scale

    def _scheduler(self) -> Any:
        from diffusers import schedulers

        if self.prediction == "flow":
            return schedulers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=self.timesteps)
        clip = {"clip_sample": self.bounded, "clip_sample_range": float(self.scale)}
        # Trailing spacing begins at the last timestep, the noisiest. Other spacings begin some steps earlier, where
        # training still showed some signal, while sampling begins from pure noise (Lin et al. 2024, 2305.08891).
        if self.sampler == "ddpm":
            return schedulers.DDPMScheduler(**self._options, **clip, timestep_spacing="trailing")
        if self.sampler == "ddim":
            return schedulers.DDIMScheduler(**self._options, **clip, timestep_spacing="trailing")
        return schedulers.DPMSolverMultistepScheduler(**self._options, timestep_spacing="trailing")


def check_levels(widths: Sequence[int], attention: Sequence[int], head_channels: int) -> None:
    """Raise UsageError for a U-Net that cannot be built."""
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
    """Build MONAI's U-Net.

    Args:
        dims: 2 or 3.
        channels: of its input, and of its prediction.
        widths: channels per level; each level after the first halves the sides.
        blocks: residual blocks per level.
        attention: levels, counted from 0, that have self-attention.
        head_channels: channels per attention head; 0 for one head per level.
        residual_resampling: whether residual blocks change the resolution, in place of convolutions.
        recompute: whether activations are recomputed for the gradient instead of kept.
    """
    import_monai()
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


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call forward without keeping its activations: the backward pass recomputes them (Chen et al. 2016)."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
