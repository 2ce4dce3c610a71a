"""The generator: a mapping network and modulated convolutions (Karras et al. 2019, 2020), written from the papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Dense, activate

Noise = Callable[[tuple[int, ...]], Tensor]


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output is normalised to unit variance.

    Karras et al. (2020), equations 1 to 3, applied to the activations instead of the weights: the scale s and the
    demodulation factor d of an item multiply its input and output channels, so that one convolution serves the batch.
    Demodulation assumes inputs of unit variance; normalising the actual activations caused droplet artefacts.
    """

    def __init__(self, width_in: int, width_out: int, styles: int, kernel: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.style = Dense(styles, width_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(width_out, width_in, kernel, kernel))
        self.gain = 1 / math.sqrt(width_in * kernel**2)
        self.demodulate = demodulate

    def forward(self, images: Tensor, w: Tensor) -> Tensor:
        """Map activations (N, in, H, W) and styles w (N, styles) to (N, out, H, W)."""
        scale: Tensor = self.style(w)
        weight = self.weight * self.gain
        images = F.conv2d(images * scale[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return images
        power: Tensor = scale.square() @ weight.square().sum((2, 3)).T
        return images * (power + 1e-8).rsqrt()[:, :, None, None]


class StyledConv(nn.Module):
    """A modulated convolution, noise of a learnt strength, a bias and the activation."""

    def __init__(self, width_in: int, width_out: int, styles: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(width_in, width_out, styles, 3)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, images: Tensor, w: Tensor, noise: Noise) -> Tensor:
        """Map activations (N, in, H, W) and styles w (N, styles) to (N, out, H, W)."""
        images = self.conv(images, w)
        images = images + self.strength * noise((len(images), 1, *images.shape[2:]))
        return activate(images + self.bias[:, None, None])


class Level(nn.Module):
    """Two styled convolutions at one resolution, twice that of the level before (except at the bottom)."""

    def __init__(self, width_in: int, width: int, styles: int, channels: int, *, bottom: bool) -> None:
        super().__init__()
        self.bottom = bottom
        self.first = StyledConv(width_in, width, styles)
        self.second = StyledConv(width, width, styles)
        self.to_image = ModulatedConv(width, channels, styles, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor, image: Tensor | None, w: Sequence[Tensor], noise: Noise) -> tuple[Tensor, Tensor]:
        """Return features (N, width, H, W) and the sum of the images of all levels so far, (N, channels, H, W).

        Skip connections in place of progressive growing: Karras et al. (2020), figure 7.
        """
        if not self.bottom:
            values = double(values)
        values = self.second(self.first(values, w[0], noise), w[1], noise)
        own = self.to_image(values, w[1]) + self.bias[:, None, None]
        return values, own if image is None else double(image) + own


class Generator(nn.Module):
    """Maps z (N, latent) to images (N, C, H, W); each width is a level, from the smallest images to the largest."""

    average: Tensor
    """Moving average of w over training, (latent,), for truncation."""

    def __init__(self, shape: tuple[int, ...], widths: Sequence[int], latent: int, mapping_layers: int) -> None:
        super().__init__()
        self.size, self.latent, self.levels = shape[1:], latent, len(widths)
        # 100 times slower: the mapping network is unstable at the rate of the others (Karras et al. 2019, appendix C).
        self.mapping = nn.ModuleList(Dense(latent, latent, rate=0.01) for _ in range(mapping_layers))
        base = tuple(-(-side // 2 ** (len(widths) - 1)) for side in self.size)
        self.constant = nn.Parameter(torch.randn(1, widths[0], *base))
        ins = [widths[0], *widths[:-1]]
        self.blocks = nn.ModuleList(
            Level(before, width, latent, shape[0], bottom=number == 0)
            for number, (before, width) in enumerate(zip(ins, widths, strict=True))
        )
        self.register_buffer("average", torch.zeros(latent))

    def styles(self, z: Tensor) -> Tensor:
        """Map z (N, latent) to w (N, latent): normalise to unit mean square, then apply dense layers."""
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = activate(layer(w))
        return w

    def synthesis(self, w: Tensor, noise: Noise) -> Tensor:
        """Map w (N, 2 levels, latent), a style for each convolution, to images (N, C, H, W)."""
        values, image = self.constant.expand(len(w), -1, -1, -1), None
        for number, block in enumerate(self.blocks):
            values, image = block(values, image, (w[:, 2 * number], w[:, 2 * number + 1]), noise)
        assert image is not None
        cropped: Tensor = image
        for axis, side in enumerate(self.size, start=2):
            cropped = cropped.narrow(axis, (cropped.shape[axis] - side) // 2, side)
        return cropped

    def same(self, w: Tensor) -> Tensor:
        """Give every convolution the same style: (N, latent) to (N, 2 levels, latent)."""
        return w[:, None].expand(-1, 2 * self.levels, -1)


def double(images: Tensor) -> Tensor:
    """Double the sides of (N, C, H, W) bilinearly: smooth upsampling keeps details from sticking to the pixel grid."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
