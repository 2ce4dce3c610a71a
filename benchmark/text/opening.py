"""Where a text-to-image pipeline is, and what it is made of: a folder, a run folder, a hub id at a commit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from benchmark.errors import AdapterError, MissingDataError
from benchmark.storage import file_name, files_key


def open_pipeline(place: str, device: str, precision: str = "fp32") -> Any:
    """Load a pipeline of Stable Diffusion's kind, in fp32 or bf16. Raises MissingDataError, AdapterError.

    `place` is a folder that `save_pretrained` wrote, a run folder of ldm-text, or a hub id and commit, ID@COMMIT.
    """
    from benchmark.networks.pipelines import load_pipeline

    if importlib.util.find_spec("transformers") is None:
        raise AdapterError("text encoders need transformers", "install it: pip install 'memobench[text]'")
    path, _, revision = place.partition("@") if not Path(place).is_dir() else (str(_folder(Path(place))), "", "")
    if not revision and not Path(path).is_dir():
        raise MissingDataError(
            f"{path} is no folder on this disk", "give a folder that save_pretrained wrote, or a hub id as ID@COMMIT"
        )
    pipeline = load_pipeline(path, device, revision=revision, safety_checker=None, requires_safety_checker=False)
    if not all(hasattr(pipeline, part) for part in ("tokenizer", "text_encoder", "unet")):
        raise AdapterError(
            f"{path} holds a {type(pipeline).__name__}, which takes no prompts", "give a text-to-image pipeline"
        )
    if precision == "bf16":
        import torch

        pipeline.to(torch.bfloat16)
    return pipeline


def _folder(folder: Path) -> Path:
    """Return the pipeline within a run folder, or the folder itself."""
    inner = folder / "fit" / "model"
    return inner if (inner / "model_index.json").is_file() else folder


def identity(place: str) -> str:
    """Return a digest of a pipeline's files, or the hub id and commit."""
    return files_key(_folder(Path(place))) if Path(place).is_dir() else place


def short_name(place: str) -> str:
    """Return a pipeline's name, fit for a folder."""
    return file_name(_folder(Path(place)).resolve().name)
