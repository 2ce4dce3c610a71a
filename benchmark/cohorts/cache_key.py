"""What a prepared cohort depends on: the data set's options and code, and the files it was read from."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.core.errors import MissingDataError
from benchmark.core.files import content_key
from benchmark.core.options import without_paths
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.types import Dataset, Source


def preparation_key(
    dataset: Dataset, sources: Sequence[Source], remarks: Mapping[str, Sequence[str]], root: Path
) -> str:
    """Return the key under which prepared items are cached.

    It changes with the class, its options, the code that reads and writes items, and any file's name, size or time of
    change, and stays when the whole folder moves. Raises MissingDataError for a file that is gone.
    """
    return content_key(recipe(dataset), _code(dataset), remarks, [_files(source, root) for source in sources])


def recipe(dataset: Dataset) -> dict[str, Any]:
    """Return the class name and options of a data set, ready for JSON; of a path only that one was given."""
    anything: Any = dataset
    options = dataclasses.asdict(anything) if dataclasses.is_dataclass(type(anything)) else {}
    return {"class": type(dataset).__qualname__, **without_paths(options)}


def _code(dataset: Dataset) -> str:
    """Digest the code that reads this data set, or the one that it wraps, and writes the items."""
    classes = [type(one) for one in (dataset, getattr(dataset, "dataset", None)) if one is not None]
    try:
        own = [Path(inspect.getfile(cls)) for cls in classes]
    except (OSError, TypeError):  # a class that was typed in has no file
        own = []
    return source_digest(core_module("cohorts.ingest"), *own)


def _files(source: Source, root: Path) -> list[Any]:
    stamps = [_stamp(Path(file), root) for file in source.files]
    return [source.subject, source.name, source.label, source.group, *stamps]


def _stamp(file: Path, root: Path) -> tuple[str, int, int]:
    try:
        state = file.stat()
    except OSError as error:
        raise MissingDataError(f"{file} is listed but cannot be read: {error.strerror}", "copy it again") from error
    name = file.relative_to(root) if file.is_relative_to(root) else file
    return name.as_posix(), state.st_size, state.st_mtime_ns
