"""What a prompt's images show: are they copies of training images? Thresholds come from held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.types import Split, chunks, join_splits
from benchmark.detectors.fitting import rows_in_memory, rows_of
from benchmark.detectors.pixels import Pixels, mean_image
from benchmark.search import Rows, nearest

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images
    from benchmark.text2image.options import PromptSampling

ALPHA = 0.01
CALIBRATED_ON = 500
"""Generated images that a threshold rests on."""
Judge = Callable[["Images"], tuple[float, float]]


@dataclass(frozen=True)
class CopyOracle:
    """Training images and as many held-out ones or fewer, for correlation after the mean image is subtracted."""

    detector: Pixels
    train: Split
    heldout: Split

    @classmethod
    def of(cls, train: Split, heldout: Split) -> Self:
        """Take each training image once; the mean image is over both sides (design 6.5)."""
        train = train.part(np.unique(train.rows, return_index=True)[1])
        heldout = heldout.part(range(min(len(heldout), len(train))))
        detector = Pixels(mean=mean_image(join_splits("real", train, heldout)))
        return cls(detector, train, heldout)

    def _rows(self, split: Split) -> Rows:
        """Embed a split's images as they are asked for: it may be larger than memory."""
        return rows_of(self.detector, split)

    def _embedded(self, images: Images) -> Rows:
        """Embed generated images: of three colours, where the data set is grey, the mean (as adapter `diffusers`)."""
        if self.train.shape[0] == 1 and images.shape[1] == 3:
            images = images.mean(axis=1, keepdims=True)
        if images.shape[1:] != self.train.shape:
            raise UsageError(
                f"the pipeline makes images of shape {images.shape[1:]}, the items of {self.train.name} are "
                f"{self.train.shape}",
                "give the data set that the pipeline was trained on",
            )
        return rows_in_memory(self.detector, images)

    def likeness(self, images: Images) -> Array:
        """Return the similarity of images (N, C, *spatial) to the nearest training image, (N,) float64."""
        return nearest(self._embedded(images), self._rows(self.train)).similarity

    def nearest_image(self, images: Images) -> Images:
        """Return the training image nearest to the first of images, (C, *spatial)."""
        found = nearest(self._embedded(images[:1]), self._rows(self.train))
        image: Images = self.train.images(found.index)[0]
        return image

    def threshold(self, images: Images) -> float:
        """Return what at most 1 % of generated images, all prompts together, exceed against other patients.

        The twin threshold (design 6.1), with alpha shared out where there are fewer held-out than training images.
        """
        alone = nearest(self._embedded(images), self._rows(self.heldout)).similarity
        alpha = ALPHA * len(self.heldout) / len(self.train)
        return float(np.quantile(alone, 1 - alpha, method="higher"))

    def judge(self, threshold: float) -> Judge:
        """Return what tells mean likeness and share of copies of images."""

        def judged(images: Images) -> tuple[float, float]:
            likeness = self.likeness(images)
            return float(likeness.mean()), float((likeness > threshold).mean())

        return judged

    def copied(self, images: Images, threshold: float) -> Array:
        """Return which images copy a training image, (N,) bool."""
        above: Array = self.likeness(images) > threshold
        return above


def open_truth(pipeline: Any, data: str, root: Path | None, cache: Path) -> CopyOracle:
    """Return the images of a data set, prepared at the size that a pipeline makes. Raises BenchError."""
    from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
    from benchmark.core.progress import to_stderr
    from benchmark.text2image.guided import latent_shape

    side = latent_shape(pipeline)[1] * pipeline.vae_scale_factor
    config = DataConfig(name=data, root=root, image_size=side)
    cohort = open_cohort(config, *build_dataset(config), cache=cache, say=to_stderr)
    return CopyOracle.of(cohort.train, cohort.heldout)


def judge_of(pipeline: Any, truth: CopyOracle, prompts: Sequence[str], ask: PromptSampling, batch: int) -> Judge:
    """Compare a pipeline's images with a data set; the threshold rests on images of up to 500 of the prompts."""
    from benchmark.text2image.guided import decode, draw

    asked = [prompts[number % len(prompts)] for number in range(CALIBRATED_ON)]
    images = []
    for part in chunks(len(asked), batch):
        numbers = range(part.start, part.stop)
        latents = draw(pipeline, asked[part], seed=0, numbers=numbers, steps=ask.steps, guidance=ask.guidance)
        images.append(decode(pipeline, latents).clamp(-1, 1).cpu().numpy())
    return truth.judge(truth.threshold(np.concatenate(images)))
