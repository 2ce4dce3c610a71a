"""Find the pipeline in a folder, and check what its index names, before any library opens it.

diffusers imports the library that an index names for a part: here only diffusers and transformers may be named, so that
nothing else is imported and no code from the folder runs.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from benchmark.core.errors import AdapterError, BadDataError, MissingDataError, UsageError
from benchmark.core.model_files import notice
from benchmark.text2image.not_pipelines import ADAPTER_STEMS, LORA_HINT, what_file_it_is, what_it_is
from benchmark.text2image.weight_files import PLAIN, Weights, choose_variant, variants_of

INDEX = "model_index.json"
CODE_KEYS = frozenset({"_module", "custom_pipeline", "custom_revision", "auto_map", "trust_remote_code"})
"""What `save_pretrained` never writes into an index, and versions of diffusers take, or may take, for code to load."""
UNNAMED = "None.py"
"""diffusers looks for the file NAME.py of a custom pipeline, with None for the name where there is none."""
DEPTH = 3
"""Levels below the given folder that are searched: a cache of the Hub has models--ORG--NAME/snapshots/COMMIT."""
CONFIG = "config.json"
"""A part with this file has weights; schedulers and tokenizers have other names for theirs."""
SHOWN = 5


@dataclass(frozen=True)
class PipelineFolder:
    """A folder that holds one pipeline, and which of its weights are loaded."""

    path: Path
    variant: str
    """Such as fp16; empty for the plain weights."""
    parts: Mapping[str, Weights]
    """Chosen weights of each part that has some."""
    classes: Mapping[str, tuple[str, str]]
    """Library and class of each part."""


def find_pipeline(place: Path, variant: str = "", *, without: tuple[str, ...] = ()) -> PipelineFolder:
    """Return the pipeline of a folder, at most three levels below it, with complete weights.

    Args:
        place: a folder.
        variant: of the weights; if empty, the plain ones, else the most precise.
        without: parts that are not loaded, such as safety_checker.

    Says in one line if the pipeline is in a folder below, and which variant is taken. Raises BenchError that names
    what the folder holds instead.
    """
    folder = _folder_of(place)
    classes = check_index(read_index(folder / INDEX), str(folder))
    weights_of = {}
    _require_no_adapter(folder)
    if (folder / UNNAMED).exists():
        raise AdapterError(f"{folder} holds {UNNAMED}, which diffusers takes for code of the pipeline", "remove it")
    for name, (library, kind) in classes.items():
        if name in without:
            continue
        part = _part_of(folder, name)
        _require_no_adapter(part)
        _require_no_code(part, library, kind)
        if (part / CONFIG).is_file() and not kind.endswith("Scheduler"):
            weights_of[name] = variants_of(part) or _no_weights(part)
    chosen = choose_variant(folder, weights_of, variant) if weights_of else PLAIN
    parts = {name: variants.get(chosen) or variants[PLAIN] for name, variants in weights_of.items()}
    for weights in parts.values():
        weights.check()
    if chosen:
        notice(f"{folder.name} has weights of the variant {chosen}, which are computed with in float32")
    return PipelineFolder(folder, chosen, parts, classes)


def refuse_file(path: Path) -> NoReturn:
    """Raise AdapterError that names what a file is, where the folder of a pipeline is needed."""
    what, hint = what_file_it_is(path)
    raise AdapterError(f"{path} {what}", hint)


def _part_of(folder: Path, name: str) -> Path:
    """Return the folder of a part: as diffusers does, the pipeline's own folder where there is none of its name."""
    if (folder / name).is_dir():
        return folder / name
    if any(path.name.endswith(CONFIG) for path in folder.iterdir()):
        return folder
    raise MissingDataError(
        f"{folder / INDEX} names a part {name}, and there is no folder {folder / name}", "copy the whole folder"
    )


def _folder_of(place: Path) -> Path:
    if (place / INDEX).exists():
        return place
    below = _current(sorted({index.parent for index in _indexes(place, DEPTH)}))
    if not below:
        what, hint = what_it_is(place)
        raise AdapterError(f"{place} {what}", hint)
    if len(below) > 1:
        shown = ", ".join(str(folder.relative_to(place)) for folder in below[:SHOWN])
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        raise UsageError(
            f"{place} holds {len(below)} pipelines: {shown}{more}", f"give one of them, such as {below[0]}"
        )
    notice(f"the pipeline is in {below[0].relative_to(place)} of the folder {place.name}")
    return below[0]


def _indexes(folder: Path, depth: int) -> list[Path]:
    """Return the indexes of the folders below, whose own folders are not searched: those hold the pipeline's parts."""
    try:
        below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    except PermissionError:
        return []
    indexes = []
    for path in below:
        if (path / INDEX).exists():
            indexes.append(path / INDEX)
        elif depth > 1:
            indexes += _indexes(path, depth - 1)
    return indexes


def _current(folders: list[Path]) -> list[Path]:
    """Leave out snapshots of a Hub cache that its `refs/main` does not name, where one is named."""
    kept = []
    for folder in folders:
        reference = folder.parent.parent / "refs" / "main"
        named = folder.parent.name == "snapshots" and reference.is_file()
        current = reference.read_text(encoding="utf-8").strip() if named else ""
        others = {other.name for other in folders if other.parent == folder.parent}
        if current not in others or folder.name == current:
            kept.append(folder)
    return kept


def read_index(path: Path) -> Any:
    """Return the content of an index. Raises MissingDataError, BadDataError."""
    if not path.is_file():
        raise MissingDataError(f"{path} is a link to a file that is not on this disk", "download the model again")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{path} is not JSON, or it is damaged", "download or copy it again") from error


def check_index(index: Any, place: str) -> dict[str, tuple[str, str]]:
    """Return library and class of each part that an index names.

    Raises AdapterError for a pipeline or a part whose class is neither of diffusers nor of transformers: it would be
    code from the folder, or of any library that is installed.
    """
    hint = "give a pipeline whose parts are of diffusers and transformers"
    if not isinstance(index, dict) or "_class_name" not in index:
        raise AdapterError(f"the {INDEX} of {place} names no pipeline", "give it as save_pretrained writes it")
    name = index["_class_name"]
    if not _is_class(name):
        raise AdapterError(f"{place} needs a pipeline class of its own, {name}: its code is never run", hint)
    for key in CODE_KEYS & index.keys():
        raise AdapterError(f"{place} has {key} in its {INDEX}, which names code: it is never run", hint)
    parts = {}
    for part, value in index.items():
        if part.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        if len(value) != 2 or not all(isinstance(text, str) for text in value):
            raise AdapterError(f"the {INDEX} of {place} has {value} for {part}", "give it as save_pretrained writes it")
        if not _is_class(value[1]):
            raise AdapterError(f"{place} needs {value[1]!r} for its {part}, which is no class of a library", hint)
        if value[0] not in ("diffusers", "transformers") and value[0] not in _pipeline_modules():
            raise AdapterError(
                f"{place} needs {'.'.join(value)} for its {part}, which is neither of diffusers nor of transformers: "
                "its code is never run",
                hint,
            )
        if Path(part).name != part:
            raise AdapterError(f"the {INDEX} of {place} has a part {part!r}", "give it as save_pretrained writes it")
        parts[part] = (value[0], value[1])
    return parts


def _is_class(name: object) -> bool:
    """Return whether a name can be that of a public class of a library: a list of two would name code of a folder."""
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")


def _pipeline_modules() -> set[str]:
    """Return the names of diffusers' modules of pipelines: an index names some parts by them (stable_diffusion)."""
    spec = importlib.util.find_spec("diffusers")
    places = (spec.submodule_search_locations or []) if spec else []
    return {path.name for place in places for path in (Path(place) / "pipelines").glob("[a-z]*") if path.is_dir()}


def _require_no_code(part: Path, library: str, kind: str) -> None:
    """Raise AdapterError where a part needs Python code from its folder.

    diffusers takes a file LIBRARY.py for such code, and transformers a class of `auto_map`, where the index names a
    class that chooses by the configuration; it would ask on the terminal whether to run it.
    """
    reason = f"{library}.py" if (part / f"{library}.py").exists() else ""
    for path in sorted(part.glob("*config.json")) if kind.startswith("Auto") else []:
        config = read_index(path)
        if isinstance(config, dict) and "auto_map" in config:
            reason = f"auto_map in {path.name}"
    if reason:
        raise AdapterError(
            f"{part} needs Python code of its own ({reason}), which is never run",
            "give a pipeline whose parts are of diffusers and transformers",
        )


def _require_no_adapter(folder: Path) -> None:
    """Raise AdapterError where LoRA weights are beside those of a pipeline or a part: nothing would load them.

    What was fine-tuned is then in these alone, and the images would be those of the model before it.
    """
    adapters = sorted(path.name for path in folder.iterdir() if path.stem in ADAPTER_STEMS)
    if adapters:
        raise AdapterError(
            f"{folder} holds {adapters[0]} beside the model: LoRA weights, which it would be sampled without",
            f"{LORA_HINT}. If they are not part of this model, move them out of the folder",
        )


def _no_weights(part: Path) -> dict[str, Weights]:
    pickled = sorted(path.name for path in part.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickled:
        raise AdapterError(
            f"{part} has weights only as {pickled[0]}, a pickle, which can hold code and is not read",
            "load the pipeline where you trust it, and write it again: "
            "DiffusionPipeline.from_pretrained(DIR).save_pretrained(NEW)",
        )
    others = sorted(path.name for path in part.iterdir() if path.is_file() and path.suffix != ".json")
    kept = f"; it has {', '.join(others[:SHOWN])}" if others else ""
    raise MissingDataError(f"{part} has no weights as .safetensors{kept}", "download or copy the folder again")
