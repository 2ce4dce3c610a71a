"""All real items of a cohort for one detector, with the place of each split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.search import Rows, piece

if TYPE_CHECKING:
    from benchmark.core.types import Cohort, Split
    from benchmark.detectors.fitting import Fitted


@dataclass
class Bank:
    """All real items of a cohort for one detector: train first, then calibration, then test."""

    real: Split
    rows: Rows
    train: int
    """The first `train` items are the training items."""
    calibration: int
    """The next are calibration items; the rest are test items."""

    @property
    def parts(self) -> dict[str, slice]:
        """Where each split lies."""
        middle = self.train + self.calibration
        return {
            "train": slice(0, self.train),
            "calibration": slice(self.train, middle),
            "test": slice(middle, len(self.real)),
        }

    def part(self, name: str) -> Rows:
        """Return the rows of one split."""
        return piece(self.rows, self.parts[name])


def bank_of(cohort: Cohort, fitted: Fitted) -> Bank:
    """Line up a cohort's real items and their rows."""
    return Bank(real=fitted.real, rows=fitted.rows, train=len(cohort.train), calibration=len(cohort.calibration))
