"""Damaged files on which a library wrote to the terminal, or sizes were made up, when the fuzz was first run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from scripts.fuzz_files import damaged

SEEDS = {
    "MetaImage": (7, 11, 14, 19, 402, 451, 489, 737, 766, 988, 5227, 5250, 5265),
    "TIFF": (99, 100, 101, 104, 113, 117, 129, 150, 160, 175, 226, 227, 250),
    "JPEG": (15, 188),
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
