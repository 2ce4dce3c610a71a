"""What a prepared cohort depends on: the data set's options and code, and the content of the files it was read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.core.content_digests import file_digests, option_digests
from benchmark.core.errors import MissingDataError
from benchmark.core.files import content_key
from benchmark.core.options import without_paths
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.types import Dataset, Source
from benchmark.images.readers.companions import with_companions
from benchmark.plugins.code_files import files_of_class


def preparation_key(
    dataset: Dataset,
    sources: Sequence[Source],
    remarks: Mapping[str, Sequence[str]],
    root: Path,
    *,
    kept: Path | None = None,
    save: bool = True,
) -> str:
    """Return the key under which prepared items are cached.

    It changes with the class, its options, the code that reads and writes items, and the name or content of any file
    that is read: those of the sources, the voxels that belong to their headers, and tables that options name. It stays
    when the whole folder moves, and when only times of files change. `kept` remembers digests between processes, which
    `save` writes. Raises MissingDataError for a file that is gone.
    """
    of_sources = [[Path(file) for file in with_companions(source.files)] for source in sources]
    try:
        digests = file_digests(chain.from_iterable(of_sources), kept=kept, save=save)
        options = option_digests(dataset, folders=False)
    except OSError as error:
        raise MissingDataError(
            f"{error.filename} is listed but cannot be read: {error.strerror}", "copy it again"
        ) from error
    content = [
        [
            source.subject,
            source.name,
            source.label,
            source.group,
            *((_name(file, root), digests[file]) for file in files),
        ]
        for source, files in zip(sources, of_sources, strict=True)
    ]
    return content_key(recipe(dataset), options, _code(dataset), remarks, content)


def recipe(dataset: Dataset) -> dict[str, Any]:
    """Return the class name and options of a data set, ready for JSON; of a path only that one was given."""
    anything: Any = dataset
    options = dataclasses.asdict(anything) if dataclasses.is_dataclass(type(anything)) else {}
    return {"class": type(dataset).__qualname__, **without_paths(options)}


def _code(dataset: Dataset) -> str:
    """Digest the code that reads this data set, or the one that it wraps, and writes the items."""
    classes = [type(one) for one in (dataset, getattr(dataset, "dataset", None)) if one is not None]
    own = [file for cls in classes for file in files_of_class("datasets", cls)]
    return source_digest(core_module("cohorts.ingest"), *own)


def _name(file: Path, root: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()
