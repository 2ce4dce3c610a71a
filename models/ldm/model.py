"""Both trained stages together: what an adapter asks of them, batch by batch, in tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.errors import AdapterError
from benchmark.feeding import Resident, Streamed
from benchmark.seeding import word

from .autoencoder import Autoencoder
from .diffusion import TIMESTEPS, Denoiser

LOSS_TIMESTEPS = range(TIMESTEPS // 20, TIMESTEPS, TIMESTEPS // 10)


class Model(nn.Module):
    """An autoencoder and the denoiser of its latents."""

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.autoencoder, self.denoiser, self.latent_shape = autoencoder, denoiser, latent_shape

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.denoiser.scale.device

    def noise(self, count: int, *counters: int) -> Tensor:
        """Return latent noise drawn on the CPU, so that every device starts from the same."""
        generator = torch.Generator().manual_seed(word(*counters))
        return torch.randn(count, *self.latent_shape, generator=generator).to(self.device)

    @torch.no_grad()
    def generate(self, noise: Tensor, steps: int) -> Tensor:
        """Return the images that DDIM makes of latent noise, in [-1, 1]."""
        return _images(self.autoencoder.decode(self.denoiser.sample(noise, steps)))

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the autoencoder's view of images, in [-1, 1]."""
        return _images(self.autoencoder.decode(self.autoencoder.encode(images)))

    @torch.no_grad()
    def errors(self, images: Tensor, seed: int) -> Tensor:
        """Return each image's denoising error, averaged over ten timesteps with the same noise for all, (N,)."""
        latents = self.autoencoder.encode(images)
        total = latents.new_zeros(len(latents))
        for timestep in LOSS_TIMESTEPS:
            noise = self.noise(1, seed, timestep).expand_as(latents)
            total += self.denoiser.errors(latents, noise, torch.full((len(latents),), timestep, device=self.device))
        return total / len(LOSS_TIMESTEPS)


@torch.no_grad()
def encode_all(autoencoder: Autoencoder, feed: Resident | Streamed, batch_size: int) -> Tensor:
    """Return the latents of a whole feed, (N, latent channels, *spatial / factor), on its device."""
    positions = torch.arange(len(feed)).split(batch_size)
    return torch.cat([autoencoder.encode(feed.take(part.numpy())) for part in positions])


def _images(decoded: Tensor) -> Tensor:
    if not torch.isfinite(decoded).all():
        raise AdapterError(
            "ldm made images that are not finite", "train it again with a lower learning rate, or with precision fp32"
        )
    return decoded.clamp(-1, 1)
