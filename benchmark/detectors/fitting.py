"""A detector made for a cohort, and the rows of the cohort's real items; both are kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmark.core.files import atomic_write, content_key, file_name
from benchmark.core.progress import progress
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.types import Cohort, Detector, HasViews, ReadsPixels, Split, chunks
from benchmark.plugins.registry import source_files
from benchmark.search import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Images
    from benchmark.detectors.registry import Choice
    from benchmark.search.index import Index

    Which = slice | NDArray[np.int64]

ITEMS_AT_ONCE = 256
SHORT = 2048
"""Rows of at most so many numbers are kept; longer ones are made again when asked for."""
INDEXED_SIDE, INDEXED_PIXELS = 4096, 1 << 27
"""Pixels of an item, and of a cohort, from which an index of grey levels is made: below, a plain search takes less."""


class Items(Protocol):
    """Images that are read when asked for: a split, or the samples of a run."""

    def __len__(self) -> int: ...

    def images(self, index: Which) -> Images:
        """Return them as float32 in [-1, 1]."""

    def stored(self, index: Which) -> Array:
        """Return them as stored."""


@dataclass(frozen=True)
class Fitted:
    """A detector and all real items of its cohort: train first, then calibration, then test."""

    name: str
    detector: Detector
    real: Split
    rows: Rows

    def embed(self, items: Items) -> Rows:
        """Return the rows of other items: held in memory where they are short."""
        rows = rows_of(self.detector, items)
        if rows.dimension > SHORT:
            return rows
        return Rows.of(_all(rows), rows.similarity, tuple(Rows.of(_all(view), rows.similarity) for view in rows.views))


def fit_detector(choice: Choice, cohort: Cohort, *, cache: Path, device: str, say: Callable[[str], None]) -> Fitted:
    """Make a detector for a cohort, or load it and the rows of the real items from the cache."""
    from filelock import FileLock

    real = cohort.real
    key = content_key(
        cohort.key, choice.card.entry, choice.identity, source_digest(*source_files("detectors", choice.card))
    )
    place = cache / "detectors" / f"{cohort.name}-{file_name(choice.name)}-{key}"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):
        kept = place / "real.npy"
        say(f"detector {choice.name}: {'cached' if kept.exists() else 'made on all real items, once a cohort'}")
        detector = choice.options.fit(real, folder=place, key=key, device=device)
        rows = rows_of(detector, real)
        if rows.dimension <= SHORT:
            if not kept.exists():
                with atomic_write(kept) as temporary, temporary.open("wb") as file:
                    np.save(file, _all(rows))
            rows = replace(Rows.of(np.load(kept), rows.similarity), views=rows.views)
        return Fitted(choice.name, detector, real, replace(rows, index=_index(detector, real, place, say)))


def _index(detector: Detector, real: Split, place: Path, say: Callable[[str], None]) -> Index | None:
    """Open or make the index of a cohort of grey levels that is large enough to repay it."""
    from benchmark.search.index import Index, Stored

    size = int(np.prod(real.shape))
    if not _reads_pixels(detector) or size < INDEXED_SIDE or size * len(real) < INDEXED_PIXELS:
        return None
    stored = Stored(real.pixels.reshape(len(real.pixels), size), real.rows)
    folder = place / f"index-{source_digest(core_module('search.index'))}"
    index = Index.open(folder, stored)
    if index is None:
        say("index of all real items: made once a cohort")
        with progress("index", len(real)) as advance:
            index = Index.build(stored, real.shape, advance=advance)
        with atomic_write(folder) as temporary:
            index.save(temporary)
    return index


def _reads_pixels(detector: Detector) -> bool:
    return isinstance(detector, ReadsPixels) and detector.reads_pixels


def rows_of(detector: Detector, items: Items) -> Rows:
    """Rows made on the fly: only a block of images is ever in memory."""
    dimension = detector.embed(items.images(slice(0, 1))).shape[1]

    def view(turn: Callable[[Images], Images]) -> Rows:
        return Rows(len(items), dimension, lambda which: detector.embed(turn(items.images(which))), detector.similarity)

    def take(which: Which) -> Array:
        if _reads_pixels(detector):
            return items.stored(which).reshape(-1, dimension)
        return detector.embed(items.images(which))

    return Rows(len(items), dimension, take, detector.similarity, tuple(view(turn) for turn in _views(detector)))


def rows_in_memory(detector: Detector, images: Images) -> Rows:
    """Return the rows of images that are no stored items, such as planted copies."""
    views = tuple(Rows.of(detector.embed(turn(images)), detector.similarity) for turn in _views(detector))
    return Rows.of(detector.embed(images), detector.similarity, views)


def _views(detector: Detector) -> tuple[Callable[[Images], Images], ...]:
    return tuple(detector.views) if isinstance(detector, HasViews) else ()


def _all(rows: Rows) -> Array:
    """Make all rows, a few hundred at a time, (count, dimension)."""
    return np.concatenate([rows.take(part) for part in chunks(rows.count, ITEMS_AT_ONCE)])
