"""Planted copies: fixed transformations of real images, which detectors are tested with.

Everything takes and returns (N, C, *spatial) float32 in [-1, 1], and gives the same copies of the same images: what is
random is drawn from a generator with a fixed seed. Whole copies are made of a source image alone; local copies are a
part of a source image inside the image of another patient, the host.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.images.transforms import add_noise, affine, blur, deform, gamma

Transformation = Callable[[Tensor], Tensor]
Pasting = Callable[[Tensor, Tensor], Tensor]
"""Sources and hosts, (N, C, *spatial) each, to hosts with a part of their source, same shape."""
EDGE = 1 / 4
"""Width of the border in which source and host are blended, as a fraction of the pasted box's side."""
DRAWS = 4
"""Boxes that are drawn per pair; the one where source and host differ most is used."""


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


def _paste(share: float, moved: float = 0.0) -> Pasting:
    """Paste a box of this share of the area or volume at its own place, or moved by up to `moved` of each side.

    The box has the proportions of the image. Of several random boxes the one in which source and host differ most is
    pasted: a piece of empty background inside another background would be no copy of anything.
    """

    def paste(sources: Tensor, hosts: Tensor) -> Tensor:
        generator = _seeded()
        count, dims = len(sources), sources.ndim - 2
        side = share ** (1 / dims)
        shifts = (2 * torch.rand(count, dims, generator=generator) - 1) * moved
        given = affine(sources, shifts.new_zeros(count), shifts.new_ones(count), shifts) if moved else sources
        # Centres are at least half a side from the border: the box is inside the image.
        centres = side / 2 + (1 - side) * torch.rand(DRAWS, count, dims, generator=generator)
        masks = torch.stack([box_mask(centre, side, sources.shape[2:]) for centre in centres])
        difference = (masks * (given - hosts).square()).flatten(2).sum(2)
        return torch.lerp(hosts, given, masks[difference.argmax(0), torch.arange(count)])

    return paste


def box_mask(centres: Tensor, side: float, shape: Sequence[int]) -> Tensor:
    """Return the weight of the source in each pixel, (N, 1, *shape): 1 inside a box, 0 outside, smooth at its border.

    Args:
        centres: (N, dims) of the boxes, as fractions of the sides.
        side: of the box, as a fraction of the image's.
        shape: spatial shape of the images.
    """
    mask = centres.new_ones(len(centres), *[1] * (len(shape) + 1))
    for axis, size in enumerate(shape):
        places = (torch.arange(size) + 0.5) / size
        inside = side / 2 - (places[None] - centres[:, axis, None]).abs()  # distance from the border, > 0 inside
        # A raised cosine about the border: half of it is inside the box, so that the area is the share asked for.
        weight = 0.5 - 0.5 * torch.cos(math.pi * (inside / (EDGE * side) + 0.5).clamp(0, 1))
        mask = mask * weight.view(len(centres), 1, *[size if other == axis else 1 for other in range(len(shape))])
    return mask


STRENGTHS: dict[str, dict[str, Transformation]] = {
    "exact": {"": lambda images: images},
    "flip": {"left-right": lambda images: images.flip(-1), "up-down": lambda images: images.flip(-2)},
    "rotate": {f"{degrees} deg": _rotate(degrees) for degrees in (3, 5, 10, 15, 30)},
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

PASTED: dict[str, dict[str, Pasting]] = {
    "local": {"16%": _paste(0.16), "25%": _paste(0.25), "25% moved": _paste(0.25, moved=0.03)},
}
"""The same for local copies: the share of the area or volume that is pasted, and whether it is moved by up to 3 % of
each side."""

KINDS = (*STRENGTHS, *PASTED)
"""All kinds of copies that an audit measures, in its order."""

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
"""The ones that every run measures: kind, strength."""

LOCAL_AS = {"local16": ("local", "16%"), "local25": ("local", "25%")}
"""Copies of a part of an image, which only audits measure."""

CLAIMED_AS = {**PLANTED_AS, **LOCAL_AS}
"""All that detectors may claim to find."""

PLANTED: dict[str, Transformation] = {name: STRENGTHS[kind][strength] for name, (kind, strength) in PLANTED_AS.items()}


def title(kind: str, strength: str) -> str:
    """Return the name of a transformation of STRENGTHS in audits: `rotate[15 deg]`."""
    return f"{kind}[{strength}]" if strength else kind
