"""Which ids mean one patient, and which mean none."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts.patient_ids import SAME_PATIENT, canonical_id, is_missing, join_spellings, one_name_each
from benchmark.cohorts.prepare import prepare
from benchmark.core.types import Source

ONE_PATIENT = [
    [
        "1",
        "001",
        "001 ",
        " 1",
        "1.0",
        "01.0",
        "0001",
        "1.00",
        "1,0",
        "\u00a01",
        "\ufeff1",
        "1\u200b",
        '"1"',
        "'001",
        '="001"',
    ],
    ["P001", "p001", "P 001", "P1", "p 1", "P\u00a0001", "P001.0", "\uff30\uff11"],
    ["Mu\u0308ller-7", "M\u00fcller-7", "M\u00dcLLER-07", "m\u00fcller - 7"],
    ["943 476 5919", "9434765919", "943\u2009476\u20095919"],
    ["0", "00", "000", "0.0"],
    ["1234", "1,234", "1.234", "01234", '"1,234"'],
    ["12000", "12,000", "12.000"],
    ["1234567", "1,234,567", "1.234.567"],
    ["SITE01_0005", "site1_5", "Site 1_05"],
]
DIFFERENT = [
    "1", "10", "100", "1e5", "100000", "12345678901234567890", "12345678901234567891", "1.5", "1.10", "1.1", "-1",
    "a1", "1a", "a", "aa", "P1_1", "P11", "P1-1", "P1.1", "1.2.840.0", "1.2.840", "1/1", "M\u00fcller", "Muller", "O1",
    "1.2345", "12.34", "0.123", "1234.567",
]  # fmt: skip


@pytest.mark.parametrize("spellings", ONE_PATIENT)
def test_spellings_of_one_patient(spellings: list[str]) -> None:
    assert len({canonical_id(name) for name in spellings}) == 1


def respelled(draw: random.Random, name: str) -> str:
    """Write an id as a spreadsheet, a parser or a person may write it."""
    if draw.random() < 0.3 and name[-1].isdigit() and "." not in name:
        name += draw.choice((".0", ".00", ",0"))
    if draw.random() < 0.5:
        name = re.sub("[0-9]+", lambda digits: "0" * draw.randrange(4) + digits[0], name)
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(name) + 1)
        name = name[:place] + draw.choice(" \t\u00a0\u2009\u200b\ufeff") + name[place:]
    return draw.choice((str, str.upper, str.lower, str.swapcase))(
        unicodedata.normalize(draw.choice(("NFC", "NFD")), name)
    )


@pytest.mark.parametrize("seed", range(10))
def test_random_spellings(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(200):
        name = "".join(draw.choice("aPzüéß0123456789_-") for _ in range(draw.randrange(1, 9)))
        assert canonical_id(respelled(draw, name)) == canonical_id(name)


def test_different_patients() -> None:
    """Also each first spelling of the patients above is another patient."""
    names = [*DIFFERENT, *(spellings[0] for spellings in ONE_PATIENT[1:])]
    assert len({canonical_id(name) for name in names}) == len(names)
    assert one_name_each(names) == {name: name for name in names}


def test_a_canonical_id_is_its_own() -> None:
    for name in [*DIFFERENT, *(name for spellings in ONE_PATIENT for name in spellings)]:
        assert canonical_id(canonical_id(name)) == canonical_id(name)


@pytest.mark.parametrize(
    "name", ["", " ", "nan", "NaN", "None", "NA", "N/A", "-", "null", "#N/A", "NaT", "unknown", "?", "..."]
)
def test_no_patient(name: str) -> None:
    assert is_missing(name)


@pytest.mark.parametrize("name", ["0", "1", "Nana", "N1", "none of 3", "unknown7", "x", "1e5"])
def test_a_patient(name: str) -> None:
    assert not is_missing(name)


def test_the_name_that_stands_for_all_does_not_depend_on_the_order() -> None:
    names = ["1.0", " 001", "001", "1", "001 ", "P2 ", "p3", "P3"]
    expected = {
        "1.0": "001",
        " 001": "001",
        "001": "001",
        "1": "001",
        "001 ": "001",
        "P2 ": "P2",
        "p3": "P3",
        "P3": "P3",
    }
    for seed in range(5):
        random.Random(seed).shuffle(names)
        assert one_name_each(names) == expected


def test_ids_without_another_spelling_stay_as_they_are() -> None:
    names = [f"PAT_{number:04d}.x" for number in range(300)] + ["1.0", "Mu\u0308ller", "p 7"]
    assert one_name_each(names) == {name: name for name in names}


def test_joined_sources_and_the_remark() -> None:
    sources = [
        Source(subject=subject, name=f"s{number}", files=(), label="x")
        for number, subject in enumerate(("001", "001 ", "1", "P2", "p2", "other"))
    ]
    joined, remarks = join_spellings(sources, {"left out": ["a"]})
    assert [source.subject for source in joined] == ["001", "001", "001", "P2", "P2", "other"]
    assert [replace(source, subject="") for source in joined] == [replace(source, subject="") for source in sources]
    assert remarks == {"left out": ["a"], SAME_PATIENT: ["001 = 1 = '001 '", "P2 = p2"]}
    assert join_spellings(sources[3:4], {}) == ([sources[3]], {})


@dataclass(frozen=True)
class Respelled:
    """A data set that spells the patient of every second file in another way."""

    inner: Any
    respell: Callable[[str], str]
    channels: tuple[str, ...] = ("grey",)

    def sources(self, root: Path) -> list[Source]:
        return [
            replace(source, subject=self.respell(source.subject) if number % 2 else source.subject)
            for number, source in enumerate(self.inner.sources(root))
        ]

    def read(self, source: Source) -> Any:
        return self.inner.read(source)


@pytest.mark.parametrize("respell", [str.upper, "{} ".format, "p {0:.0}{0[1]}{0[2]}{0[3]}".format])
def test_no_data_set_puts_one_patient_on_two_sides(
    arrays: Any, make_root: Callable[..., Path], tmp_path: Path, respell: Callable[[str], str]
) -> None:
    root, said = make_root(patients=20), []
    cohort = prepare("toy", Respelled(arrays, respell), root, tmp_path / "cache", log=said.append, workers=1)
    sides = [{item.split("_")[0] for item in split.items} for split in cohort.splits]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 20
    assert said[0] == "toy: prepared, 40 items of 20 patients"
    assert said[1].startswith(f"toy: {SAME_PATIENT}: ")
    assert said[1].endswith(" and 15 more")
    assert f"{SAME_PATIENT}: 20" in cohort.notes


def test_clean_ids_give_the_cohort_that_they_gave_before(
    arrays: Any, make_root: Callable[..., Path], tmp_path: Path, quiet: Callable[[str], None]
) -> None:
    """The subjects are those of the data set, and so is the order that the seed draws."""
    cohort = prepare("toy", arrays, make_root(), tmp_path / "cache", log=quiet)
    assert set(cohort.real.subjects) == {source.subject for source in arrays.sources(make_root())}
    assert len(np.unique(cohort.real.rows)) == 20
