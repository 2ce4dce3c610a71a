"""What a data set answers, checked before it is used: sources, channels, remarks, joined patients, and its items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.core.errors import AdapterError
from benchmark.core.failures import TRACE
from benchmark.core.types import Dataset, Embedded, HasRemarks, Items, JoinsPatients, Source
from benchmark.plugins.guard import plugin_call


def sources_of(name: str, dataset: Dataset, root: Path) -> Sequence[Source]:
    """Return the sources under root. Raises AdapterError for an answer that is none, and as the data set does."""
    with plugin_call(f"data set {name}", "sources"):
        sources: Any = list(dataset.sources(root))
        channels: Any = dataset.channels
    if not isinstance(channels, tuple | list) or not channels or not all(isinstance(one, str) for one in channels):
        raise AdapterError(f"data set {name}: channels is {channels!r}", "name each one: channels = ('t1', 'flair')")
    for source in sources:
        _require_source(name, source, "sources")
    return sources  # type: ignore[no-any-return]


def _require_source(name: str, source: Any, call: str) -> None:
    if not isinstance(source, Source):
        raise AdapterError(
            f"data set {name}: {call} gave a {type(source).__name__}", "return benchmark.core.types.Source objects"
        )
    texts = (source.subject, source.name, *source.files)
    if not all(isinstance(text, str) for text in texts):
        raise AdapterError(
            f"data set {name}: {call} gave a source whose subject, name or file is no text",
            "give each Source a subject, a name, and the paths of its files as str",
        )


def created(name: str, dataset: Embedded, folder: Path) -> Path:
    """Let a data set create its files, and return their folder. Raises AdapterError where there is none afterwards."""
    with plugin_call(f"data set {name}", "create"):
        dataset.create(folder)
    if not folder.is_dir():
        raise AdapterError(f"data set {name}: create left no folder {folder}", "write the files that `sources` finds")
    return folder


def remarks_of(name: str, dataset: Dataset, root: Path) -> dict[str, list[str]]:
    """Return what a data set says of its files, if it says anything. Raises AdapterError for other types."""
    if not isinstance(dataset, HasRemarks):
        return {}
    with plugin_call(f"data set {name}", "remarks"):
        told: dict[Any, Any] = dict(dataset.remarks(root))
        lists = {what: [names] if isinstance(names, str) else list(names) for what, names in told.items()}
    if not all(isinstance(text, str) for what, names in lists.items() for text in (what, *names)):
        raise AdapterError(
            f"data set {name}: remarks gave a remark or a name that is no text",
            "return a dict of texts, each with a list of names",
        )
    return lists


def joined_sources(name: str, dataset: JoinsPatients, sources: list[Source], roots: Sequence[Path]) -> list[Source]:
    """Return sources whose patients have one name in all folders. Raises AdapterError for any other change."""
    with plugin_call(f"data set {name}", "joined"):
        told: Any = list(dataset.joined(sources, roots))
    for source in told:
        _require_source(name, source, "joined")
    if _without_subjects(told) != _without_subjects(sources):
        raise AdapterError(
            f"data set {name}: joined gave other sources than it was given",
            "return each source once, with another subject and nothing else changed",
        )
    return told  # type: ignore[no-any-return]


def _without_subjects(sources: Sequence[Source]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, side and files of sources: a training image that became a held-out one would hide its copies."""
    return sorted((source.name, source.group, tuple(source.files)) for source in sources)


def read_source(dataset: Dataset, source: Source) -> Items:
    """Read one source. Raises as the data set does, and AdapterError for `sys.exit` and for an answer that is none."""
    kind = type(dataset).__name__
    try:
        items: Any = dataset.read(source)
    except SystemExit as end:  # of the code, not of the file: another file would end it as well
        raise AdapterError(f"data set {kind} failed in read: SystemExit: {end.code}", TRACE) from end
    if not isinstance(items, Items) or not hasattr(items.pixels, "dtype") or not hasattr(items.pixels, "shape"):
        pixels = f" with pixels of type {type(items.pixels).__name__}" if isinstance(items, Items) else ""
        raise AdapterError(
            f"data set {kind}: read gave a {type(items).__name__}{pixels} for {source.name}",
            "return benchmark.core.types.Items with a NumPy array and one name per item",
        )
    if not all(isinstance(name, str) for name in items.names):
        raise AdapterError(f"data set {kind}: read gave a name that is no text for {source.name}", "give names as str")
    return items
