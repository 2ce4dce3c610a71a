r"""A negative control without copies: averages of three real images of patients not used for training, blurred.

    python scripts/make_layouts.py cxr R1A --aside 250
    bench run --model scripts/averaged.py:Averaged --set folder=R1A/aside --data cxr-pneumonia --root R1A \
        --image-size 64 --samples 1000

Smooth averages correlate with all images. A threshold calibrated on real images wrongly flags many of them as copies.
The test of exposed samples must not: the interval of their share has to contain 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from benchmark.core.files import read_json, write_json
from benchmark.core.types import Budget, Images, Split, to_images
from benchmark.images.readers import read_image
from benchmark.images.resize import resize_smooth, to_uint8
from benchmark.images.transforms import blur


@dataclass
class Averaged:
    """Averages of three images of a folder, blurred by one pixel."""

    folder: str
    """A folder of grey images of held-out patients, or of patients that the cohort does not hold."""
    image_size: int = 64

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Learn nothing."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count averages."""
        files = sorted(path for path in Path(self.folder).rglob("*") if path.is_file())
        rng = np.random.default_rng(seed)
        for _ in range(count):
            three = [self._read(files[i]) for i in rng.choice(len(files), 3, replace=False)]
            yield blur(torch.from_numpy(np.mean(three, axis=0, dtype=np.float32)[None]), 1.0).numpy()

    def _read(self, path: Path) -> Images:
        grey = resize_smooth(read_image(path).pixels.astype(np.float32), self.image_size)
        return to_images(to_uint8(grey))[None]

    def save(self, folder: Path) -> None:
        """Write the options."""
        write_json(folder / "averaged.json", asdict(self))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Read the options."""
        return cls(**read_json(folder / "averaged.json"))
