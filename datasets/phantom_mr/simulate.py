"""One simulated patient with a glioma, as five co-registered, skull-stripped volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import anatomy, contrast, cortex, tissue, tumour
from .fields import ALL_LEVELS, CORNER, ORIGIN, SHAPE, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .tissue import Voxels

SEQUENCES = ("t1", "t1ce", "t2", "flair")
AROUND = 2
"""Levels of the 2 mm grid below and above single planes: cubic interpolation and gradients need them."""


def simulate(seed: int) -> dict[str, NDArray[Any]]:
    """Return a patient's t1, t1ce, t2 and flair (int16) and seg (uint8), each (240, 240, 155) at 1 mm.

    Axes run to the left, the back and upwards. Background is 0 and brain at least 1, in arbitrary units of
    the sequence; seg holds 1 (necrotic core), 2 (oedema), 4 (enhancing rim). The same seed gives the same voxels.
    """
    rng = np.random.default_rng([seed, 20])
    voxels, enhancement = _patient(rng)
    volumes: dict[str, NDArray[Any]] = {
        name: _fill(voxels, contrast.image(rng, name, voxels, enhancement)) for name in SEQUENCES
    }
    return volumes | {"seg": _fill(voxels, _labels(voxels, enhancement))}


def planes(seed: int, sequence: str, up_mm: Sequence[int]) -> NDArray[np.int16]:
    """Return axial planes of one patient, (len(up_mm), 240, 240), int16, to the left and the back, background 0.

    Takes less than a tenth of the time of a volume: only the levels around the planes are computed. The patient of a
    seed is another one than that of `simulate`.

    Args:
        seed: of the patient.
        sequence: one of SEQUENCES.
        up_mm: ascending heights above the commissures, even numbers from -58 to 60.
    """
    rng = np.random.default_rng([seed, 23])
    heights = [(ORIGIN[2] + up - CORNER[2]) // 2 for up in up_mm]
    first = heights[0] - AROUND
    wanted = [2 * (height - first) for height in heights]
    voxels, enhancement = _patient(rng, slice(first, heights[-1] + AROUND + 1), wanted)
    values = contrast.image(rng, sequence, voxels, enhancement)
    slab: NDArray[np.int16] = np.zeros(voxels.inside.shape, np.int16)
    slab[voxels.inside] = values
    images = np.zeros((len(heights), *SHAPE[:2]), np.int16)
    rows, columns = CORNER[0] + slab.shape[0], CORNER[1] + slab.shape[1]
    images[:, CORNER[0] : rows, CORNER[1] : columns] = np.moveaxis(slab, 2, 0)[wanted]
    return images


def _patient(
    rng: np.random.Generator, levels: slice = ALL_LEVELS, planes: slice | list[int] = ALL_LEVELS
) -> tuple[Voxels, float]:
    scanner = place(levels)
    site = tumour.choose(rng)
    plain = anatomy.deform(rng, tumour.push(rng, site, scanner))
    brain = anatomy.build(rng, plain)
    folds = cortex.fold(rng, plain, brain)
    lesion = tumour.grow(rng, site, scanner)
    return tissue.mix(rng, plain, brain, folds, lesion, planes), lesion.enhancement


def _labels(voxels: Voxels, enhancement: float) -> NDArray[np.uint8]:
    share = dict(zip(tissue.TISSUES, voxels.shares, strict=True))
    labels = np.where(share["oedema"] > 0.5, 2, 0).astype(np.uint8)
    labels[share["rim"] + share["necrosis"] > 0.5] = 1
    if enhancement > 0.15:
        labels[(share["rim"] > 0.5) & (share["rim"] > share["necrosis"])] = 4
    return labels


def _fill(voxels: Voxels, values: NDArray[Any]) -> NDArray[Any]:
    volume = np.zeros(SHAPE, values.dtype)
    box = tuple(slice(c, c + n) for c, n in zip(CORNER, voxels.inside.shape, strict=True))
    volume[box][voxels.inside] = values
    return volume
