"""What a data set answers, checked before it is used: its sources, its channels, and the items that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.core.errors import AdapterError
from benchmark.core.failures import TRACE
from benchmark.core.types import Dataset, Items, Source
from benchmark.plugins.guard import plugin_call


def sources_of(name: str, dataset: Dataset, root: Path) -> Sequence[Source]:
    """Return the sources under root. Raises AdapterError for an answer that is none, and as the data set does."""
    with plugin_call(f"data set {name}", "sources"):
        sources: Any = list(dataset.sources(root))
        channels: Any = dataset.channels
    if not isinstance(channels, tuple | list) or not channels or not all(isinstance(one, str) for one in channels):
        raise AdapterError(f"data set {name}: channels is {channels!r}", "name each one: channels = ('t1', 'flair')")
    for source in sources:
        _require_source(name, source)
    return sources  # type: ignore[no-any-return]


def _require_source(name: str, source: Any) -> None:
    if not isinstance(source, Source):
        raise AdapterError(
            f"data set {name}: sources gave a {type(source).__name__}", "return benchmark.core.types.Source objects"
        )
    texts = (source.subject, source.name, *source.files)
    if not all(isinstance(text, str) for text in texts):
        raise AdapterError(
            f"data set {name}: sources gave a source whose subject, name or file is no text",
            "give each Source a subject, a name, and the paths of its files as str",
        )


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
