"""From a table of items to the splits of a cohort: whom each part holds, told by the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.cohorts.assemble import assemble
from benchmark.cohorts.exclusions import read_exclusions
from benchmark.cohorts.open import DataConfig, listed_training
from benchmark.cohorts.splits import FRACTIONS
from benchmark.cohorts.store import Stored
from benchmark.cohorts.training_list import read_training_list, write_split
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Cohort, Split

PATIENTS = 40


@dataclass(frozen=True)
class Nothing:
    """A data set without options: its items are prepared already."""


def stored(shared: tuple[tuple[int, int], ...] = ((3, 4), (11, 30))) -> Stored:
    """Patient p has 1 + p % 3 images of grey level p, the item's number in a second pixel; pairs share an image."""
    rows = [
        {
            "item": f"p{p}-{i}", "subject": f"p{p}", "group": "train" if p < 25 else "test",
            "sha": f"{p}-{i}", "label": None,
        }
        for p in range(PATIENTS)
        for i in range(1 + p % 3)
    ]  # fmt: skip
    pixels = np.array([[int(row["subject"][1:]), int(row["item"].split("-")[1])] for row in rows], dtype=np.uint8)
    for first, second in shared:
        for row in rows:
            if row["item"] in (f"p{first}-0", f"p{second}-0"):
                row["sha"] = f"shared-{first}"
    table = pd.DataFrame(rows)
    files = pd.DataFrame({"sha256": sorted(set(table["sha"]))})
    return Stored(
        folder=Path(), pixels=pixels.reshape(-1, 1, 1, 2), table=table, files=files, channels=("grey",),
        spacing_mm=(), remarks={},
    )  # fmt: skip


def cohort_of(given: Stored | None = None, **options: Any) -> Cohort:
    defaults: dict[str, Any] = {"split_seed": 0, "fractions": FRACTIONS, "train_items": None, "split": "patients"}
    return assemble("toy", Nothing(), given or stored(), **(defaults | options))  # type: ignore[arg-type]


def people(split: Split) -> set[int]:
    """Patients by their grey level."""
    return set(split.stored()[:, 0, 0, 0].tolist())


def test_each_part_holds_the_pixels_of_the_patients_that_it_names() -> None:
    cohort = cohort_of()
    for split in (*cohort.splits, cohort.heldout, cohort.real):
        levels = split.stored()[:, 0, 0]
        assert [f"p{person}" for person in levels[:, 0]] == list(split.subjects)
        assert [f"p{person}-{number}" for person, number in levels] == list(split.items)
    assert people(cohort.heldout) == people(cohort.calibration) | people(cohort.test)
    assert people(cohort.real) == set(range(PATIENTS))
    assert sum(len(people(split)) for split in cohort.splits) == PATIENTS
    assert [len(people(split)) for split in cohort.splits] == pytest.approx([20, 12, 8], abs=1)


def test_the_parts_of_the_whole_follow_one_another() -> None:
    cohort = cohort_of()
    train, calibration, test = (split.items for split in cohort.splits)
    assert cohort.real.items == train + calibration + test
    assert cohort.heldout.items == calibration + test
    assert cohort.real.dealt == cohort.train.dealt + cohort.heldout.dealt
    assert [split.name for split in cohort.splits] == ["train", "calibration", "test"]


def test_patients_who_share_an_image_are_one_unit_on_one_side() -> None:
    for seed in range(6):
        cohort = cohort_of(split_seed=seed)
        for split in cohort.splits:
            for first, second in ((3, 4), (11, 30)):
                assert len({first, second} & people(split)) in (0, 2)
        units = dict(zip(cohort.real.subjects, cohort.real.dealt, strict=True))
        assert units["p3"] == units["p4"] == "p3 = p4"
        assert units["p11"] == units["p30"] == "p11 = p30"
        assert units["p5"] == "p5"
    assert "groups of exact duplicates across patients, kept on one side of the split: 2" in cohort_of().notes


def test_fewer_training_items_are_those_of_the_first_patients_and_leave_held_out_patients_alone() -> None:
    """The first ones in the order that the seed draws: how many there are must not decide who is trained on."""
    whole = cohort_of()
    kept: set[str] = set()
    for count in range(1, len(whole.train) + 1):
        cohort = cohort_of(train_items=count)
        assert len(cohort.train) == count
        assert kept < set(cohort.train.items)
        kept = set(cohort.train.items)
        assert cohort.calibration.items == whole.calibration.items
        assert cohort.test.items == whole.test.items
    order = sorted(range(PATIENTS), key=lambda person: drawn(person, 0))
    first = next(person for person in order if person in people(whole.train))
    assert people(cohort_of(train_items=1).train) == {first}


def drawn(person: int, seed: int) -> bytes:
    """Place of a unit: the smallest digest of its patients."""
    import hashlib

    together = next((pair for pair in ((3, 4), (11, 30)) if person in pair), (person,))
    return min(hashlib.sha256(f"{seed}:p{one}".encode()).digest() for one in together)


def test_the_order_of_patients_fills_train_then_calibration_then_test() -> None:
    cohort = cohort_of()
    order = sorted(range(PATIENTS), key=lambda person: drawn(person, 0))
    ranks = {person: rank for rank, person in enumerate(order)}
    sides = [[ranks[person] for person in people(split)] for split in cohort.splits]
    assert max(sides[0]) < min(sides[1])
    assert max(sides[1]) < min(sides[2])


def test_another_split_seed_is_another_cohort_and_the_same_seed_the_same() -> None:
    first, again, other = cohort_of(), cohort_of(), cohort_of(split_seed=1)
    assert first.key == again.key
    assert first.train.items == again.train.items
    assert first.key != other.key
    assert people(first.train) != people(other.train)
    assert people(first.real) == people(other.real)
    assert len({cohort_of(train_items=count).key for count in (5, 6)}) == 2


def test_the_published_split_and_images_as_patients() -> None:
    cohort = cohort_of(stored(shared=()), split="official")
    assert people(cohort.train) == set(range(25))
    images = cohort_of(split="images")
    assert any(people(images.train) & people(images.test))
    assert images.real.subjects == images.real.items


def test_excluded_items_are_nowhere() -> None:
    gone = frozenset({"p0-0", "p8-1"})
    cohort = cohort_of(exclude=gone)
    assert not gone & set(cohort.real.items)
    assert len(cohort.real) == len(cohort_of().real) - 2
    for split in cohort.splits:
        assert [f"p{person}" for person in split.stored()[:, 0, 0, 0]] == list(split.subjects)


# Lists of training patients


def test_a_list_of_training_patients_makes_exactly_that_split() -> None:
    cohort = cohort_of(stored(shared=()), trained_on=frozenset(f"p{person}" for person in (1, 5, 7, 38)))
    assert people(cohort.train) == {1, 5, 7, 38}
    assert people(cohort.heldout) == set(range(PATIENTS)) - {1, 5, 7, 38}
    assert min(len(people(split)) for split in cohort.splits) > 0


def test_who_shares_an_image_with_a_listed_patient_has_been_seen() -> None:
    cohort = cohort_of(trained_on=frozenset({"p3", "p9"}))
    assert people(cohort.train) == {3, 4, 9}


def test_a_list_that_holds_out_nobody_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        cohort_of(stored(shared=()), trained_on=frozenset(f"p{person}" for person in range(1, PATIENTS)))
    assert str(error.value) == (
        "the list of training patients leaves 1 patients to hold out\n"
        "  hint: nothing tells copies from chance without them: add patients that the model has not seen"
    )


def test_images_of_listed_patients_cannot_be_excluded() -> None:
    """They would be in no split, and copies of them would go unseen."""
    listed = frozenset({"p1", "p5", "p7"})
    with pytest.raises(UsageError) as error:
        cohort_of(stored(shared=()), trained_on=listed, exclude=frozenset({"p1-0", "p5-0", "p20-0"}))
    assert str(error.value) == (
        "2 of the excluded images are of patients that the model was trained on, and copies of them would not be seen\n"
        "  hint: take them out of the list that --exclude names"
    )
    assert people(cohort_of(stored(shared=()), trained_on=listed, exclude=frozenset({"p20-0"})).train) == {1, 5, 7}


def test_the_written_list_gives_the_same_split_back(tmp_path: Path) -> None:
    given, cohort = stored(), cohort_of()
    train, heldout = write_split(tmp_path, cohort)
    assert (train.name, heldout.name) == ("train.csv", "heldout.csv")
    assert list(pd.read_csv(heldout)["item"]) == list(cohort.heldout.items)
    again = cohort_of(trained_on=read_training_list(train, given.table))
    assert set(again.train.items) == set(cohort.train.items)
    assert set(again.heldout.items) == set(cohort.heldout.items)
    assert read_training_list(None, given.table) == frozenset()


def test_a_list_of_items_names_their_patients(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("item\np5-0\np8-2\n")
    assert read_training_list(path, stored().table) == {"p5", "p8"}


@pytest.mark.parametrize(
    "content",
    [
        b"patient\nP05\np 8\n",
        'sep=;\r\nPatient;note\r\n"p5 ";x\r\np8.0;\r\n;;\r\n'.encode("utf-16"),
        b"item\n./p5-0\nP8-2.png\np8-1\n",
        b"item\tsplit\r/data/mine/p5-0\ttrain\rmine\\p8-1\ttrain\r",
    ],
)
def test_a_list_in_another_form_names_the_same_patients(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    assert read_training_list(path, stored().table, Path("/elsewhere/mine")) == {"p5", "p8"}


def test_a_list_with_a_row_without_a_patient_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("patient,note\np5,\nNA,\n,x\n")
    with pytest.raises(BadDataError) as error:
        read_training_list(path, stored().table)
    assert str(error.value) == (
        f"{path} has no id in column patient of line 3, and in 1 more"
        "\n  hint: fill it in, or leave the row out; nan, NA, none, unknown and - count as empty"
    )


def test_an_exclusion_in_another_form(tmp_path: Path) -> None:
    path = tmp_path / "exclude.csv"
    path.write_bytes("\ufeffreason;item\r\ntwice, blurred;.\\P5-0.png\r\n".encode())
    assert read_exclusions(path, stored().table) == {"p5-0"}
    path.write_text("item,reason\np5-0,twice, blurred\n")
    with pytest.raises(BadDataError) as error:
        read_exclusions(path, stored().table)
    assert str(error.value) == (
        f"{path} has 3 fields in line 2, and its header 2"
        '\n  hint: put the text in double quotes if it contains the separator ",", or give each column a name'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patient\np5\np99\np77\n",
            (
                "{} lists 2 patients that are not in the cohort, the first in line 3\n"
                "  hint: give the names that `bench datasets split` writes for these files and options"
            ),
        ),
        (
            "item\np5-9\n",
            (
                "{} lists 1 items that are not in the cohort, the first is p5-9 in line 2\n"
                "  hint: give the names that `bench datasets split` writes for these files and options"
            ),
        ),
    ],
)
def test_names_that_are_not_in_the_cohort(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_training_list(path, stored().table)
    assert str(error.value) == message.format(path)


def test_a_list_without_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("subject\np5\n")
    with pytest.raises((UsageError, BadDataError)) as error:
        read_training_list(path, stored().table)
    assert str(error.value) == (
        f"{path} has neither a column `patient` nor a column `item`\n"
        "  hint: write the list with `bench datasets split`, or name its column so"
    )


def test_only_a_file_is_read_as_a_list() -> None:
    config = DataConfig(name="folder")
    assert listed_training(config) is None
    assert listed_training(config.model_copy(update={"trained_on": "split"})) is None
    assert listed_training(config.model_copy(update={"trained_on": "list.csv"})) == Path("list.csv")
