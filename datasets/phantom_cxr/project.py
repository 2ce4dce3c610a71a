"""Radiographs of a simulated chest: attenuation along parallel rays from back to front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 256
WATER_PER_MM = 0.02
"""Attenuation of water at about 70 keV (NIST XCOM: 0.19 per cm)."""
SCATTER = 0.12
"""Share of the signal that arrives blurred over 30 mm."""
PHOTONS = 40000.0
"""A pixel without a patient."""


def radiograph(hu: NDArray[np.int16], step_mm: float, degrees: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Project a chest (left, back, up) rotated about its long axis: (SIDE, SIDE), uint8, head above, bone bright.

    Beer-Lambert along each ray, scatter, counting noise, then the logarithm stretched between its percentiles 1 and
    99.5, as a film is exposed. The patient's right is on the left.
    """
    attenuation = np.clip(hu.astype(np.float32) / 1000 + 1, 0, None) * np.float32(WATER_PER_MM * step_mm)
    rotated = scipy.ndimage.rotate(attenuation, degrees, axes=(0, 1), reshape=False, order=1, mode="nearest")
    depth = _square(rotated.sum(axis=1).T[::-1])
    signal = np.exp(-depth)
    signal = (1 - SCATTER) * signal + SCATTER * scipy.ndimage.gaussian_filter(signal, SIDE / 10)
    counted = rng.poisson(signal * PHOTONS).clip(1) / PHOTONS
    film = -np.log(scipy.ndimage.gaussian_filter(counted, 0.6))
    low, high = np.percentile(film, (1, 99.5))
    levels: NDArray[np.uint8] = np.rint(np.clip((film - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return levels


def _square(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the shoulders' margin away, and resize to SIDE."""
    rows, columns = plane.shape
    side = min(rows, columns)
    first = (columns - side) // 2
    zoomed: NDArray[np.float32] = scipy.ndimage.zoom(plane[:side, first : first + side], SIDE / side, order=1)
    return zoomed
