"""A pretrained pipeline of Hugging Face's diffusers, with or without prompts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from benchmark.adapters.external import ExternalModel
from benchmark.adapters.network import check_choices
from benchmark.core.errors import AdapterError, MissingDataError, UsageError
from benchmark.core.seeding import derive_seed
from benchmark.core.types import chunks
from benchmark.text2image.folders import INDEX, find_pipeline, read_index, refuse_file
from benchmark.text2image.pipelines import load_pipeline, load_radedit

if TYPE_CHECKING:
    from benchmark.core.types import Images


@dataclass
class Pipeline(ExternalModel):
    """Any pipeline called without a prompt, such as DDPMPipeline, or with one, such as StableDiffusionPipeline.

    `path` is a folder that `save_pretrained` wrote, with safetensors weights, or one that holds one such folder (also a
    cache of the Hub); or a hub id such as google/ddpm-cat-256. Whatever is stored, float32 is computed with.
    """

    name: ClassVar[str] = "diffusers"

    revision: str = ""
    """Commit of the hub id: without one the weights could change between two calls."""
    variant: str = ""
    """Name of a variant of the weights, such as fp16; if empty, plain weights, else the most precise, are loaded."""
    parts: str = "pipeline"
    """`pipeline`, or `radedit`, whose U-Net is in `path`, and whose vae and text encoder are in two other places."""
    vae: str = ""
    """For radedit: a folder, or a hub id and commit as ID@COMMIT."""
    text_encoder: str = ""
    """For radedit: as vae."""
    trust_remote_code: bool = False
    """For radedit: run the Python code that comes with its text encoder. Read that code first."""
    guidance: float = 7.5
    """Scale of classifier-free guidance, where there are prompts."""
    steps: int = 50
    """Sampling steps."""
    sampling_batch: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices("diffusers", self, {"parts": ("pipeline", "radedit")})
        if Path(self.path).is_file():
            refuse_file(Path(self.path))
        if not Path(self.path).is_dir() and not self.revision:
            raise MissingDataError(
                f"{self.path} is no folder on this disk, and a hub id needs the commit of its files",
                "give --set path=FOLDER, or add --set revision=COMMIT",
            )
        self._pipeline: Any = None

    @property
    def prompted(self) -> bool:
        """Whether the pipeline is called with prompts."""
        return "prompt" in self._parameters

    @property
    def pipeline(self) -> Any:
        """The pipeline. Raises AdapterError before `fit` or `load`."""
        if self._pipeline is None:
            raise AdapterError("this pipeline has not been loaded", "call fit or load first")
        return self._pipeline

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, H, W) of `sampling_batch`, each image from its own random generator."""
        pipeline, prompted = self.pipeline, self.prompted
        if not prompted:
            self.refuse_prompts(prompts)
        texts = prompts or [""] * count
        for part in chunks(count, self.sampling_batch):
            numbers = range(part.start, part.stop)
            generators = [torch.Generator().manual_seed(derive_seed(seed, number)) for number in numbers]
            arguments: dict[str, Any] = {"batch_size": len(generators)}
            if prompted:
                arguments = {"prompt": list(texts[part]), "guidance_scale": self.guidance}
            try:
                output = pipeline(**arguments, generator=generators, num_inference_steps=self.steps, output_type="np")
            except (TypeError, ValueError, AttributeError) as error:
                if "image" not in self._parameters:  # some pipelines take one, and can do without
                    raise
                raise self._needs("an image") from error
            images: Images = np.moveaxis(np.asarray(output.images, dtype=np.float32), -1, 1) * 2 - 1
            yield images.mean(axis=1, keepdims=True) if self._converts_to_grey(images.shape[1]) else images

    def _converts_to_grey(self, channels: int) -> bool:
        return channels == 3 and self.shape[0] == 1

    def assemble(self, device: str) -> Any:
        """Load the pipeline, whatever the size of its images. Raises BenchError."""
        if self.parts == "radedit":
            return load_radedit(
                self.path, self.revision, self.vae, self.text_encoder, device, trust=self.trust_remote_code
            )
        return load_pipeline(self.path, device, revision=self.revision, variant=self.variant, **self._unchecked())

    def open(self, device: str) -> None:
        """Load the pipeline. Raises UsageError where its images have another shape than those of the cohort."""
        self._pipeline = self.assemble(device)
        self._require_no_input()
        self._check()

    def found_settings(self) -> dict[str, str]:
        """Return the variant of the weights that was found, where it is not the plain one."""
        if self.parts == "radedit" or not Path(self.path).is_dir():
            return {}
        contents = find_pipeline(Path(self.path), self.variant, without=("safety_checker",))
        return {"variant": contents.variant} if contents.variant else {}

    def _unchecked(self) -> dict[str, Any]:
        """Switch the safety checker off where the pipeline has one: it replaces some images by black ones."""
        if not Path(self.path).is_dir():
            return {}
        folder = find_pipeline(Path(self.path), self.variant, without=("safety_checker",)).path
        named = "safety_checker" in read_index(folder / INDEX)
        return {"safety_checker": None, "requires_safety_checker": False} if named else {}

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(type(self.pipeline).__call__).parameters

    def _require_no_input(self) -> None:
        """Raise UsageError where the pipeline must be given more than a prompt, such as the class of each image."""
        required = [
            name
            for name, one in self._parameters.items()
            if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD and name not in ("self", "prompt")
        ]
        if required:
            raise self._needs(" and ".join(required))

    def _needs(self, what: str) -> UsageError:
        return UsageError(
            f"{self.path} is a {type(self.pipeline).__name__}, which needs {what}: it does not generate images from "
            "noise, or from a prompt alone",
            "give a pipeline that does, such as StableDiffusionPipeline.from_pretrained(DIR).save_pretrained(NEW) of "
            "one that changes images",
        )

    def _check(self) -> None:
        config = getattr(getattr(self._pipeline, "unet", None), "config", {})
        side, channels = config.get("sample_size"), config.get("out_channels")
        if hasattr(self._pipeline, "vae") and isinstance(side, int):
            side, channels = side * self._pipeline.vae_scale_factor, self._pipeline.vae.config.out_channels
            channels = 1 if self._converts_to_grey(channels) else channels
        if hasattr(self._pipeline, "vqvae") or side is None:
            return  # the size is known only once there are images: `adapters.sampling.draw` checks it
        sides = (side, side) if isinstance(side, int) else tuple(side)
        if (channels, *sides) != self.shape:
            raise UsageError(
                f"{self.path} generates images of shape {(channels, *sides)}, the cohort's items are {self.shape}",
                f"give --image-size {sides[0]} and as many channels",
            )
