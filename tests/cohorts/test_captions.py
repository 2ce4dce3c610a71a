"""Which captions a text-to-image model is asked with: as many patients of both sides, equally often."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmark.cohorts.captions import Prompts, drawn_prompts
from benchmark.core.errors import UsageError
from benchmark.core.types import Cohort, Split


def part(name: str, first: int, patients: list[int], captions: list[str] | None) -> Split:
    """Items of numbered patients, from row `first` on."""
    items = tuple(f"i{first + i}" for i in range(len(patients)))
    return Split(
        name=name, pixels=np.zeros((99, 1, 2, 2), np.uint8), rows=np.arange(first, first + len(patients)),
        subjects=tuple(f"p{patient}" for patient in patients), items=items,
        channels=("x",), captions=None if captions is None else tuple(captions),
    )  # fmt: skip


def cohort(train: int = 10, heldout: int = 6, *, each: int = 2) -> Cohort:
    """Patients of `each` items with a report of their own; the first half of the held-out ones is calibration."""
    patients = [[i for i in range(start, stop) for _ in range(each)] for start, stop in (
        (0, train), (train, train + heldout // 2), (train + heldout // 2, train + heldout),
    )]  # fmt: skip
    first, parts = 0, []
    for name, own in zip(("train", "calibration", "test"), patients, strict=True):
        parts.append(part(name, first, own, [f"report {first + i}" for i in range(len(own))]))
        first += len(own)
    return Cohort(name="toy", key="k", train=parts[0], calibration=parts[1], test=parts[2])


def patients_of(cohort: Cohort, prompts: Prompts) -> Counter[str]:
    return Counter(cohort.real.subjects[row] for row in prompts.rows)


def test_as_many_patients_of_both_sides_equally_often() -> None:
    toy = cohort()
    prompts = drawn_prompts(toy, 36, seed=0)
    assert prompts.texts == tuple(f"report {row}" for row in prompts.rows)
    assert prompts.in_train.tolist() == [row < 20 for row in prompts.rows]
    assert prompts.in_train.sum() == 18
    counts = patients_of(toy, prompts)
    assert len(counts) == 12
    assert set(counts.values()) == {3}
    by_row = Counter(prompts.rows.tolist())
    assert set(by_row.values()) == {1, 2}, "three rounds over two captions"


def test_every_round_asks_everybody_once() -> None:
    toy = cohort(each=3)
    prompts = drawn_prompts(toy, 30, seed=1)
    subjects = [toy.real.subjects[row] for row in prompts.rows]
    first, second, last = subjects[:12], subjects[12:24], subjects[24:]
    assert set(first) == set(second)
    assert len(set(first)) == 12
    assert len(set(last)) == 6
    assert first != sorted(first, key=lambda name: int(name[1:])), "no side comes first"


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    toy = cohort()
    first, again, other = (drawn_prompts(toy, 30, seed) for seed in (3, 3, 4))
    assert first.texts == again.texts
    assert first.texts != other.texts
    assert set(patients_of(toy, first)) != set(patients_of(toy, other)), "training patients are drawn at random"


def test_few_samples_ask_for_fewer_patients_of_each_side() -> None:
    toy = cohort()
    prompts = drawn_prompts(toy, 9, seed=0)
    counts = patients_of(toy, prompts)
    sides = Counter(int(name[1:]) < 10 for name in counts)
    assert sides == {True: 4, False: 4}
    assert sorted(counts.values()) == [1] * 7 + [2]
    assert len(drawn_prompts(toy, 1, seed=0).texts) == 1


def test_the_last_round_does_not_look_at_the_sides() -> None:
    """Six patients a side, 15 samples: who is asked a second time is drawn among all, not half of each side."""
    toy = cohort()
    extra = [drawn_prompts(toy, 15, seed).in_train[12:].sum() for seed in range(400)]
    share = np.bincount(extra, minlength=4) / 400
    hypergeometric = np.array([20, 90, 90, 20]) / 220
    assert share == pytest.approx(hypergeometric, abs=0.07)


def test_patients_without_a_caption_are_not_asked_for() -> None:
    toy = cohort()
    captions = ["" if row % 2 or row < 10 else f"report {row}" for row in range(20)]
    toy = replace(toy, train=replace(toy.train, captions=tuple(captions)))
    prompts = drawn_prompts(toy, 40, seed=0)
    counts = patients_of(toy, prompts)
    assert "" not in prompts.texts
    assert {name for name in counts if int(name[1:]) < 10} == {f"p{number}" for number in range(5, 10)}
    assert len(counts) == 10


def test_patients_that_are_kept_together_are_one() -> None:
    toy = cohort()
    together = tuple("a" if name in ("p0", "p1") else name for name in toy.train.subjects)
    toy = replace(toy, train=replace(toy.train, units=together))
    prompts = drawn_prompts(toy, 24, seed=0)
    counts = Counter(toy.train.dealt[row] for row in prompts.rows if row < 20)
    assert set(counts.values()) == {2}


def test_classes_are_captions_where_there_are_no_reports() -> None:
    toy = cohort()
    train, calibration, test = (
        replace(split, captions=None, labels=("LEFT_LUNG",) * len(split)) for split in toy.splits
    )
    toy = replace(toy, train=train, calibration=calibration, test=test)
    assert set(drawn_prompts(toy, 12, seed=0).texts) == {"left lung"}


@pytest.mark.parametrize(("side", "names"), [("training", ("train",)), ("held-out", ("calibration", "test"))])
@pytest.mark.parametrize("empty", [True, False])
def test_one_side_without_captions_is_refused(side: str, names: tuple[str, ...], empty: bool) -> None:
    toy = cohort()
    bare = {name: replace(getattr(toy, name), captions=("",) * len(getattr(toy, name)) if empty else None)
            for name in names}  # fmt: skip
    with pytest.raises(UsageError) as error:
        drawn_prompts(replace(toy, **bare), 12, seed=0)
    assert str(error.value) == (
        "text-to-image models are asked with captions of training patients and of held-out patients, and no "
        f"{side} item of toy has a report or a class\n"
        "  hint: choose a data set with reports, such as openi or mimic-cxr, or with classes, such as cxr-pneumonia"
    )
