"""A glioma: where it sits, how it pushes, its necrotic core, enhancing rim and oedema."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .fields import Place, smooth_noise

if TYPE_CHECKING:
    from .fields import Field


class Tumour(NamedTuple):
    """Signed distances in mm on the 2 mm grid, negative inside, and the brightness of the rim."""

    core: Field
    """Rim and all within."""
    necrosis: Field
    oedema: Field
    """How far the oedema would go if all of it were white matter."""
    enhancement: float


class Site(NamedTuple):
    """Where a tumour sits: mm left, front, up, and its mean radius in mm."""

    centre: tuple[float, float, float]
    radius: float


def choose(rng: np.random.Generator) -> Site:
    """Draw a place in the white matter of either hemisphere and a radius of 7 to 24 mm."""
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(-6, 36)
    side = rng.choice((-1, 1)) * (36 + 9 * np.cos(angle)) * np.sqrt(1 - (height / 75) ** 2)
    radius = float(np.clip(rng.lognormal(np.log(13), 0.35), 7, 24))
    return Site((float(side), float(44 * np.sin(angle) - 5), float(height)), radius)


def push(rng: np.random.Generator, site: Site, at: Place) -> Place:
    """Move tissue away from the tumour by up to a third of its radius; return where each point came from."""
    offset = [x - np.float32(c) for x, c in zip(at, site.centre, strict=True)]
    distance = np.sqrt(sum(o * o for o in offset)) / np.float32(1.5 * site.radius)
    shrink = np.float32(rng.uniform(0.15, 0.45)) * np.exp(-distance * distance)
    return Place(*(x - o * shrink for x, o in zip(at, offset, strict=True)))


def grow(rng: np.random.Generator, site: Site, at: Place) -> Tumour:
    """Shape the tumour's parts; about one in six enhances faintly."""
    stretch = rng.uniform(0.75, 1.3, 3)
    square = sum(((x - c) / s) ** 2 for x, c, s in zip(at, site.centre, stretch, strict=True))
    distance = np.sqrt(square).astype(np.float32)
    shape = distance.shape
    lumps = 0.3 * smooth_noise(rng, 15, shape) + 0.14 * smooth_noise(rng, 7, shape)
    core = distance - np.float32(site.radius) * (1 + lumps)
    rim = np.clip(rng.uniform(2.2, 4.5) + 1.6 * smooth_noise(rng, 9, shape), 0.8, None)
    spread = rng.uniform(8, 26) * (1 + 0.45 * smooth_noise(rng, 22, shape))
    faint = rng.random() < 1 / 6
    return Tumour(core, core + rim, core - np.clip(spread, 1, 30), float(rng.uniform(0.2, 1.0) if not faint else 0.1))
