"""The folding of the cortex: sulci are the zero sheets of a noise that is carried inwards from the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .fields import Place, look_up, ripples, slope, smooth_noise, steepness

if TYPE_CHECKING:
    from .anatomy import Anatomy
    from .fields import Field


class Folds(NamedTuple):
    """Fields on the 2 mm grid, in mm."""

    sheet: Field
    """Signed distance to the nearest sulcal sheet, were the sheet endless."""
    reach: Field
    """How deep below the brain's surface the sheets go here."""
    sylvian: Field
    """Distance to the Sylvian fissure and the insular cleft."""
    folia: Field
    """Position across the leaves of the cerebellum."""


def fold(rng: np.random.Generator, at: Place, brain: Anatomy) -> Folds:
    """Draw the patient's own sulcal pattern."""
    depth = np.clip(-brain.cerebrum, -3, 26)
    normal = slope(brain.cerebrum)
    # Following the normal to the surface makes the sheets stand upright on it, whatever the surface's shape.
    surface = [x + np.float32(0.7) * depth * n for x, n in zip(at, normal, strict=True)]
    # Far apart in the noise, or the two sides of the fissure would fold as mirror images.
    surface[0] += 48 * np.sign(at.left)
    sway = [2.2 * smooth_noise(rng, 16, at.left.shape) for _ in range(3)]
    pattern = look_up(ripples(rng, rng.uniform(18, 21.5)), [s + w for s, w in zip(surface, sway, strict=True)])
    sheet = pattern / (steepness(pattern) + np.float32(0.03))
    reach = (21 + 5 * smooth_noise(rng, 16, at.left.shape)) * np.clip(np.abs(at.left) / 24, 0.4, 1)
    return Folds(
        sheet,
        np.clip(reach, 7, 28).astype(np.float32),
        sylvian(Place(*(x + w for x, w in zip(at, sway, strict=True)))),
        folia(rng, at),
    )


def sylvian(at: Place) -> Field:
    """Return the distance to the cleft that rises backwards along the side, and to the insula at its bottom."""
    side = np.abs(at.left)
    ahead = np.maximum(np.maximum(at.front - 26, -36 - at.front), 0)
    height = at.up + np.float32(0.45) * at.front - 1
    cleft = np.sqrt((0.9 * height) ** 2 + np.maximum(37 - side, 0) ** 2 + ahead**2)
    insula = side - 36 - np.float32(0.004) * at.front**2
    span = np.maximum(np.maximum(-5 - height, height - 15), 0)
    inner = np.maximum(np.maximum(at.front - 22, -24 - at.front), 0)
    return np.asarray(np.minimum(cleft, np.sqrt(insula**2 + span**2 + inner**2)), np.float32)


def folia(rng: np.random.Generator, at: Place) -> Field:
    """Return mm across the leaves: arcs around the fourth ventricle, fanned out in the sagittal plane."""
    ahead, up = at.front + 26 - np.float32(0.005) * at.left**2, at.up + 33
    radius = np.sqrt(ahead**2 + up**2 + 25)
    fan = np.arctan2(up, -ahead) * 14
    return np.asarray(0.95 * radius + fan + 1.2 * smooth_noise(rng, 14, at.left.shape), np.float32)
