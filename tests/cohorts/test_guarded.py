"""A data set of others: its answers are checked before they are used, and its errors name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts.guarded import created, joined_sources, read_source, remarks_of, sources_of
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


# Files, remarks and patients


class Joins(Mine):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def told(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def create(self, root: Path) -> Any:
        return self.told()

    def remarks(self, root: Path) -> Any:
        return self.told()

    def joined(self, sources: Any, roots: Any) -> Any:
        return self.told()


MOVED = Source("p1", "p1", ("p1.png",), group="heldout")


@pytest.mark.parametrize(("answer", "said"), [
    (None, f"failed in joined: TypeError: 'NoneType' object is not iterable{TRACE}"),
    (SystemExit(0), f"failed in joined: SystemExit: 0{TRACE}"),
    (["p1"], ": joined gave a str\n  hint: return benchmark.core.types.Source objects"),
    *(
        (answer, (
         ": joined gave other sources than it was given"
         "\n  hint: return each source once, with another subject and nothing else changed"
        ))
        for answer in ([], [GOOD, GOOD], [MOVED], [Source("p1", "p2", ("p1.png",))], [Source("p1", "p1", ("p2.png",))])
    ),
])  # fmt: skip
def test_joined(answer: Any, said: str) -> None:
    with pytest.raises(AdapterError) as refused:
        joined_sources("mine", Joins(answer), [GOOD], [])
    assert str(refused.value) == f"data set mine{'' if said.startswith(':') else ' '}{said}"


def test_joined_renames_patients() -> None:
    renamed = Source("p7", "p1", ("p1.png",))
    assert joined_sources("mine", Joins((renamed,)), [GOOD], []) == [renamed]


@pytest.mark.parametrize(("answer", "said"), [
    (None, f" failed in remarks: TypeError: 'NoneType' object is not iterable{TRACE}"),
    ({"left out": 1}, f" failed in remarks: TypeError: 'int' object is not iterable{TRACE}"),
    *(
        (answer, (
         ": remarks gave a remark or a name that is no text"
         "\n  hint: return a dict of texts, each with a list of names"
        ))
        for answer in ({1: ["a"]}, {"left out": [1]})
    ),
])  # fmt: skip
def test_remarks(tmp_path: Path, answer: Any, said: str) -> None:
    with pytest.raises(AdapterError) as refused:
        remarks_of("mine", Joins(answer), tmp_path)
    assert str(refused.value) == f"data set mine{said}"


def test_remarks_are_lists(tmp_path: Path) -> None:
    assert remarks_of("mine", Joins({"left out": ("a", "b")}), tmp_path) == {"left out": ["a", "b"]}
    assert remarks_of("mine", Mine(), tmp_path) == {}


@pytest.mark.parametrize(("answer", "said"), [
    (ZeroDivisionError("no patients"), f" failed in create: ZeroDivisionError: no patients{TRACE}"),
    (SystemExit(0), f" failed in create: SystemExit: 0{TRACE}"),
    (None, ": create left no folder {folder}\n  hint: write the files that `sources` finds"),
])  # fmt: skip
def test_created(tmp_path: Path, answer: Any, said: str) -> None:
    folder = tmp_path / "embedded"
    with pytest.raises(AdapterError) as refused:
        created("mine", Joins(answer), folder)
    assert str(refused.value) == f"data set mine{said.format(folder=folder)}"
