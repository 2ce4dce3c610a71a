"""Latent diffusion: an autoencoder and a denoiser of its latents, as one network on tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.adapters.network import seeded_noise
from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.adapters.networks.denoiser import LOSS_TIMESTEPS, Denoiser
from benchmark.core.seeding import derive_seed
from benchmark.training.batches import Resident, Streamed, in_order


class LatentModel(nn.Module):
    """An autoencoder (for pixel diffusion one that only rearranges pixels) and the denoiser of its latents."""

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.autoencoder, self.denoiser, self.latent_shape = autoencoder, denoiser, latent_shape

    def generate(self, seed: int, part: slice, steps: int) -> Tensor:
        """Return the samples with these numbers (n, C, *spatial), not clamped, from noise of (seed, first number)."""
        noise = self._noise(part.stop - part.start, seed, part.start)
        images: Tensor = self.autoencoder.decode(self.denoiser.sample(noise, steps, derive_seed(seed, part.start, 1)))
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the autoencoder's reconstruction of images (N, C, *spatial), not clamped."""
        reconstruction: Tensor = self.autoencoder.decode(self.autoencoder.encode(images))
        return reconstruction

    def errors(self, images: Tensor, seed: int) -> Tensor:
        """Return the denoising error of images (N, C, *spatial), a mean over ten timesteps with equal noise, (N,)."""
        noise = torch.cat([self._noise(1, seed, timestep) for timestep in range(LOSS_TIMESTEPS)])
        return self.denoiser.mean_errors(self.autoencoder.encode(images), noise)

    def _noise(self, count: int, *counters: int) -> Tensor:
        return seeded_noise((count, *self.latent_shape), *counters, device=self.denoiser.scale.device)


@torch.no_grad()
def encoded(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """Return the latents of images (n, C, *spatial), without gradients; the first stage stays as it was trained."""
    return autoencoder.encode(images)


@torch.no_grad()
def encode_all(autoencoder: Autoencoder, feed: Resident | Streamed, batch_size: int) -> Tensor:
    """Return the latents of a whole feed, (N, latent channels, *spatial / factor), on its device."""
    return torch.cat([autoencoder.encode(images) for images in in_order(feed, batch_size)])
