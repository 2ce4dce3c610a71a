from __future__ import annotations

import numpy as np

from benchmark.core.types import Cohort, Split
from benchmark.evaluation.run_evaluation import quality_scores


def test_the_floor_is_of_training_items_of_every_class() -> None:
    """Rows lie in the order of files, one class after the other: the first of them are no fair sample."""
    rng = np.random.default_rng(0)
    classes = np.r_[np.full(120, 60), np.full(120, 190), np.tile([60, 190], 120)]
    pixels = np.clip(classes[:, None, None, None] + rng.normal(0, 15, (480, 1, 16, 16)), 0, 255).astype(np.uint8)

    def part(name: str, start: int, stop: int) -> Split:
        names = tuple(f"p{row}" for row in range(start, stop))
        return Split(
            name=name, pixels=pixels, rows=np.arange(start, stop), subjects=names, items=names, channels=("grey",)
        )

    cohort = Cohort(
        name="t", key="k", train=part("train", 0, 240), calibration=part("c", 240, 360), test=part("t", 360, 480)
    )
    drawn = _Drawn(cohort.test.images(slice(0, 60)))
    scores = quality_scores(drawn, cohort, device="cpu")  # type: ignore[arg-type]
    like, floor = scores["quality.frechet[random-conv]"].value, scores["quality.frechet_floor[random-conv]"].value
    assert like is not None
    assert floor is not None
    assert floor < 2 * like, "training items and test items follow one law here"


class _Drawn:
    def __init__(self, images: np.ndarray) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def images(self, index: np.ndarray) -> np.ndarray:
        return self._images[index]
