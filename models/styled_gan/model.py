"""Generator and discriminator together, and the losses of their alternating phases."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.training.phases import ParameterGroup, Phase

from .augmentation import Augmentation
from .discriminator import Discriminator
from .generator import Generator

MIXING = 0.9
"""Share of generated images with two styles: mixing keeps levels from relying on each other (Karras et al. 2019)."""
AVERAGE_DECAY = 0.998
"""Decay of the moving average of styles, as in StyleGAN2."""


class Model(nn.Module):
    """Generator, discriminator, augmentation, and the running mean of the path length."""

    path_mean: Tensor
    """Running mean of the path length, a scalar."""

    def __init__(self, generator: Generator, discriminator: Discriminator, augmentation: Augmentation) -> None:
        super().__init__()
        self.generator, self.discriminator, self.augmentation = generator, discriminator, augmentation
        self.register_buffer("path_mean", torch.zeros(()))

    def generate(self, count: int) -> tuple[Tensor, Tensor]:
        """Return random images (count, C, H, W) with mixed styles, and their styles (count, convolutions, latent)."""
        net, device = self.generator, self.path_mean.device
        w = net.styles(torch.randn(2 * count, net.latent).to(device))
        with torch.no_grad():
            net.average.lerp_(w.detach().float().mean(0), 1 - AVERAGE_DECAY)
        styles, other = net.same(w[:count]), net.same(w[count:])
        change = torch.randint(1, styles.shape[1], (count,))
        change = torch.where(torch.rand(count) < MIXING, change, styles.shape[1])
        early = (torch.arange(styles.shape[1]) < change[:, None]).to(device)[:, :, None]
        styles = torch.where(early, styles, other)
        return net.synthesis(styles, lambda shape: torch.randn(shape).to(device)), styles

    def judge(self, images: Tensor) -> Tensor:
        """Return the discriminator's logits of augmented images, (N,)."""
        logits: Tensor = self.discriminator(self.augmentation(images))
        return logits


def generator_loss(net: Model, images: Tensor) -> Tensor:
    """Return the non-saturating logistic loss, a scalar (Goodfellow et al. 2014); images (N, C, H, W) give its size."""
    return F.softplus(-net.judge(net.generate(len(images))[0])).mean()


def discriminator_loss(net: Model, images: Tensor) -> Tensor:
    """Return the logistic loss of real images (N, C, H, W) and as many generated ones, a scalar; adapt augmentation."""
    with torch.no_grad():
        generated = net.generate(len(images))[0]
    real = net.judge(images)
    net.augmentation.adapt(real.detach())
    return F.softplus(-real).mean() + F.softplus(net.judge(generated)).mean()


def gradient_penalty(net: Model, images: Tensor, weight: float) -> Tensor:
    """Return R1: weight / 2 times the squared norm of the gradient of the logits at real images (N, C, H, W), a scalar.

    At the optimum the discriminator is flat on the data, and training converges locally only if its gradient vanishes
    there (Mescheder et al. 2018). Images are not augmented here: torch before 2.12 has no second derivative of
    resampling.
    """
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.discriminator(images).sum(), images, create_graph=True)
    return 0.5 * weight * gradient.square().sum((1, 2, 3)).mean()


def path_penalty(net: Model, images: Tensor, weight: float) -> Tensor:
    """Return weight times the squared deviation of |J^T y| from its running mean, a scalar.

    J is the derivative of the image by the styles, y a random image. Steps of equal length in w then change the image
    equally everywhere (Karras et al. 2020, equation 4). Half of the batch is enough, and saves memory.
    """
    generated, styles = net.generate(max(1, len(images) // 2))
    # Divided by the root of the number of pixels, so that lengths do not grow with the resolution.
    noise = torch.randn(generated.shape).to(generated) / math.sqrt(generated.shape[2] * generated.shape[3])
    (gradient,) = torch.autograd.grad((generated * noise).sum(), styles, create_graph=True)
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    with torch.no_grad():
        net.path_mean.lerp_(lengths.mean(), 0.01)
    return weight * (lengths - net.path_mean).square().mean()


def phases(*, r1: float, path: float, path_every: int = 4, r1_every: int = 16) -> tuple[Phase, ...]:
    """Return the phases of a step.

    The penalties are expensive and change slowly: each is computed every k steps only, with k times its weight (lazy
    regularisation, Karras et al. 2020, appendix B).

    Args:
        r1: weight of the gradient penalty; 0 for none.
        path: weight of the path-length penalty; 0 for none.
        path_every: steps between two path-length penalties.
        r1_every: steps between two gradient penalties.
    """
    generator = _parameters("generator", path_every if path else 1)
    discriminator = _parameters("discriminator", r1_every if r1 else 1)
    alternating = [Phase("generator", generator_loss, generator)]
    if path:
        alternating.append(Phase("path", lambda net, x: path_penalty(net, x, path * path_every), generator, path_every))
    alternating.append(Phase("discriminator", discriminator_loss, discriminator))
    if r1:
        alternating.append(Phase("r1", lambda net, x: gradient_penalty(net, x, r1 * r1_every), discriminator, r1_every))
    return tuple(alternating)


def _parameters(name: str, every: int) -> ParameterGroup:
    """Return an Adam without momentum, corrected for lazy regularisation.

    A penalty every k steps adds one optimiser step to k others. With c = k / (k + 1), a learning rate of c times the
    usual one and beta^c leave the total step and the memory per training step as they were (Karras et al. 2020, B).
    """
    share = every / (every + 1) if every > 1 else 1.0
    return ParameterGroup(name, rate=share, betas=(0.0, 0.99**share), epsilon=1e-8)
