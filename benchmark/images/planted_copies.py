"""Planted copies: fixed transformations of real images, which detectors are tested with.

Everything takes and returns (N, C, *spatial) float32 in [-1, 1], and gives the same copies of the same images: what is
random is drawn from a generator with a fixed seed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.images.transforms import add_noise, affine, blur, deform, gamma

Transformation = Callable[[Tensor], Tensor]


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _moved(images: Tensor, degrees: float = 0, scale: float = 1, shift: float = 0) -> Tensor:
    """Rotate, scale and shift; every other image is rotated and shifted the other way.

    Either way alone would favour detectors whose errors depend on the direction.
    """
    signs = images.new_ones(len(images))
    signs[1::2] = -1
    move = (signs * shift)[:, None].expand(len(images), images.ndim - 2)
    return affine(images, signs * math.radians(degrees), images.new_full((len(images),), scale), move)


def _rotate(degrees: float) -> Transformation:
    return lambda images: _moved(images, degrees=degrees)


def _shift(fraction: float) -> Transformation:
    return lambda images: _moved(images, shift=fraction)


def _crop(fraction: float) -> Transformation:
    """Cut this fraction off each axis, and magnify what is left to the full size."""
    return lambda images: _moved(images, scale=1 / (1 - fraction))


def _rotate90(quarters: int) -> Transformation:
    return lambda images: images.rot90(quarters, (-2, -1))


def _contrast(exponent: float) -> Transformation:
    return lambda images: gamma(images, images.new_full((len(images),), exponent))


def _blur(sigma: float) -> Transformation:
    return lambda images: blur(images, sigma)


def _noise(fraction: float) -> Transformation:
    """Add noise whose standard deviation is this fraction of the range, which is 2."""
    return lambda images: add_noise(images, images.new_full((len(images),), 2 * fraction), _seeded())


def _deform(fraction: float) -> Transformation:
    """Move points by this fraction of the field of view, which grids count as 2."""
    return lambda images: deform(images, 2 * fraction, _seeded())


def _resample(factor: int) -> Transformation:
    """Average over blocks of this many pixels per axis, and interpolate linearly back to the full size."""

    def resample(images: Tensor) -> Tensor:
        mode = "bilinear" if images.ndim == 4 else "trilinear"
        small = F.interpolate(images, size=[max(1, size // factor) for size in images.shape[2:]], mode="area")
        return F.interpolate(small, size=images.shape[2:], mode=mode, align_corners=False)

    return resample


def _recode(quality: int) -> Transformation:
    """Write and read as 8-bit JPEG of this quality, plane by plane."""

    def recode(images: Tensor) -> Tensor:
        import numpy as np
        from PIL import Image

        planes = ((images.cpu() + 1) * 127.5).round().clamp(0, 255).byte().numpy().reshape(-1, *images.shape[-2:])
        for i, plane in enumerate(planes):
            buffer = io.BytesIO()
            Image.fromarray(plane).save(buffer, format="JPEG", quality=quality)
            planes[i] = np.asarray(Image.open(buffer))
        return (torch.from_numpy(planes).view(images.shape).float() / 127.5 - 1).to(images.device)

    return recode


STRENGTHS: dict[str, dict[str, Transformation]] = {
    "exact": {"": lambda images: images},
    "flip": {"left-right": lambda images: images.flip(-1), "up-down": lambda images: images.flip(-2)},
    "rotate": {f"{degrees} deg": _rotate(degrees) for degrees in (5, 10, 15, 30)},
    "rotate90": {f"{90 * quarters} deg": _rotate90(quarters) for quarters in (1, 2)},
    "shift": {f"{fraction:.0%}": _shift(fraction) for fraction in (0.02, 0.05, 0.1)},
    "crop": {f"{fraction:.0%}": _crop(fraction) for fraction in (0.05, 0.1, 0.2)},
    "contrast": {f"gamma {exponent}": _contrast(exponent) for exponent in (0.7, 1.4, 2.0)},
    "blur": {f"{sigma} px": _blur(sigma) for sigma in (0.5, 1.0, 2.0)},
    "noise": {f"{fraction:.1%}": _noise(fraction) for fraction in (0.025, 0.05, 0.1)},
    "resample": {f"1/{factor}": _resample(factor) for factor in (2, 4)},
    "deform": {f"{fraction:.1%}": _deform(fraction) for fraction in (0.01, 0.02)},
    "recode": {f"JPEG {quality}": _recode(quality) for quality in (75, 30)},
}
"""Kind of transformation -> strength -> the function. Rotations and shifts go either way; a crop is magnified back;
noise is a fraction of the grey range; `rotate90` is in the plane of the last two axes."""

PLANTED_AS = {
    "exact": ("exact", ""),
    "flip": ("flip", "left-right"),
    "rotate5": ("rotate", "5 deg"),
    "rotate15": ("rotate", "15 deg"),
    "shift": ("shift", "5%"),
    "crop": ("crop", "10%"),
    "contrast": ("contrast", "gamma 1.4"),
    "blur": ("blur", "1.0 px"),
    "noise": ("noise", "5.0%"),
    "resample": ("resample", "1/2"),
    "deform": ("deform", "1.0%"),
    "recode": ("recode", "JPEG 75"),
}
"""The ones that every run measures (protocol p2) and that detectors may claim to be invariant to: kind, strength."""

PLANTED: dict[str, Transformation] = {name: STRENGTHS[kind][strength] for name, (kind, strength) in PLANTED_AS.items()}


def title(kind: str, strength: str) -> str:
    """Return the name of a transformation of STRENGTHS in audits: `rotate[15 deg]`."""
    return f"{kind}[{strength}]" if strength else kind
