"""Training images that are repeated: which, how often, and that more repetitions repeat the same ones."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmark.cohorts.repeats import repeated
from benchmark.core.errors import UsageError
from benchmark.core.types import Split


def split(patients: int = 20, images: int = 2) -> Split:
    subjects = tuple(f"p{number // images}" for number in range(patients * images))
    items = tuple(f"{subject}-{number % images}" for number, subject in enumerate(subjects))
    pixels = np.arange(len(items), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(
        name="train", pixels=pixels, rows=np.arange(len(items)), subjects=subjects, items=items, channels=("x",)
    )


def patients_repeated(times: int, share: float) -> set[str]:
    counts = Counter(repeated(split(), times, share).subjects)
    return {subject for subject, count in counts.items() if count > 2}


def test_all_images_of_some_patients_are_there_so_many_times() -> None:
    train = repeated(split(), 5, 0.1)
    counts = Counter(train.items)
    assert sorted(counts.values()) == [1] * 36 + [5] * 4
    assert len({item.split("-")[0] for item, count in counts.items() if count == 5}) == 2
    assert train.items[:40] == split().items
    for position in (0, 39, 40, 55):  # the pixels belong to the names
        assert split().items[train.stored([position]).item()] == train.items[position]


def test_once_is_the_split_itself() -> None:
    train = split()
    assert repeated(train, 1, 0.1) is train


def test_shares_and_repetitions_are_nested() -> None:
    assert patients_repeated(2, 0.1) == patients_repeated(50, 0.1)
    assert patients_repeated(3, 0.1) < patients_repeated(3, 0.4) < patients_repeated(3, 1)
    assert [len(patients_repeated(3, share)) for share in (0.001, 0.05, 0.35, 1)] == [1, 1, 7, 20]


@pytest.mark.parametrize(
    ("times", "share", "message"),
    [
        (0, 0.1, "--repeat 0 is less than once\n  hint: give 1 (no duplication) or more, such as 10"),
        (2, 0.0, "--repeat-share 0 is no share of the patients\n  hint: give more than 0, up to 1"),
        (2, 1.5, "--repeat-share 1.5 is no share of the patients\n  hint: give more than 0, up to 1"),
    ],
)
def test_impossible_repetitions_are_refused(times: int, share: float, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        repeated(split(), times, share)
    assert str(refusal.value) == message
