"""One simulated patient with a glioma, as five co-registered, skull-stripped volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import anatomy, contrast, cortex, tissue, tumour
from .fields import CORNER, SHAPE, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .tissue import Voxels

SEQUENCES = ("t1", "t1ce", "t2", "flair")


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


def _patient(rng: np.random.Generator) -> tuple[Voxels, float]:
    scanner = place()
    site = tumour.choose(rng)
    plain = anatomy.deform(rng, tumour.push(rng, site, scanner))
    brain = anatomy.build(rng, plain)
    folds = cortex.fold(rng, plain, brain)
    lesion = tumour.grow(rng, site, scanner)
    return tissue.mix(rng, plain, brain, folds, lesion), lesion.enhancement


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
