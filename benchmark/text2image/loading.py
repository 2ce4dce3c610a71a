"""Load a text-to-image pipeline from a folder, a run folder, a hub id at a commit, or a model's name and settings."""

from __future__ import annotations

import importlib.util
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.core.content_digests import option_digests, tree_digest
from benchmark.core.errors import AdapterError, MissingDataError, UsageError
from benchmark.core.files import content_key, file_name
from benchmark.core.options import build
from benchmark.core.types import HasFiles, HasFoundSettings, HasParts, takes_prompts
from benchmark.plugins import registry
from benchmark.text2image.folders import find_pipeline, refuse_file

RUN = "run.toml"
"""The configuration that a run folder holds."""


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline of Stable Diffusion's kind."""

    pipeline: Any
    identity: str
    """Digest of its files and settings, or the hub id and commit; never a path."""
    name: str
    """Can be the name of a folder."""
    facts: tuple[tuple[str, str], ...] = ()
    """What was chosen among the files, such as ("variant", "fp16"); may be published."""


def open_model(
    place: str,
    device: str,
    precision: str = "fp32",
    *,
    preset: str | None = None,
    settings: dict[str, Any] | None = None,
) -> LoadedPipeline:
    """Load a pipeline of Stable Diffusion's kind, in fp32 or bf16. Raises BenchError.

    Args:
        place: a folder that `save_pretrained` wrote, a run folder of a text-to-image model, a hub id and commit as
            ID@COMMIT, or the name of a model of pretrained pipelines, such as diffusers.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32` or `bf16`.
        preset: for the name of a model; smoke by default.
        settings: hyper-parameters, for the name of a model.
    """
    from benchmark.text2image.pipelines import unsupported_reason

    if importlib.util.find_spec("transformers") is None:
        raise AdapterError("text encoders need transformers", "install it: pip install 'memobench[text]'")
    loaded = _load_from(place, device, preset, settings or {})
    if reason := unsupported_reason(loaded.pipeline):
        raise AdapterError(
            f"{place} holds a {type(loaded.pipeline).__name__}, which {reason}",
            "give a text-to-image pipeline of Stable Diffusion's kind",
        )
    if precision == "bf16":
        import torch

        loaded.pipeline.to(torch.bfloat16)
    return loaded


def _load_from(place: str, device: str, preset: str | None, settings: dict[str, Any]) -> LoadedPipeline:
    if place in registry.listing("models").cards:
        return _of_settings(place, device, preset or "smoke", settings)
    if preset or settings:
        raise UsageError(
            f"{place} already has its settings", "--preset and --set are for the name of a model, such as diffusers"
        )
    folder = Path(place)
    if folder.is_file():
        refuse_file(folder)
    if not folder.is_dir():
        return _of_hub(place, device)
    inner = folder / "fit" / "model"
    if (folder / RUN).is_file() and not (inner / "model_index.json").is_file():
        return _of_run(folder, device)
    return _of_folder(inner if inner.is_dir() else folder, device)


def _load(path: str, device: str, revision: str = "") -> Any:
    from benchmark.text2image.pipelines import load_pipeline

    return load_pipeline(path, device, revision=revision, safety_checker=None, requires_safety_checker=False)


def _of_folder(folder: Path, device: str) -> LoadedPipeline:
    contents = find_pipeline(folder, without=("safety_checker",))
    facts = (("variant", contents.variant),) if contents.variant else ()
    return LoadedPipeline(_load(str(folder), device), tree_digest(folder)[:16], file_name(folder.resolve().name), facts)


def _of_hub(place: str, device: str) -> LoadedPipeline:
    path, _, revision = place.partition("@")
    if not revision:
        raise MissingDataError(
            f"{path} is neither a folder on this disk nor the name of a model",
            "give a folder that save_pretrained wrote, a run folder, or a hub id as ID@COMMIT",
        )
    return LoadedPipeline(_load(path, device, revision), place, file_name(path.rpartition("/")[2]))


def _of_run(folder: Path, device: str) -> LoadedPipeline:
    """Load the pipeline of a run whose adapter stores where it is."""
    name = str(tomllib.loads((folder / RUN).read_text(encoding="utf-8"))["model"]["name"])
    adapter = registry.load_class("models", registry.find_model(name)).load(folder / "fit" / "model", device=device)
    if not takes_prompts(adapter):
        raise AdapterError(
            f"{folder} is a run of {name}, which takes no prompts", "give a run of a text-to-image model"
        )
    return LoadedPipeline(
        adapter.pipeline, content_key(tree_digest(folder / "fit" / "model"), _files(adapter)), file_name(name)
    )


def _of_settings(name: str, device: str, preset: str, settings: dict[str, Any]) -> LoadedPipeline:
    card = registry.find_model(name)
    if preset not in card.presets:
        raise UsageError(f"{name} has no preset {preset!r}", f"it has: {', '.join(card.presets) or 'none'}")
    cls = registry.load_class("models", card)
    if not issubclass(cls, HasParts):
        raise UsageError(f"{name} has to be trained before it takes prompts", "give its run folder: bench run")
    adapter: Any = build(cls, card.presets[preset].set | settings, what=f"model {name}")
    identity = content_key(name, asdict(adapter), _files(adapter))
    facts = tuple(adapter.found_settings().items()) if isinstance(adapter, HasFoundSettings) else ()
    return LoadedPipeline(adapter.assemble(device), identity, file_name(f"{name}-{preset}"), facts)


def _files(adapter: object) -> list[object]:
    """Return digests of the files that an adapter's options name, and what it says of others itself."""
    return [option_digests(adapter), adapter.fingerprint() if isinstance(adapter, HasFiles) else ""]
