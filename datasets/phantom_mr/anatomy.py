"""The shapes of one patient's brain, as signed distances in mm on the 2 mm grid, negative inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .fields import Place, ellipsoid, smooth_max, smooth_min, smooth_noise, steepness, tube

if TYPE_CHECKING:
    from .fields import Field


class Anatomy(NamedTuple):
    """Signed distances in mm on the 2 mm grid, negative inside."""

    cerebrum: Field
    core: Field
    """Callosum, thalami and the tissue between them: joins the hemispheres, has no cortex."""
    cerebellum: Field
    stem: Field
    peduncle: Field
    head: Field
    """All that skull stripping keeps: tissue, and the fluid between its parts."""
    ventricles: Field
    thalamus: Field
    striatum: Field
    pallidum: Field


def deform(rng: np.random.Generator, at: Place) -> Place:
    """Give the patient a size, proportions and an asymmetry; return the position of each point before deformation."""
    size = rng.normal(1.0, 0.025)
    proportions = np.clip(size * rng.normal(1.0, 0.02, 3), 0.93, 1.045)
    shape = at.left.shape
    bends = [
        smooth_noise(rng, 60, shape) * np.float32(2.8) + smooth_noise(rng, 26, shape) * np.float32(0.9)
        for _ in range(3)
    ]
    # The midline bends less than the rest: both hemispheres press against the falx.
    bends[0] *= np.clip(0.25 + np.abs(at.left) / 40, 0, 1)
    return Place(*(x / np.float32(p) + b for x, p, b in zip(at, proportions, bends, strict=True)))


def build(rng: np.random.Generator, at: Place) -> Anatomy:
    """Shape the brain's parts at deformed places; ventricles grow with a random age."""
    side = Place(np.abs(at.left), at.front, at.up)
    age = float(np.clip(rng.normal(0.95, 0.3), 0.5, 1.7))
    cerebellum, stem, peduncle = hindbrain(side)
    core = ellipsoid(side, (0, -4, 4), (25, 38, 20))
    outer = smooth_min(_vault(side), _temporal(side), 4)
    cerebrum = hemispheres(side, outer, core, np.minimum(cerebellum, stem))
    caudate = tube(side, [(12, 27, 4, 5.5), (14, 16, 9, 5), (17, 0, 19, 3), (20, -18, 18, 2)])
    putamen = ellipsoid(Place(side.left + 0.22 * side.front, *side[1:]), (27, 4, 2), (5, 17, 10))
    head = smooth_min(smooth_min(outer, cerebellum, 16), stem, 14)
    return Anatomy(
        cerebrum=cerebrum,
        core=core,
        cerebellum=cerebellum,
        stem=stem,
        peduncle=peduncle,
        head=head,
        ventricles=ventricles(side, age, caudate),
        thalamus=ellipsoid(Place(side.left + 0.3 * (side.front + 14), *side[1:]), (10.5, -14, 6), (8, 15, 9)),
        striatum=np.minimum(caudate, putamen),
        pallidum=ellipsoid(Place(side.left + 0.3 * side.front, *side[1:]), (19.5, 2, 0), (4, 9, 7)),
    )


def hindbrain(side: Place) -> tuple[Field, Field, Field]:
    """Return the cerebellum, the brain stem and the middle peduncles."""
    lobes = ellipsoid(side, (23, -56, -37), (28, 28, 20))
    cerebellum = smooth_min(lobes, ellipsoid(side, (0, -52, -26), (14, 22, 20)), 6)
    stem = tube(side, [(0, -12, -2, 12), (0, -13, -15, 14), (0, -11, -28, 16), (0, -19, -44, 11), (0, -28, -68, 8)])
    legs = tube(side, [(7, -10, -2, 9), (11, -5, -14, 7)])
    peduncle = tube(side, [(10, -15, -29, 7), (20, -34, -33, 7), (26, -50, -36, 4)])
    return cerebellum, smooth_min(stem, legs, 4), peduncle


def hemispheres(side: Place, outer: Field, core: Field, below: Field) -> Field:
    """Return both hemispheres, parted by the fissure above the core and by the tentorium from what is below."""
    cistern = ellipsoid(side, (0, -6, -24), (19, 30, 21))
    outer = smooth_max(outer, 2 - np.minimum(below, cistern), 4)
    outer = smooth_max(outer, np.float32(0.5) - side.left, 4)
    return smooth_min(outer, core, 3)


def _vault(side: Place) -> Field:
    taper = 1 + 0.0022 * np.maximum(side.front + 5, 0) + 0.004 * np.maximum(-45 - side.front, 0)
    floor = 30 - 0.1 * np.clip(side.front, -60, 60)
    depth = np.where(side.up > 0, np.float32(66), floor)
    parts = (side.left * taper / 67, (side.front + 1) / 89, side.up / depth)
    level = np.asarray(sum(np.abs(p) ** np.float32(2.5) for p in parts) ** np.float32(1 / 2.5), np.float32)
    return np.asarray((level - 1) / np.maximum(steepness(level), 0.008), np.float32)


def _temporal(side: Place) -> Field:
    tilted = Place(side.left, side.front, side.up + np.float32(0.25) * side.front)
    return ellipsoid(tilted, (43, -3, -24), (20, 40, 19))


def ventricles(side: Place, age: float, caudate: Field) -> Field:
    """Return the lateral ventricles as two C-shaped tubes dented by the caudate, the third and the fourth."""
    r = age**0.6
    body = [(9, 37, 5, 3.5), (8, 26, 10, 5.5), (8, 10, 16, 5.5), (9, -10, 19, 5), (15, -26, 17, 5.5)]
    back = [(15, -26, 17, 5.5), (24, -40, 7, 7), (25, -54, 3, 4), (22, -68, 1, 1.5)]
    down = [(24, -40, 7, 6), (32, -28, -8, 3), (35, -10, -20, 2.2), (31, 5, -24, 2.4)]
    lateral = [tube(side, [(x, y, z, q * r) for x, y, z, q in part]) for part in (body, back, down)]
    sides = smooth_max(np.minimum(np.minimum(lateral[0], lateral[1]), lateral[2]), 0.5 - caudate, 2)
    sides = np.maximum(sides, np.float32(0.8) - side.left)
    third = ellipsoid(side, (0, -5, 1), (2.2 * r, 15, 9))
    fourth = ellipsoid(side, (0, -30, -31), (6 * r, 5, 10))
    return np.asarray(np.minimum(np.minimum(sides, third), fourth), np.float32)
