"""A pipeline of Hugging Face's diffusers, trained elsewhere and sampled here; no code of the folder is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from benchmark.brought import Brought
from benchmark.contracts import chunks
from benchmark.errors import AdapterError, MissingDataError, UsageError
from benchmark.networks.pipelines import load_pipeline
from benchmark.seeding import word

if TYPE_CHECKING:
    from benchmark.contracts import Images


@dataclass
class Pipeline(Brought):
    """Any pipeline that is called without a prompt, such as DDPMPipeline, DDIMPipeline or LDMPipeline.

    `path` is a folder that `save_pretrained` wrote, with safetensors weights; or a hub id such as google/ddpm-cat-256.
    """

    name: ClassVar[str] = "diffusers"

    revision: str = ""
    """Commit of the hub id: without it the weights could change between two calls."""
    steps: int = 50
    """Sampling steps."""
    sampling_batch: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not Path(self.path).is_dir() and not self.revision:
            raise MissingDataError(
                f"{self.path} is no folder on this disk, and a hub id needs the commit of its files",
                "give --set path=FOLDER, or add --set revision=COMMIT",
            )
        self._pipeline: Any = None

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches of `sampling_batch`, each from a generator of its own."""
        self.refuse_prompts(prompts)
        if self._pipeline is None:
            raise AdapterError("this pipeline has not been loaded", "call fit or load first")
        for part in chunks(count, self.sampling_batch):
            numbers = range(part.start, part.stop)
            generators = [torch.Generator().manual_seed(word(seed, number)) for number in numbers]
            made = self._pipeline(
                batch_size=len(generators), generator=generators, num_inference_steps=self.steps, output_type="np"
            )
            images: Images = np.moveaxis(np.asarray(made.images, dtype=np.float32), -1, 1) * 2 - 1
            yield images

    def open(self, device: str) -> None:
        """Load the pipeline and refuse one of other images than the cohort's."""
        self._pipeline = load_pipeline(self.path, device, revision=self.revision)
        self._check()

    def _check(self) -> None:
        config = getattr(getattr(self._pipeline, "unet", None), "config", {})
        side, channels = config.get("sample_size"), config.get("out_channels")
        if hasattr(self._pipeline, "vqvae") or side is None:
            return  # the size of its images is known only once they are made: `samples.draw` checks them
        sides = (side, side) if isinstance(side, int) else tuple(side)
        if (channels, *sides) != self.shape:
            raise UsageError(
                f"{self.path} makes images of shape {(channels, *sides)}, the cohort's items are {self.shape}",
                f"give --image-size {sides[0]} and as many channels",
            )
