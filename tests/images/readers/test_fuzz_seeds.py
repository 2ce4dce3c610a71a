"""Some damaged files of every format, and those on which a library wrote to the terminal when the fuzz first ran."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from scripts.fuzz_files import NAMES, damaged
from scripts.fuzzing.reading import Reader

SEEDS = {
    "MetaImage": (7, 11, 14, 19, 402, 451, 489, 737, 766, 988, 5227, 5250, 5265),
    "TIFF": (99, 100, 101, 104, 113, 117, 129, 150, 160, 175, 226, 227, 250),
    "JPEG": (15, 188),
    "PNG, 16 bit": (20169,),
}


@pytest.mark.parametrize(("name", "number"), [(name, number) for name, numbers in SEEDS.items() for number in numbers])
def test_an_image_or_one_sentence_and_a_silent_terminal(
    tmp_path: Path, name: str, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = damaged(name, number, tmp_path)
    capfd.readouterr()
    try:
        outcome = str(read_image(path).pixels.shape)
    except BadDataError as error:
        outcome = error.message
    assert outcome.startswith(("(", str(path)))
    assert "\n" not in outcome
    assert capfd.readouterr() == ("", "")


EACH = 40
"""Damaged files per format."""


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A process that reads within the limits of time and memory."""
    started = Reader()
    yield started
    started.stop()


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_an_image_or_one_sentence(tmp_path: Path, reader: Reader, name: str) -> None:
    failures = {}
    for number in range(EACH):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome = reader.read(damaged(name, number, folder))
        if outcome.kind == "failed":
            failures[number] = outcome.detail
    assert failures == {}
