"""Ground truth from images: are those of a prompt copies of training images? Held-out patients set the threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.types import Split, chunks, join_splits
from benchmark.detectors.fitting import rows_in_memory, rows_of
from benchmark.detectors.pixels import Pixels, mean_image
from benchmark.images.constant import constant
from benchmark.search import Rows, nearest
from benchmark.text2image.detect import TOLERATED

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images
    from benchmark.text2image.options import PromptSampling

ALPHA = 0.01
"""Share of generated images that may exceed the threshold without being copies."""
CALIBRATED_ON = 500
"""Number of generated images from which the threshold is estimated."""
CopyScorer = Callable[["Images"], tuple[float, float]]
"""Maps images (N, C, *spatial) to their mean similarity to training images and the share of copies among them."""


@dataclass(frozen=True)
class CopyOracle:
    """Training images and at most as many held-out ones, compared by correlation after the mean image is subtracted."""

    detector: Pixels
    train: Split
    heldout: Split

    @classmethod
    def of(cls, train: Split, heldout: Split) -> Self:
        """Use each training image once, and the mean image of training and held-out images together.

        A mean of the training images alone would make them differ from the held-out ones by the subtraction itself.
        """
        train = train.part(np.unique(train.rows, return_index=True)[1])
        heldout = heldout.part(range(min(len(heldout), len(train))))
        detector = Pixels(mean=mean_image(join_splits("real", train, heldout)))
        return cls(detector, train, heldout)

    def _rows(self, split: Split) -> Rows:
        """Return the embeddings of a split, computed on demand: it may be larger than memory."""
        return rows_of(self.detector, split)

    def _embedded(self, images: Images) -> Rows:
        """Embed generated images (N, C, *spatial); colour becomes grey where the data set is grey."""
        if self.train.shape[0] == 1 and images.shape[1] == 3:
            images = images.mean(axis=1, keepdims=True)
        if images.shape[1:] != self.train.shape:
            raise UsageError(
                f"the pipeline generates images of shape {images.shape[1:]}, the items of {self.train.name} are "
                f"{self.train.shape}",
                "give the data set that the pipeline was trained on",
            )
        return rows_in_memory(self.detector, images)

    def similarity(self, images: Images) -> Array:
        """Return the similarity of images (N, C, *spatial) to the nearest training image, (N,) float64."""
        return nearest(self._embedded(images), self._rows(self.train)).similarity

    def nearest_image(self, images: Images) -> Images:
        """Return the training image nearest to the first of images (N, C, *spatial), (C, *spatial)."""
        neighbours = nearest(self._embedded(images[:1]), self._rows(self.train))
        image: Images = self.train.images(neighbours.index)[0]
        return image

    def threshold(self, images: Images) -> float:
        """Return the similarity to training images that at most 1 % of images exceed without being copies.

        It is estimated from generated images (N, C, *spatial) and held-out patients, whom the model has not seen: their
        similarities are those of images that are not copies. Raises AdapterError where too many images are constant.
        """
        require_varied(images)
        to_heldout = nearest(self._embedded(images), self._rows(self.heldout)).similarity
        # With H held-out and M > H training images, the nearest training image is nearer by their number alone. Each of
        # M / H groups of H images exceeds the threshold by chance with probability alpha H / M, and any of them with at
        # most alpha (union bound).
        alpha = ALPHA * len(self.heldout) / len(self.train)
        return float(np.quantile(to_heldout, 1 - alpha, method="higher"))  # not interpolated: never below the share

    def scorer(self, threshold: float) -> CopyScorer:
        """Return a function of images that gives their mean similarity to training images and their share of copies."""

        def scored(images: Images) -> tuple[float, float]:
            similarity = self.similarity(images)
            return float(similarity.mean()), float((similarity > threshold).mean())

        return scored

    def copied(self, images: Images, threshold: float) -> Array:
        """Return which images (N, C, *spatial) copy a training image, (N,) bool."""
        above: Array = self.similarity(images) > threshold
        return above


def require_varied(images: Images) -> None:
    """Raise AdapterError where too many of images (N, C, *spatial) are constant: they would count as no copies."""
    count = int(constant(images).sum())
    if count > TOLERATED * len(images):
        raise AdapterError(
            f"{count} of {len(images)} generated images are constant, one grey value everywhere, and would count as no "
            "copies",
            "its weights are damaged, or overflow in this precision: use --precision fp32",
        )


def open_copy_oracle(pipeline: Any, data: str, root: Path | None, cache: Path) -> CopyOracle:
    """Return the oracle of a data set, prepared at the image size of a pipeline. Raises BenchError."""
    from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
    from benchmark.core.progress import to_stderr
    from benchmark.text2image.guided import latent_shape

    side = latent_shape(pipeline)[1] * pipeline.vae_scale_factor
    config = DataConfig(name=data, root=root, image_size=side)
    cohort = open_cohort(config, *build_dataset(config), cache=cache, log=to_stderr)
    return CopyOracle.of(cohort.train, cohort.heldout)


def copy_scorer_of(
    pipeline: Any, oracle: CopyOracle, prompts: Sequence[str], sampling: PromptSampling, batch: int
) -> CopyScorer:
    """Return a function that scores images of a pipeline; its threshold comes from 500 images, of up to 500 prompts."""
    from benchmark.text2image.guided import decode_images, sample_latents

    used = [prompts[number % len(prompts)] for number in range(CALIBRATED_ON)]
    images = []
    for part in chunks(len(used), batch):
        numbers = range(part.start, part.stop)
        latents = sample_latents(
            pipeline, used[part], seed=0, numbers=numbers, steps=sampling.steps, guidance=sampling.guidance
        )
        images.append(decode_images(pipeline, latents).cpu().numpy())
    return oracle.scorer(oracle.threshold(np.concatenate(images)))
