"""From tissues to the grey values of four MR sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fields import refine, smooth_noise
from .tissue import TISSUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .fields import Field
    from .tissue import Voxels

BRIGHTNESS = {
    #        fluid grey  white stem  nuclei pallid necro rim  oedema vessel
    "t1": (0.26, 0.67, 0.90, 0.88, 0.73, 0.86, 0.42, 0.62, 0.64, 0.45),
    "t1ce": (0.28, 0.66, 0.90, 0.86, 0.74, 0.85, 0.40, 0.70, 0.62, 1.45),
    "t2": (1.00, 0.44, 0.30, 0.33, 0.37, 0.27, 0.80, 0.50, 0.66, 0.50),
    "flair": (0.13, 0.57, 0.46, 0.47, 0.53, 0.42, 0.62, 0.78, 0.98, 0.30),
}
"""Relative brightness of each sequence, one value per tissue in the order of TISSUES."""


def image(rng: np.random.Generator, sequence: str, voxels: Voxels, enhancement: float) -> NDArray[np.int16]:
    """Return the grey values of one sequence at the voxels, (n,), at least 1, in arbitrary units.

    Contrast, coil shading, noise and the units differ from patient to patient, as between scanners.
    """
    levels = np.array(BRIGHTNESS[sequence], np.float32) * rng.normal(1, 0.04, len(TISSUES)).astype(np.float32)
    if sequence == "t1ce":
        levels[TISSUES.index("rim")] += np.float32(enhancement)
    signal = levels @ voxels.shares
    signal *= _shading(rng, voxels)
    signal = _rician(rng, signal, rng.uniform(0.02, 0.045) * levels[TISSUES.index("white")])
    units = np.clip(rng.lognormal(np.log(900), 0.6), 250, 4500)
    return np.asarray(np.maximum(signal * np.float32(units) + np.float32(0.5), 1), np.int16)


def _shading(rng: np.random.Generator, voxels: Voxels) -> Field:
    coarse = [(n + 1) // 2 for n in voxels.inside.shape]  # `refine` makes 2n - 1 of n points
    coil = rng.uniform(0.03, 0.07) * smooth_noise(rng, 70, coarse) + 0.02 * smooth_noise(rng, 6, coarse)
    return refine(1 + coil)[voxels.inside]


def _rician(rng: np.random.Generator, signal: Field, sigma: float) -> Field:
    real, imaginary = rng.standard_normal((2, len(signal)), dtype=np.float32) * np.float32(sigma)
    return np.hypot(signal + real, imaginary)  # type: ignore[no-any-return]
