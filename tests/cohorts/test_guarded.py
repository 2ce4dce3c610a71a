"""A data set of others: its answers are checked before they are used, and its errors name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts.guarded import read_source, sources_of
from benchmark.core.errors import AdapterError, BadDataError
from benchmark.core.types import Items, Source

GOOD = Source("p1", "p1", ("p1.png",))
TRACE = "\n  hint: run with --verbose for the stack trace"


class Mine:
    channels: Any = ("grey",)

    def __init__(self, sources: Any = (GOOD,), items: Any = None) -> None:
        self.listed, self.items = sources, items

    def sources(self, root: Path) -> Any:
        if isinstance(self.listed, BaseException):
            raise self.listed
        return self.listed

    def read(self, source: Source) -> Any:
        if isinstance(self.items, BaseException):
            raise self.items
        return self.items


@pytest.mark.parametrize(("listed", "said"), [
    (["p1.png"], "data set mine: sources gave a str\n  hint: return benchmark.core.types.Source objects"),
    ([Source("p1", "p1", (Path("p1.png"),))], (  # type: ignore[arg-type]
     "data set mine: sources gave a source whose subject, name or file is no text"
     "\n  hint: give each Source a subject, a name, and the paths of its files as str"
    )),
    (None, f"data set mine failed in sources: TypeError: 'NoneType' object is not iterable{TRACE}"),
    (SystemExit(0), f"data set mine failed in sources: SystemExit: 0{TRACE}"),
])  # fmt: skip
def test_sources(tmp_path: Path, listed: Any, said: str) -> None:
    with pytest.raises(AdapterError) as refused:
        sources_of("mine", Mine(listed), tmp_path)
    assert str(refused.value) == said


def test_a_generator_of_sources_is_a_list_and_channels_are_names(tmp_path: Path) -> None:
    mine = Mine(iter([GOOD]))
    assert sources_of("mine", mine, tmp_path) == [GOOD]
    mine.channels = "grey"
    with pytest.raises(AdapterError) as refused:
        sources_of("mine", mine, tmp_path)
    assert str(refused.value) == (
        "data set mine: channels is 'grey'\n  hint: name each one: channels = ('t1', 'flair')"
    )


@pytest.mark.parametrize(("items", "said"), [
    (np.zeros((1, 1, 2, 2)), "read gave a ndarray for p1"),
    (Items(pixels=[[1]], names=("",)), "read gave a Items with pixels of type list for p1"),
    (Items(pixels=np.zeros((1, 1, 2, 2)), names=(1,)), "read gave a name that is no text for p1"),  # type: ignore[arg-type]
])  # fmt: skip
def test_items(items: Any, said: str) -> None:
    with pytest.raises(AdapterError) as refused:
        read_source(Mine(items=items), GOOD)
    assert refused.value.message == f"data set Mine: {said}"


def test_a_file_that_cannot_be_used_stays_what_it_is() -> None:
    with pytest.raises(BadDataError):
        read_source(Mine(items=BadDataError("p1.png is cut off")), GOOD)
    with pytest.raises(KeyError):  # `parallel_read` leaves out the file that raised it
        read_source(Mine(items=KeyError("size")), GOOD)


def test_code_that_ends_the_process_is_no_fault_of_the_file() -> None:
    with pytest.raises(AdapterError) as refused:
        read_source(Mine(items=SystemExit(0)), GOOD)
    assert refused.value.message == "data set Mine failed in read: SystemExit: 0"
