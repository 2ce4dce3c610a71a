"""Generator and discriminator together, and the losses by which they train in turns."""

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
"""Share of generated images whose convolutions change style midway."""
AVERAGE_DECAY = 0.998


class Model(nn.Module):
    """A generator, its adversary, and the state of path length and augmentation."""

    path_mean: Tensor

    def __init__(self, generator: Generator, discriminator: Discriminator, augmentation: Augmentation) -> None:
        super().__init__()
        self.generator, self.discriminator, self.augmentation = generator, discriminator, augmentation
        self.register_buffer("path_mean", torch.zeros(()))

    def generate(self, count: int) -> tuple[Tensor, Tensor]:
        """Return random images with mixed styles, and their styles (count, convolutions, latent)."""
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
        """Return the discriminator's logits of augmented images."""
        logits: Tensor = self.discriminator(self.augmentation(images))
        return logits


def generator_loss(net: Model, images: Tensor) -> Tensor:
    """Non-saturating logistic loss (Goodfellow et al. 2014)."""
    return F.softplus(-net.judge(net.generate(len(images))[0])).mean()


def discriminator_loss(net: Model, images: Tensor) -> Tensor:
    """Logistic loss of real and generated images; augmentation follows the former's logits."""
    with torch.no_grad():
        generated = net.generate(len(images))[0]
    real = net.judge(images)
    net.augmentation.follow(real.detach())
    return F.softplus(-real).mean() + F.softplus(net.judge(generated)).mean()


def gradient_penalty(net: Model, images: Tensor, weight: float) -> Tensor:
    """R1: weight / 2 times the squared gradient of the logits at real images (Mescheder et al. 2018).

    Images are not augmented here: torch before 2.12 has no second derivative of what resamples them.
    """
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.discriminator(images).sum(), images, create_graph=True)
    return 0.5 * weight * gradient.square().sum((1, 2, 3)).mean()


def path_penalty(net: Model, images: Tensor, weight: float) -> Tensor:
    """Squared deviation of |J^T y| from its running mean (Karras et al. 2020, equation 4)."""
    generated, styles = net.generate(max(1, len(images) // 2))
    noise = torch.randn(generated.shape).to(generated) / math.sqrt(generated.shape[2] * generated.shape[3])
    (gradient,) = torch.autograd.grad((generated * noise).sum(), styles, create_graph=True)
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    with torch.no_grad():
        net.path_mean.lerp_(lengths.mean(), 0.01)
    return weight * (lengths - net.path_mean).square().mean()


def phases(*, r1: float, path: float, path_every: int = 4, r1_every: int = 16) -> tuple[Phase, ...]:
    """Return the turns of a step; penalties come seldom and count for as much (Karras et al. 2020, B)."""
    generator = _part("generator", path_every if path else 1)
    discriminator = _part("discriminator", r1_every if r1 else 1)
    turns = [Phase("generator", generator_loss, generator)]
    if path:
        turns.append(Phase("path", lambda net, x: path_penalty(net, x, path * path_every), generator, path_every))
    turns.append(Phase("discriminator", discriminator_loss, discriminator))
    if r1:
        turns.append(Phase("r1", lambda net, x: gradient_penalty(net, x, r1 * r1_every), discriminator, r1_every))
    return tuple(turns)


def _part(name: str, every: int) -> ParameterGroup:
    """Adam without momentum; with a penalty every k steps there are k + 1 of its steps for k of the recipe's."""
    share = every / (every + 1) if every > 1 else 1.0
    return ParameterGroup(name, rate=share, betas=(0.0, 0.99**share), epsilon=1e-8)
