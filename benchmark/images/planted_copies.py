"""Planted copies: fixed transformations of known items, by which detectors are tested.

Everything takes and returns (N, C, *spatial) float32 in [-1, 1]; the same items, the same copies.
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
    """Rotate and shift every other item the other way."""
    signs = images.new_ones(len(images))
    signs[1::2] = -1
    move = (signs * shift)[:, None].expand(len(images), images.ndim - 2)
    return affine(images, signs * math.radians(degrees), images.new_full((len(images),), scale), move)


def _rotate(degrees: float) -> Transformation:
    return lambda images: _moved(images, degrees=degrees)


def _shift(share: float) -> Transformation:
    return lambda images: _moved(images, shift=share)


def _crop(share: float) -> Transformation:
    return lambda images: _moved(images, scale=1 / (1 - share))


def _rotate90(quarters: int) -> Transformation:
    return lambda images: images.rot90(quarters, (-2, -1))


def _contrast(exponent: float) -> Transformation:
    return lambda images: gamma(images, images.new_full((len(images),), exponent))


def _blur(sigma: float) -> Transformation:
    return lambda images: blur(images, sigma)


def _noise(share: float) -> Transformation:
    """Noise whose standard deviation is this share of the range, which is 2."""
    return lambda images: add_noise(images, images.new_full((len(images),), 2 * share), _seeded())


def _deform(share: float) -> Transformation:
    """Move points by this share of the field of view, which grids count as 2."""
    return lambda images: deform(images, 2 * share, _seeded())


def _resample(factor: int) -> Transformation:
    def resample(images: Tensor) -> Tensor:
        mode = "bilinear" if images.ndim == 4 else "trilinear"
        small = F.interpolate(images, size=[max(1, size // factor) for size in images.shape[2:]], mode="area")
        return F.interpolate(small, size=images.shape[2:], mode=mode, align_corners=False)

    return resample


def _recode(quality: int) -> Transformation:
    """Through an 8-bit JPEG of this quality, plane by plane."""

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
    "shift": {f"{share:.0%}": _shift(share) for share in (0.02, 0.05, 0.1)},
    "crop": {f"{share:.0%}": _crop(share) for share in (0.05, 0.1, 0.2)},
    "contrast": {f"gamma {exponent}": _contrast(exponent) for exponent in (0.7, 1.4, 2.0)},
    "blur": {f"{sigma} px": _blur(sigma) for sigma in (0.5, 1.0, 2.0)},
    "noise": {f"{share:.1%}": _noise(share) for share in (0.025, 0.05, 0.1)},
    "resample": {f"1/{factor}": _resample(factor) for factor in (2, 4)},
    "deform": {f"{share:.1%}": _deform(share) for share in (0.01, 0.02)},
    "recode": {f"JPEG {quality}": _recode(quality) for quality in (75, 30)},
}
"""What is done to an item -> how strongly -> the function. Rotations and shifts go either way; a crop is magnified
back; noise is a share of the grey range; `rotate90` is about the axis through the last plane."""

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
"""Those that every run measures (protocol p1) and that detectors may claim to be invariant to: kind and strength."""

PLANTED: dict[str, Transformation] = {name: STRENGTHS[kind][strength] for name, (kind, strength) in PLANTED_AS.items()}


def title(kind: str, strength: str) -> str:
    """Name a transformation of STRENGTHS, as audits do: `rotate[15 deg]`."""
    return f"{kind}[{strength}]" if strength else kind
