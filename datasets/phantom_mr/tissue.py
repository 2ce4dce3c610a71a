"""From shapes to what each 1 mm voxel is made of, with partial volumes at every border."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .fields import ALL_LEVELS, refine, smooth_noise, steepness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .anatomy import Anatomy
    from .cortex import Folds
    from .fields import Field, Place
    from .tumour import Tumour

TISSUES = ("fluid", "grey", "white", "stem", "nuclei", "pallidum", "necrosis", "rim", "oedema", "vessel")
GREY_MM = 2.8


class Voxels(NamedTuple):
    """The n voxels that skull stripping keeps."""

    inside: NDArray[np.bool_]
    """Which voxels of the FINE grid they are."""
    shares: Field
    """How much of each voxel is each tissue, (len(TISSUES), n); columns sum to one."""
    fine: Mapping[str, Field]
    """The shapes at these voxels, (n,) each."""


def mix(
    rng: np.random.Generator,
    at: Place,
    brain: Anatomy,
    folds: Folds,
    tumour: Tumour,
    planes: slice | list[int] = ALL_LEVELS,
) -> Voxels:
    """Fill every voxel of the stripped head with tissue; of some axial planes only, where these are given."""
    head = brain.head + 0.6 * smooth_noise(rng, 7, at.left.shape) - np.float32(rng.uniform(-0.3, 0.6))
    fine_head = refine(head)
    inside = np.zeros(fine_head.shape, np.bool_)
    inside[..., planes] = fine_head[..., planes] < 0
    shapes = brain._asdict() | folds._asdict() | _vascular(rng, at)
    shapes |= {"tumour": tumour.core, "necrotic": tumour.necrosis, "swelling": tumour.oedema}
    fine = {name: refine(field)[inside] for name, field in shapes.items()}
    shares = np.zeros((len(TISSUES), np.count_nonzero(inside)), np.float32)
    shares[0] = 1
    atrophy = rng.uniform(0.25, 0.8)
    _paint_cerebrum(shares, fine, atrophy)
    _paint_hindbrain(shares, fine)
    _paint_centre(shares, fine)
    _paint_vessels(shares, fine)
    _paint_tumour(shares, fine)
    kept = (shares[0] + shares[-1] < 0.8) | (fine["head"] < -2.5)
    return _keep(Voxels(inside, shares, fine), kept)


def _keep(voxels: Voxels, kept: NDArray[np.bool_]) -> Voxels:
    """Notch the outline where sulci open, as skull stripping does."""
    inside = voxels.inside.copy()
    inside[inside] = kept
    return Voxels(inside, voxels.shares[:, kept], {name: field[kept] for name, field in voxels.fine.items()})


def _vascular(rng: np.random.Generator, at: Place) -> dict[str, Field]:
    threads = smooth_noise(rng, 7, at.left.shape)
    return {
        "threads": threads / (steepness(threads) + np.float32(0.02)),
        "supply": smooth_noise(rng, 16, at.left.shape),
        "midline": at.left,
    }


def soft(distance: Field, width_mm: float = 1.2) -> Field:
    """Return how much of a voxel lies inside a body, 0 to 1, from the signed distance of its centre."""
    return np.asarray(np.clip(0.5 - distance / np.float32(width_mm), 0, 1), np.float32)


def _paint(shares: Field, tissue: str, alpha: Field) -> None:
    shares *= 1 - alpha
    shares[TISSUES.index(tissue)] += alpha


def _paint_cerebrum(shares: Field, fine: Mapping[str, Field], atrophy: float) -> None:
    depth = -fine["cerebrum"]
    beyond = np.maximum(depth - fine["reach"], 0)
    sulcus = np.sqrt(fine["sheet"] ** 2 + beyond**2)
    gape = (np.float32(atrophy) + 0.3 * fine["supply"]) * np.clip(1.3 - depth / 12, 0.2, 1.3)
    sulcus = np.minimum(sulcus - gape, depth - 0.3)
    distance = np.minimum(sulcus, fine["sylvian"] - np.float32(0.3 + atrophy))
    joined = soft(fine["core"] + 1, 2)
    _paint(shares, "grey", np.maximum(soft(-distance, 1.6), joined))
    _paint(shares, "white", np.maximum(soft(GREY_MM - distance, 2.8), joined))


def _paint_hindbrain(shares: Field, fine: Mapping[str, Field]) -> None:
    depth = -fine["cerebellum"]
    leaf = np.cos(fine["folia"] * np.float32(2 * np.pi / 4.2))
    branch = np.cos(fine["folia"] * np.float32(2 * np.pi / 12.6))
    alpha = soft(-depth + 0.5) * (1 - 0.5 * np.clip(leaf, 0, 1) * soft(depth - 12, 6))
    _paint(shares, "grey", alpha)
    _paint(shares, "white", 0.9 * soft(11 - 5 * branch + 2 * leaf - depth, 4))
    _paint(shares, "stem", soft(fine["stem"]))
    _paint(shares, "white", soft(fine["peduncle"], 3))


def _paint_centre(shares: Field, fine: Mapping[str, Field]) -> None:
    _paint(shares, "nuclei", 0.75 * soft(fine["thalamus"], 2.5))
    _paint(shares, "nuclei", soft(fine["striatum"]))
    _paint(shares, "pallidum", soft(fine["pallidum"], 2))
    _paint(shares, "fluid", soft(fine["ventricles"]))


def _paint_vessels(shares: Field, fine: Mapping[str, Field]) -> None:
    fluid = shares[0] * soft(5 - fine["ventricles"], 2) * soft(2 - fine["core"], 2) * soft(fine["cerebrum"] - 2)
    falx = soft(np.abs(fine["midline"]) - np.float32(0.7)) * 0.6
    threads = soft(np.abs(fine["threads"]) - np.float32(0.4)) * soft((0.5 - fine["supply"]) * 2)
    outside = soft(-fine["cerebrum"] - 5, 4)
    _paint(shares, "vessel", fluid * np.maximum(falx, threads * outside))


def _paint_tumour(shares: Field, fine: Mapping[str, Field]) -> None:
    # Water spreads along white matter and stops at the cortex, which gives oedema its fingers.
    conducts = np.clip(1.3 * shares[TISSUES.index("white")] - 0.15, 0, 1)
    _paint(shares, "oedema", soft(fine["swelling"], 4) * conducts * soft(fine["cerebrum"]))
    outer = soft(fine["cerebrum"] + 1, 2)
    _paint(shares, "rim", soft(fine["tumour"], 1.5) * outer)
    _paint(shares, "necrosis", soft(fine["necrotic"], 1.5) * outer)
