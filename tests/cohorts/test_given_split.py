"""Two folders as one data set: who is on both sides, and held-out patients with more images than training patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cohorts.given_split import (
    GivenSplit,
    at_present,
    missing_training,
    require_apart,
    surplus_heldout,
    with_distinct_names,
)
from benchmark.cohorts.patient_table import ABSENT
from benchmark.cohorts.store import Stored
from benchmark.core.errors import UsageError
from benchmark.core.types import Items, Source


def table(train: list[int], heldout: list[int]) -> pd.DataFrame:
    """One row per item of patients with these numbers of images."""
    rows = [
        (f"{side}/{patient}_{image}", f"{side}{patient}", side)
        for side, counts in (("train", train), ("heldout", heldout))
        for patient, count in enumerate(counts)
        for image in range(count)
    ]
    return pd.DataFrame(rows, columns=["item", "subject", "group"])


@pytest.mark.parametrize("heldout", [[2] * 30, [1] * 30, [1, 3] * 15])
def test_as_many_images_or_fewer_are_all_used(heldout: list[int]) -> None:
    assert surplus_heldout(table([2] * 30, heldout)) == frozenset()


def test_held_out_patients_keep_no_more_images_than_training_patients_have() -> None:
    given = table([1] * 20 + [3] * 20, [6] * 200)
    surplus = surplus_heldout(given)
    kept = given[~given["item"].isin(surplus) & (given["group"] == "heldout")].groupby("subject").size()
    assert len(kept) == 200
    assert set(kept) == {1, 3}
    assert 0.35 < (kept == 1).mean() < 0.65
    assert all(name.startswith("heldout/") for name in surplus)
    assert surplus == surplus_heldout(given)


def test_patients_on_both_sides_are_refused() -> None:
    require_apart({"train": {"1"}, "heldout": {"2"}})
    with pytest.raises(UsageError) as refused:
        require_apart({"train": set("abcd"), "heldout": set("abcde")})
    assert str(refused.value) == (
        "4 patients are in the folder of training images and in that of held-out images: a, b, c ...\n"
        "  hint: hold out patients of whom no image was trained on; if these names are no patients, say how patients "
        "are recognised: --patients"
    )


def test_only_training_images_that_were_left_out_count() -> None:
    remarks = {
        "left out, could not be used": ["train/a (damaged)", "heldout/b (damaged)", "train/c (damaged)"],
        "train: left out, not in the table": ["d.png"],
        "heldout: left out, not in the table": ["e.png"],
        "train: patients, from the names": ["P1", "P2"],
    }
    stored = Stored(
        folder=Path(), pixels=np.zeros(0), table=table([1], [1]), files=pd.DataFrame(), channels=("image",),
        spacing_mm=(), remarks=remarks,
    )  # fmt: skip
    assert missing_training(stored) == 3


def source(name: str, *files: str) -> Source:
    return Source(subject="P", name=name, files=files)


def test_equal_names_with_different_endings_keep_their_endings() -> None:
    given = [source("b/0", "r/b/0.png"), source("b/0", "r/b/0.jpg"), source("a/0", "r/a/0.png")]
    assert [one.name for one in with_distinct_names(given)] == ["b/0.png", "b/0.jpg", "a/0"]


def test_files_of_a_folder_that_was_moved_are_where_they_are_now() -> None:
    files = pd.DataFrame({"source": ["s", "s", "t"], "file": ["old/s/0.dcm", "old/s/1.dcm", "old/t.png"]})
    stored = Stored(
        folder=Path(), pixels=np.empty(0), table=pd.DataFrame(), files=files, channels=(), spacing_mm=(), remarks={}
    )
    moved = at_present(stored, [source("s", "new/s/0.dcm", "new/s/1.dcm"), source("t", "new/t.png")])
    assert list(moved.files["file"]) == ["new/s/0.dcm", "new/s/1.dcm", "new/t.png"]


@dataclass(frozen=True)
class Listed:
    """A data set whose table lists files of both folders, of which each folder has its own."""

    absent: dict[str, list[str]]
    channels: tuple[str, ...] = ("image",)

    def sources(self, root: Path) -> list[Source]:
        return []

    def read(self, source: Source) -> Items:
        raise NotImplementedError

    def remarks(self, root: Path) -> dict[str, list[str]]:
        return {ABSENT: self.absent[root.name], "patients, from a table": ["P1"]}


def test_a_table_of_both_folders_lists_as_absent_only_what_neither_has() -> None:
    dataset = Listed({"t": ["gone.png", "h1.png"], "h": ["t1.png", "gone.png"]})
    given = GivenSplit(dataset=dataset, train=Path("t"), heldout=Path("h"))
    patients = {f"{side}: patients, from a table": ["P1"] for side in ("train", "heldout")}
    assert given.remarks(Path()) == {ABSENT: ["gone.png"], **patients}
    alone = GivenSplit(dataset=dataset, train=Path("t"), heldout=None)
    assert alone.remarks(Path())[ABSENT] == ["gone.png", "h1.png"]
    complete = GivenSplit(
        dataset=Listed({"t": ["h1.png"], "h": ["t1.png"]}), train=Path("t"), heldout=Path("h")
    ).remarks(Path())
    assert complete == patients
