"""A detector fitted to a cohort, and the rows of the cohort's real items; both are kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmark.core.files import content_key, file_name, machine_error
from benchmark.core.interrupt import require_uninterrupted
from benchmark.core.leftovers import remove_leftovers
from benchmark.core.locks import held_for_cache
from benchmark.core.progress import progress
from benchmark.core.sealed import (
    is_intact,
    remove_sealed,
    require_intact,
    seal,
    sealed_place,
    sealed_write,
    unsealed_files,
    why_damaged,
)
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.types import Cohort, Detector, HasViews, ReadsPixels, Split, chunks
from benchmark.core.unread_files import is_unread
from benchmark.detectors.guarded import GuardedDetector
from benchmark.plugins.guard import plugin_call
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
"""Rows of at most so many numbers are kept in memory and cache; longer ones are recomputed at each use."""
INDEXED_SIDE, INDEXED_PIXELS = 4096, 1 << 27
"""Pixels of an item, and of a cohort, from which on an index of grey levels is built: below, it does not save time."""


class Items(Protocol):
    """Images that are read on request: a split, or the samples of a run."""

    def __len__(self) -> int: ...

    def images(self, index: Which) -> Images:
        """Return the images at these positions, (n, C, *spatial), float32 in [-1, 1]."""

    def stored(self, index: Which) -> Array:
        """Return the images at these positions as stored, uint8 or float32."""


@dataclass(frozen=True)
class Fitted:
    """A detector and all real items of its cohort: train first, then calibration, then test."""

    name: str
    detector: Detector
    real: Split
    rows: Rows
    folder: Path
    """Where the detector and what follows from it and the cohort alone are kept."""

    def embed(self, items: Items) -> Rows:
        """Return the rows of other items (N, dimension): held in memory where they are short."""
        rows = rows_of(self.detector, items)
        if rows.dimension > SHORT:
            return rows
        return Rows.of(
            all_rows(rows), rows.similarity, tuple(Rows.of(all_rows(view), rows.similarity) for view in rows.views)
        )


def fit_detector(choice: Choice, cohort: Cohort, *, cache: Path, device: str, log: Callable[[str], None]) -> Fitted:
    """Fit a detector to a cohort, or load it and the rows of the real items from the cache."""
    real = cohort.real
    key = _fit_key(choice, cohort.key, cache)
    place = detector_folder(choice, cohort.name, cohort.key, cache)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise machine_error(error, place) or error from error
    with held_for_cache(
        place / ".lock", waiting=lambda: log(f"detector {choice.name}: another process fits it, waiting")
    ):
        kept = place / "real.npy"
        log(f"detector {choice.name}: {'cached' if is_intact(kept) else 'fitted to all real items, once per cohort'}")
        _remove_changed(place, log)
        remove_leftovers(place, below=True)
        with plugin_call(f"detector {choice.name}", "fit"):
            fitted = choice.options.fit(real, folder=place, key=key, device=device)
        require_uninterrupted()
        detector = GuardedDetector(choice.name, fitted)
        _seal_own(place)
        rows = rows_of(detector, real)
        if rows.dimension <= SHORT:
            if not is_intact(kept):
                with sealed_write(kept) as temporary, temporary.open("wb") as file:
                    np.save(file, all_rows(rows))
            rows = replace(Rows.of(np.load(require_intact(kept)), rows.similarity), views=rows.views)
        return Fitted(choice.name, detector, real, replace(rows, index=_index(detector, real, place, log)), place)


def _remove_changed(place: Path, log: Callable[[str], None]) -> None:
    """Delete files that are not as the detector wrote them: it makes them again."""
    for path in place.rglob(".*"):
        kept = sealed_place(path)
        if kept and kept.is_file() and not is_intact(kept):
            log(f"{kept} {why_damaged(kept)}: it is made again")
            remove_sealed(kept)


def _seal_own(place: Path) -> None:
    """Write digests of the files that a detector keeps under names of its own."""
    for path in unsealed_files(place):
        if not is_unread(path, place):
            seal(path)


def detector_folder(choice: Choice, cohort_name: str, cohort_key: str, cache: Path) -> Path:
    """Return the folder of the cache that keeps a detector fitted to a cohort."""
    return cache / "detectors" / f"{cohort_name}-{file_name(choice.name)}-{_fit_key(choice, cohort_key, cache)}"


def _fit_key(choice: Choice, cohort_key: str, cache: Path) -> str:
    code = source_digest(*source_files("detectors", choice.card))
    return content_key(cohort_key, choice.card.entry, choice.identity(cache), code)


def _index(detector: Detector, real: Split, place: Path, log: Callable[[str], None]) -> Index | None:
    """Open or build the index of a cohort of grey levels, where the cohort is large enough to save time by it."""
    from benchmark.search.index import Index, Stored

    size = int(np.prod(real.shape))
    if not _reads_pixels(detector) or size < INDEXED_SIDE or size * len(real) < INDEXED_PIXELS:
        return None
    pixels = checked_items(real)
    stored = Stored(pixels.reshape(len(pixels), size), real.rows)
    folder = place / f"index-{source_digest(core_module('search.index'))}"
    index = Index.open(folder, stored) if is_intact(folder) else None
    if index is None:
        log("index of all real items: built once per cohort")
        with progress("index", len(real)) as advance:
            index = Index.build(stored, real.shape, advance=advance)
        with sealed_write(folder) as temporary:
            index.save(temporary)
    return index


def checked_items(real: Split) -> Array:
    """Return all stored items of the cohort as one array; prepared ones are compared with their digests first."""
    pixels: Any = real.pixels
    return pixels.checked() if hasattr(pixels, "checked") else real.pixels


def _reads_pixels(detector: Detector) -> bool:
    return isinstance(detector, ReadsPixels) and detector.reads_pixels


def rows_of(detector: Detector, items: Items) -> Rows:
    """Return rows that are computed on request: only one block of images is in memory at a time."""
    dimension = detector.embed(items.images(slice(0, 1))).shape[1]

    def view(transform: Callable[[Images], Images]) -> Rows:
        return Rows(
            len(items), dimension, lambda which: detector.embed(transform(items.images(which))), detector.similarity
        )

    def take(which: Which) -> Array:
        if _reads_pixels(detector):
            return items.stored(which).reshape(-1, dimension)
        return detector.embed(items.images(which))

    views = tuple(map(view, _views(detector)))
    return Rows(len(items), dimension, take, detector.similarity, views, embedded=not _reads_pixels(detector))


def rows_in_memory(detector: Detector, images: Images) -> Rows:
    """Return the rows of images (N, C, *spatial) that are not stored items, such as planted copies."""
    views = tuple(Rows.of(detector.embed(view(images)), detector.similarity) for view in _views(detector))
    return Rows.of(detector.embed(images), detector.similarity, views)


def _views(detector: Detector) -> tuple[Callable[[Images], Images], ...]:
    return tuple(detector.views) if isinstance(detector, HasViews) else ()


def all_rows(rows: Rows) -> Array:
    """Compute all rows, (count, dimension), a few hundred at a time."""
    return np.concatenate([rows.take(part) for part in chunks(rows.count, ITEMS_AT_ONCE)])
