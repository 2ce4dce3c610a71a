"""Pipelines of Hugging Face's diffusers, opened without running code of theirs and without words of theirs in a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.errors import AdapterError
from benchmark.machine import pick_device


def load_pipeline(path: str, device: str, *, revision: str = "", **parts: Any) -> Any:
    """Load a pipeline from a folder, offline, or from a hub id at a commit; safetensors weights only.

    Args:
        path: what `save_pretrained` wrote, or a hub id.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        revision: commit of a hub id.
        parts: handed on to `from_pretrained`, such as safety_checker=None.

    Raises AdapterError where diffusers cannot load it.
    """
    from diffusers import DiffusionPipeline

    _be_quiet()
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            path, revision=revision or None, local_files_only=Path(path).is_dir(), use_safetensors=True, **parts
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AdapterError(
            f"{path} is no pipeline that diffusers can load: {why}",
            "give a folder with model_index.json and .safetensors weights, as save_pretrained writes it",
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(pick_device(device))


def _be_quiet() -> None:
    """Turn warnings and bars off: the warnings of both libraries quote prompts."""
    from diffusers.utils import logging as diffusers_logging

    loggers: list[Any] = [diffusers_logging]
    try:
        from transformers.utils import logging as transformers_logging
    except ImportError:
        pass  # unconditional pipelines do without it
    else:
        loggers.append(transformers_logging)
    for logging in loggers:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
