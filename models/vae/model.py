"""The networks of the variational autoencoder, its loss, and the normal fitted to its latents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.training.batches import Resident, Streamed


class VAE(Autoencoder):
    """Images (N, C, *spatial) to the mean and log variance of (N, latent) numbers, and back."""

    mean: Tensor
    root: Tensor
    """Lower-triangular root of the fitted covariance."""

    def __init__(self, shape: Sequence[int], widths: Sequence[int], latent: int, blocks: int) -> None:
        from monai.networks.nets import VarAutoEncoder

        channels, size, multiple = shape[0], tuple(shape[1:]), 2 ** len(widths)
        normalised = (*widths, channels) if blocks else widths
        body = VarAutoEncoder(
            len(size),
            (channels, *(-(-side // multiple) * multiple for side in size)),
            channels,
            latent,
            widths,
            [2] * len(widths),
            num_res_units=blocks,
            norm=("group", {"num_groups": math.gcd(4, *normalised)}),
        )
        if blocks:  # with residual units MONAI normalises images too, from which all would be equally bright
            body.decode[-1].conv.adn = nn.Identity()
        super().__init__(body, size, multiple)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("root", torch.eye(latent))

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return its mean and log variance, each (N, latent)."""
        mean, log_variance = self.body.encode_forward(self.pad(images))
        return mean.float(), log_variance.float().clamp(-20, 20)

    def encode(self, images: Tensor) -> Tensor:
        """Return the posterior's mean."""
        return self.posterior(images)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Return images, not clamped."""
        return self.crop(self.body.decode_forward(latents, use_sigmoid=False)).float()

    def loss(self, images: Tensor) -> Tensor:
        """Return the negative evidence bound a pixel, with the pixels' variance at its best (Rybkin et al. 2021)."""
        mean, log_variance = self.posterior(images)
        decoded = self.decode(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
        pixels = images[0].numel()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss: Tensor = 0.5 * (decoded - images).square().mean().log() + divergence / pixels
        return loss

    def place(self, z: Tensor) -> Tensor:
        """Turn standard normal z (N, latent) into draws of the fitted density."""
        return self.mean + z @ self.root.T


@torch.no_grad()
def fit_density(model: VAE, feed: Resident | Streamed, batch_size: int) -> None:
    """Give model the mean and covariance of its posteriors over a feed, in float64."""
    parts = [model.posterior(feed.take(part.numpy())) for part in torch.arange(len(feed)).split(batch_size)]
    means = torch.cat([mean for mean, _ in parts]).double()
    variances = torch.cat([log_variance for _, log_variance in parts]).double().exp()
    centred = means - means.mean(0)
    covariance = centred.T @ centred / len(means) + variances.mean(0).diag()
    model.mean.copy_(means.mean(0))
    model.root.copy_(torch.linalg.cholesky(covariance))
