"""The networks of the variational autoencoder, its loss, and the normal distribution fitted to its latents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.core.monai_import import import_monai
from benchmark.training.batches import Resident, Streamed, in_order


class VAE(Autoencoder):
    """Maps images (N, C, *spatial) to the mean and log variance of latents (N, latent), and back."""

    mean: Tensor
    """Mean of the fitted density, (latent,)."""
    root: Tensor
    """Cholesky factor L of its covariance L L^T, (latent, latent), lower triangular."""

    def __init__(self, shape: Sequence[int], widths: Sequence[int], latent: int, blocks: int) -> None:
        import_monai()
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
        """Return the mean and log variance of the latents of images, each (N, latent)."""
        mean, log_variance = self.body.encode_forward(self.pad(images))
        return mean.float(), log_variance.float().clamp(-20, 20)  # its exponential would overflow in early training

    def encode(self, images: Tensor) -> Tensor:
        """Return the mean of the posterior, (N, latent)."""
        return self.posterior(images)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, C, *spatial), not clamped."""
        return self.crop(self.body.decode_forward(latents, use_sigmoid=False)).float()

    def loss(self, images: Tensor) -> Tensor:
        """Return the negative evidence lower bound per pixel, up to a constant, with the optimal variance of pixels.

        For Gaussian pixels of one variance s, -log p = 0.5 (error / s + log s + log 2 pi). Its minimum over s is at
        s = error, the mean squared error of the batch, which leaves 0.5 log(error): no weight of the divergence has to
        be chosen (sigma-VAE, Rybkin et al. 2021).
        """
        mean, log_variance = self.posterior(images)
        # Reparametrised: the draw mean + sigma eps has a gradient for both (Kingma & Welling 2014).
        decoded = self.decode(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
        pixels = images[0].numel()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss: Tensor = 0.5 * (decoded - images).square().mean().log() + divergence / pixels
        return loss

    def place(self, z: Tensor) -> Tensor:
        """Map standard normal z (N, latent) to draws of the fitted density, (N, latent)."""
        return self.mean + z @ self.root.T


@torch.no_grad()
def fit_density(model: VAE, feed: Resident | Streamed, batch_size: int) -> None:
    """Fit the density of latents to the posteriors over a feed, in float64.

    The posteriors taken together differ from the prior N(0, 1): draws of the prior may decode to images unlike any
    training image. Their covariance is that of the posterior means plus the mean of the posterior variances (law of
    total variance); the latter also keep the matrix positive definite, as Cholesky needs.
    """
    parts = [model.posterior(images) for images in in_order(feed, batch_size)]
    means = torch.cat([mean for mean, _ in parts]).double()
    variances = torch.cat([log_variance for _, log_variance in parts]).double().exp()
    centred = means - means.mean(0)
    covariance = centred.T @ centred / len(means) + variances.mean(0).diag()
    model.mean.copy_(means.mean(0))
    model.root.copy_(torch.linalg.cholesky(covariance))
