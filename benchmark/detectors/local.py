"""Detector `local`: a part of a training image that was copied into another patient's image.

An image is cut into overlapping patches. Each place has its own linear projection, found by linear discriminant
analysis (Fisher 1936): it keeps the directions in which patients differ most at that place, compared with how a patch
changes under noise, blur, contrast and small movements. Anatomy common to all patients at a place is its mean, which is
subtracted. Two images are as similar as their best pair of patches at the same place.

The projections are fitted to the items of all three splits alike: fitted to training items only, they would separate
these better than held-out ones, and the similarities of the two could not be compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.core.errors import UsageError
from benchmark.core.sealed import is_intact, require_intact, sealed_write
from benchmark.core.seeding import derive_seed
from benchmark.core.types import chunks
from benchmark.detectors.query_transforms import views_of
from benchmark.images.transforms import add_noise, affine, blur, gamma
from benchmark.search import COSINE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.core.types import Array, Images, Split

    Floats = NDArray[np.float64]

AT_ONCE = 256
PAIRS_AT_ONCE = 1 << 22
STEPS, MOST_REACH = 64, 4
"""Queries move in steps of a 64th of the field of view: copies were lost from 1.5 steps on (recall 0.01 after 2 %)."""
SOFTENING = 0.1
"""Added to a patch's standard deviation (5 % of the range of 2): patches with little contrast are not stretched."""
FEATURELESS = 0.02
"""Patches whose standard deviation is below 1 % of the range match nothing: empty background is alike in everybody."""
SHRINKAGE = 0.02
"""This share of the mean variance is added to the covariance within patients, which few items leave singular."""
MOVED, SIGMA, GAMMA = 0.015, 0.2, 0.5
"""Limits of the changes that patches are made robust to: movement as a fraction of the field of view, noise in units of
[-1, 1], and the logarithm of the exponent of grey levels."""


@dataclass(frozen=True)
class Options:
    """The options of `local`, for images and, with `volume_` in front, for volumes."""

    size: int = 32
    """Pixels per side that a larger 2D item is reduced to."""
    volume_size: int = 16
    places: int = 9
    """Patches along each axis."""
    volume_places: int = 5
    dimension: int = 24
    """Numbers per patch; a row has as many for every patch."""
    volume_dimension: int = 16
    patch: float = 0.31
    """Side of a patch as a fraction of the image's: a patch fits into a pasted square of 16 % of the area."""
    transforms: tuple[str, ...] = ()
    """Transform queries, too, and take the best similarity: flips, rotations, shifts, scales."""
    reach: int = 1
    """Compare queries also after moving them by up to this many 64ths of a side along each axis, and take the best
    similarity: the search takes (2 reach + 1) ** axes times as long."""
    seed: int = 0
    """Seed of the changes that patches are made robust to."""

    def __post_init__(self) -> None:
        views_of(self.transforms)
        if not 0 < self.patch <= 1:
            raise UsageError(f"patch={self.patch} is no fraction of a side", "give more than 0 and at most 1")
        counts = ("size", "volume_size", "places", "volume_places", "dimension", "volume_dimension")
        for name in counts:
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} is too small", "give 1 or more")
        if not 0 <= self.reach <= MOST_REACH:
            raise UsageError(f"reach={self.reach} is out of range", f"give 0 to {MOST_REACH}")

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Local:
        """Fit a projection per place to all real items, or load it where folder holds it for this key."""
        volumes = len(real.shape) == 4
        most, places = (self.volume_size, self.volume_places) if volumes else (self.size, self.places)
        grid = Grid.over(real.shape, most, places, self.patch)
        dimension = min(self.volume_dimension if volumes else self.dimension, grid.length)
        kept = folder / f"local-{key[:16]}.npz"
        if not is_intact(kept):
            _save(kept, *fit_projections(real, grid, dimension, self.seed))
        with np.load(require_intact(kept)) as file:
            means, projections = file["means"], file["projections"]
        moves = moves_of(len(real.shape) - 1, self.reach)
        return Local(grid, means, projections, views=(*views_of(self.transforms, len(real.shape) - 1), *moves))


def moves_of(dims: int, reach: int) -> tuple[Callable[[Images], Images], ...]:
    """Return the functions that move images (N, C, *spatial) by up to `reach` steps along each axis, but none by 0."""
    steps = itertools.product(range(-reach, reach + 1), repeat=dims)
    return tuple(partial(_moved, steps=step) for step in steps if any(step))


def _moved(images: Images, *, steps: tuple[int, ...]) -> Images:
    """Move whole pixels, which keeps the image as sharp as it is; the border is repeated."""
    for axis, step in enumerate(steps, start=2):
        size = images.shape[axis]
        distance = round(step * max(1, size / STEPS))
        images = np.take(images, np.clip(np.arange(size) - distance, 0, size - 1), axis=axis)
    return images


def _save(path: Path, means: Floats, projections: Floats) -> None:
    with sealed_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, means=means, projections=projections)


@dataclass(frozen=True)
class Grid:
    """Where the patches of an item are."""

    sides: tuple[int, ...]
    """Sides of the reduced item, one per spatial axis."""
    patch: tuple[int, ...]
    """Sides of a patch."""
    starts: tuple[tuple[int, ...], ...]
    """First pixels of the patches along each axis."""
    channels: int

    @classmethod
    def over(cls, shape: tuple[int, ...], most: int, places: int, fraction: float) -> Grid:
        """Spread patches evenly over items of shape (C, *spatial) that are reduced to at most `most` per side."""
        sides = tuple(min(side, most) for side in shape[1:])
        patch = tuple(min(side, max(2, round(fraction * side))) for side in sides)
        starts = tuple(
            tuple(sorted({round(start) for start in np.linspace(0, side - part, places)}))
            for side, part in zip(sides, patch, strict=True)
        )
        return cls(sides, patch, starts, shape[0])

    @property
    def count(self) -> int:
        """Number of patches."""
        return math.prod(map(len, self.starts))

    @property
    def length(self) -> int:
        """Numbers in a patch."""
        return self.channels * math.prod(self.patch)

    def patches(self, images: Tensor) -> tuple[Floats, NDArray[np.bool_]]:
        """Cut (N, C, *spatial) into standardised patches (P, N, length), and tell which have content, (P, N)."""
        small = images
        if tuple(images.shape[2:]) != self.sides:
            small = F.interpolate(images, size=list(self.sides), mode="area")
        parts = [small[(slice(None), slice(None), *place)].flatten(2) for place in self._places()]
        cut = torch.stack(parts).double().numpy()
        centred = cut - cut.mean(axis=3, keepdims=True)  # per channel: brightness is not identity
        spread = np.sqrt(np.square(centred).mean(axis=(2, 3)))
        scaled = centred / (spread[:, :, None, None] + SOFTENING)
        return scaled.reshape(*scaled.shape[:2], -1), spread >= FEATURELESS

    def _places(self) -> Iterator[tuple[slice, ...]]:
        for corner in itertools.product(*self.starts):
            yield tuple(slice(start, start + side) for start, side in zip(corner, self.patch, strict=True))


def fit_projections(real: Split, grid: Grid, dimension: int, seed: int) -> tuple[Floats, Floats]:
    """Fit the mean patch and the discriminant projection of every place to all items.

    Args:
        real: the items of all splits; each counts once, as it is and changed.
        grid: where the patches are.
        dimension: number of directions kept per place.
        seed: of the changes.

    Returns:
        Means (P, length) and projections (P, length, dimension).
    """
    total = np.zeros((grid.count, grid.length))
    squares = np.zeros((grid.count, grid.length, grid.length))
    within = np.zeros_like(squares)
    for part in chunks(len(real), AT_ONCE):
        images = torch.from_numpy(real.images(part))
        patches = grid.patches(images)[0]
        moves = grid.patches(disturbed(images, derive_seed(seed, part.start)))[0] - patches
        total += patches.sum(axis=1)
        squares += patches.transpose(0, 2, 1) @ patches
        within += moves.transpose(0, 2, 1) @ moves
    means = total / len(real)
    between = squares / len(real) - means[:, :, None] * means[:, None, :]
    pairs = zip(between, within / len(real), strict=True)
    return means, np.stack([discriminant(*pair, dimension) for pair in pairs])


def disturbed(images: Tensor, seed: int) -> Tensor:
    """Change each of (N, C, *spatial) at random: small movement, contrast, blur and noise; the place stays the same."""
    generator = torch.Generator().manual_seed(seed)
    count, dims = len(images), images.ndim - 2

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * 2 - 1

    axes = F.normalize(torch.randn(count, 3, generator=generator), dim=1) if dims == 3 else None
    moved = affine(images, 2 * MOVED * uniform(), torch.exp(MOVED * uniform()), MOVED * uniform(dims), axes)
    toned = gamma(moved, torch.exp(GAMMA * uniform()))
    share = uniform().clamp(min=0).view(-1, *[1] * (dims + 1))
    softened = torch.lerp(toned, blur(toned, 1.0), share)
    return add_noise(softened, SIGMA * uniform().clamp(min=0), generator)


def discriminant(between: Floats, within: Floats, dimension: int) -> Floats:
    """Return the directions (d, dimension) of the greatest variance between items relative to that within them.

    They solve the generalised eigenproblem between v = w within v (Fisher 1936), and are scaled to variance 1 between
    items: without it, cosines are dominated by the few directions in which all patients differ.

    Args:
        between: covariance of the patches of all items at a place, (d, d).
        within: mean square of the changes of a patch that is disturbed, (d, d).
        dimension: number of directions.
    """
    from scipy.linalg import eigh

    size = len(within)
    level = SHRINKAGE * np.trace(within) / size + 1e-9  # a place that is constant in everybody has no variance at all
    ratios, vectors = eigh(between, within + level * np.eye(size), subset_by_index=(size - dimension, size - 1))
    scale = np.where(ratios > 1e-6, 1 / np.sqrt(np.maximum(ratios, 1e-6)), 0.0)  # a direction of no variance is noise
    directions: Floats = (vectors * scale)[:, ::-1]
    return directions


@dataclass(frozen=True)
class BestPatch:
    """Compares rows of patches (N, places * dimension) by the greatest cosine of two patches at one place."""

    places: int
    dimension: int

    def block(self, queries: Array, others: Array, device: str) -> Array:
        """Compare (n, D) with (m, D), every pair: (n, m), float32; cosines are computed in float64 as by COSINE."""
        right = self._patches(others, device)
        height = max(1, PAIRS_AT_ONCE // max(1, len(others)))
        parts = [self._best(self._patches(queries[part], device), right) for part in chunks(len(queries), height)]
        return torch.cat(parts).numpy() if parts else np.zeros((0, len(others)), np.float32)

    def exact(self, row: Array, others: Array) -> Array:
        """Compare one row (D,) with others (k, D) in float64, dividing by the lengths of the patches: (k,)."""
        one = row.astype(np.float64).reshape(self.places, self.dimension)
        many = others.astype(np.float64).reshape(-1, self.places, self.dimension)
        products = np.einsum("pd,kpd->kp", one, many)
        lengths = np.linalg.norm(one, axis=1)[None] * np.linalg.norm(many, axis=2)
        cosines: Array = products / np.where(lengths > 0, lengths, 1.0)
        best: Array = cosines.max(axis=1).clip(-1, 1)  # float64 rounding may exceed 1 by 4e-16
        return best

    def error(self, dimension: int) -> float:
        """Return the bound of one cosine: the greatest of several is off by no more than the worst of them."""
        return COSINE.error(self.dimension)

    def _patches(self, rows: Array, device: str) -> Tensor:
        """(n, D) to (places, n, dimension)."""
        return torch.from_numpy(rows).to(device).view(-1, self.places, self.dimension).transpose(0, 1)

    def _best(self, left: Tensor, right: Tensor) -> Tensor:
        best: Tensor | None = None
        for one, other in zip(left, right, strict=True):
            # Rounding is monotone, so rounding before the maximum changes nothing and halves its memory.
            cosines = (one.double() @ other.double().T).float()
            best = cosines if best is None else torch.maximum(best, cosines, out=best)
        assert best is not None
        return best.cpu()


@dataclass(frozen=True, eq=False)
class Local:
    """The best cosine of two patches at the same place."""

    grid: Grid
    means: Floats
    """(P, length)."""
    projections: Floats
    """(P, length, dimension)."""
    views: Sequence[Callable[[Images], Images]] = ()
    invariances: tuple[str, ...] = ("exact", "contrast", "recode", "local25")

    @property
    def similarity(self) -> BestPatch:
        """Compares rows; a patch without content has cosine 0 with every other."""
        return BestPatch(self.grid.count, self.projections.shape[2])

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to rows (N, P * dimension), float32: a unit vector per patch, zeros if featureless."""
        parts = [self._embed(torch.from_numpy(images[part])) for part in chunks(len(images), AT_ONCE)]
        return np.concatenate(parts)

    def _embed(self, images: Tensor) -> Array:
        patches, has_content = self.grid.patches(images)
        projected = (patches - self.means[:, None]) @ self.projections
        lengths = np.linalg.norm(projected, axis=2, keepdims=True)
        usable = has_content[:, :, None] & (lengths > 1e-12)
        units = np.where(usable, projected / np.where(usable, lengths, 1.0), 0.0)
        return units.transpose(1, 0, 2).reshape(len(images), -1).astype(np.float32)
