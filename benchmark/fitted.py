"""A detector made for a cohort, and the rows of the cohort's real items; both are kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Cohort, Detector, Split, chunks, merge
from benchmark.search import Rows
from benchmark.storage import content_key, file_name, replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.catalogue import Choice
    from benchmark.contracts import Images

    Take = Callable[[slice | NDArray[np.int64]], Images]

ITEMS_AT_ONCE = 256
SHORT = 2048
"""Rows of at most so many numbers are kept; longer ones are made again when asked for."""
CORE = Path(__file__).parent
CODE = ("training.py", "recipe.py", "seeding.py", "feeding.py", "augment.py", "detectors/contrastive.py")
"""What any detector may rest on, beside its own file."""


@dataclass(frozen=True)
class Fitted:
    """A detector and all real items of its cohort: train first, then calibration, then test."""

    name: str
    detector: Detector
    real: Split
    rows: Rows

    def embed(self, take: Take, count: int) -> Rows:
        """Return the rows of `count` other items: held in memory where they are short."""
        if self.rows.dimension <= SHORT:
            return Rows.of(embed_all(self.detector, take, count), self.detector.similarity)
        return rows_of(self.detector, take, count)


def fit_detector(choice: Choice, cohort: Cohort, *, cache: Path, device: str, say: Callable[[str], None]) -> Fitted:
    """Make a detector for a cohort, or load it and the rows of the real items from the cache."""
    from filelock import FileLock

    real = merge("real", cohort.train, cohort.calibration, cohort.test)
    key = content_key(cohort.key, choice.card.entry, choice.identity, _code(choice))
    place = cache / "detectors" / f"{cohort.name}-{file_name(choice.name)}-{key}"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):
        kept = place / "real.npy"
        say(f"detector {choice.name}: {'cached' if kept.exists() else 'made on all real items, once a cohort'}")
        detector = choice.options.fit(real, folder=place, key=key, device=device)
        if not kept.exists():
            rows = rows_of(detector, real.images, len(real))
            if rows.dimension > SHORT:
                return Fitted(choice.name, detector, real, rows)
            with replacing(kept) as temporary, temporary.open("wb") as file:
                np.save(file, embed_all(detector, real.images, len(real)))
    return Fitted(choice.name, detector, real, Rows.of(np.load(kept), detector.similarity))


def _code(choice: Choice) -> str:
    from benchmark.stages import code_digest

    module = choice.card.entry.rpartition(":")[0]
    own = Path(module) if module.endswith(".py") else CORE / "detectors" / f"{module.rpartition('.')[2]}.py"
    return code_digest({*(CORE / name for name in CODE), own})


def rows_of(detector: Detector, take: Take, count: int) -> Rows:
    """Rows made on the fly: only a block of images is ever in memory."""
    dimension = detector.embed(take(slice(0, 1))).shape[1]
    return Rows(count, dimension, lambda index: detector.embed(take(index)), detector.similarity)


def embed_all(detector: Detector, take: Take, count: int) -> NDArray[np.float32]:
    """Embed `count` items, a few hundred at a time, (count, dimension)."""
    return np.concatenate([detector.embed(take(part)) for part in chunks(count, ITEMS_AT_ONCE)])
