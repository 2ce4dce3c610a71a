"""Looks at a training: who is exposed, at which level, when to look, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Images, Split
from benchmark.evaluation.watch import Look, Watch, open_watch, require_power
from benchmark.evaluation.watch_bank import small_images
from benchmark.evaluation.watch_curve import read_curve, write_curve
from benchmark.evaluation.watch_plan import PROBE, SEARCH_SHARE, Allowance, Schedule
from benchmark.metrics.competition import exposed
from benchmark.metrics.sequential import level, spending_at

TRAIN, HELDOUT, SIDE = 60, 50, 12


def smooth(rng: np.random.Generator, count: int) -> Images:
    """Smooth images, (count, 1, SIDE, SIDE), float32 in [-1, 1]."""
    axis = np.linspace(0, np.pi, SIDE)
    waves = np.stack([np.outer(np.cos(i * axis), np.cos(j * axis)) for i in range(4) for j in range(4)])
    images = np.tanh(0.5 * np.tensordot(rng.standard_normal((count, 16)), waves, axes=1))
    return np.asarray(images[:, None], dtype=np.float32)


def split(name: str, images: np.ndarray, patients: list[int] | None = None) -> Split:
    owners = tuple(f"{name}{number}" for number in patients or range(len(images)))
    items = tuple(f"{name}-{number}" for number in range(len(images)))
    return Split(name=name, pixels=images, rows=np.arange(len(images)), subjects=owners, items=items, channels=("x",))


class World:
    """A training and a held-out split, and samples of which some are copies."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.train, self.heldout = split("t", smooth(self.rng, TRAIN)), split("h", smooth(self.rng, HELDOUT))

    def watch(self, **options: int) -> Watch:
        return open_watch(self.train, self.heldout, **{"every": 100, "samples": 80, **options})

    def samples(self, copies: int, count: int = 80, of: Split | None = None) -> Images:
        images = smooth(self.rng, count)
        source = of or self.train
        images[:copies] = source.images(self.rng.integers(0, len(source), copies))
        return np.clip(images + 0.01 * self.rng.standard_normal(images.shape).astype(np.float32), -1, 1)


# What a look says


def test_copies_are_seen_and_counted() -> None:
    world = World()
    watch = world.watch()
    clean, copied = watch.update(100, world.samples(0)), watch.update(200, world.samples(50))
    assert not clean.exposed
    assert clean.exposed_patients_low == clean.exposed_patients_sure == 0
    assert copied.exposed
    assert copied.exposed_share_low is not None
    assert copied.exposed_share_high is not None
    assert copied.exposed_share_low <= 50 / 80 <= copied.exposed_share_high
    assert 0 < copied.exposed_patients_sure <= copied.exposed_patients_low <= copied.exposed_patients_high <= TRAIN


def test_the_accusing_end_is_that_of_the_level_of_the_look() -> None:
    """Plain intervals find copies in samples that the level over all looks does not accuse."""
    world = World()
    watch, nearest = world.watch(), None
    plain_only = 0
    for number in range(1, 31):
        samples = world.samples(int(world.rng.integers(0, 14)))
        nearest = watch.compared.compare(samples)[0]
        look = watch.update(100 * number, samples)
        assert look.look == number
        assert look.exposed_patients_low == exposed(nearest).patients.low
        assert look.exposed_patients_sure == exposed(nearest, spending=spending_at(level(number))).patients.low
        plain_only += bool(look.exposed_patients_low) and not look.exposed
    assert plain_only > 3


def test_sides_that_are_exchanged_are_told_and_accuse_nobody() -> None:
    world = World()
    watch = world.watch()
    look = watch.update(100, world.samples(60, of=world.heldout))
    assert look.reason == (
        f"cannot tell: the model has seen held-out patients (at least {look.heldout_patients_sure:.0f}); "
        "are training and held-out images exchanged?"
    )
    assert look.exposed_patients is None
    assert not look.exposed


def test_patients_not_images_are_counted() -> None:
    """One patient of many images cannot be many exposed patients."""
    world = World()
    owners = [0] * 30 + list(range(1, TRAIN - 29))
    watch = open_watch(split("t", world.train.pixels, owners), world.heldout, every=100, samples=80)
    copies = world.samples(0)
    copies[:60] = world.train.images(world.rng.integers(0, 30, 60))
    look = watch.update(100, copies)
    assert not look.exposed
    assert world.watch().update(100, copies).exposed


def test_the_same_samples_give_the_same_look_in_uint8_and_float32() -> None:
    world = World()
    grey = ((world.train.pixels + 1) * 127.5).round().astype(np.uint8)
    samples = world.samples(40)
    first = world.watch().update(100, samples)
    second = open_watch(split("t", grey), world.heldout, every=100, samples=80).update(100, samples)
    assert first.exposed_patients_sure == second.exposed_patients_sure


def test_what_cannot_be_told_says_why() -> None:
    world = World()
    broken = world.samples(0)
    broken[3, 0, 0, 0] = np.nan
    assert world.watch().update(100, broken).reason == "cannot tell: samples are not finite"
    constant = np.zeros((80, 1, SIDE, SIDE), np.float32)
    look = world.watch().update(100, constant)
    assert look.reason == "cannot tell: 100.0 % of the samples are as near to both sides"
    assert look.exposed_patients is None
    assert look.quality_kernel is not None


def test_quality_is_better_for_samples_of_the_population() -> None:
    world = World()
    good, bad = world.watch().update(100, world.samples(0)), world.watch().update(100, np.sign(world.samples(0)))
    assert good.quality_kernel is not None
    assert bad.quality_kernel is not None
    assert good.quality_kernel < bad.quality_kernel / 10


def test_large_images_are_compared_small() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 200, 130)).astype(np.float32)
    small = small_images(images)
    assert small.shape == (2, 1, 64, 64)
    assert small.mean() == pytest.approx(images.mean(), abs=0.01)
    assert small_images(images[:, :, :60, :50]).shape == (2, 1, 60, 50)
    assert small_images(np.zeros((1, 2, 40, 8, 20), np.float32)).shape == (1, 2, 16, 8, 16)


def test_sentences() -> None:
    world = World()
    watch = world.watch()
    clean, copied = watch.update(100, world.samples(0)), watch.update(200, world.samples(50))
    assert clean.sentence() == (
        f"step 100: no patient shown to be exposed by 80 samples (0 to {clean.exposed_patients_high:.0f})"
    )
    assert copied.sentence() == (
        f"step 200: at least {copied.exposed_patients_sure:.0f} training patients are exposed by 80 samples"
    )


# Twice in a row, and looks that are made again


def test_it_stops_after_two_accusing_looks_in_a_row() -> None:
    world = World()
    watch = world.watch()
    stops = []
    for step, copies in ((100, 0), (200, 50), (210, 0), (300, 50), (310, 50)):
        watch.update(step, world.samples(copies))
        stops.append(watch.should_stop)
    assert stops == [False, False, False, False, True]
    assert watch.onset == 300
    assert list(watch.curve["exposed"]) == [False, True, False, True, True]
    assert list(watch.curve["step"]) == [100, 200, 210, 300, 310]


def test_a_resumed_training_repeats_no_row() -> None:
    world = World()
    watch = world.watch()
    for step in (100, 200, 300):
        watch.update(step, world.samples(50))
    again = watch.update(200, world.samples(0))
    assert [look.step for look in watch.looks] == [100, 200]
    assert again.look == 2
    assert not watch.should_stop


def test_the_curve_is_read_as_it_was_written(tmp_path: Path) -> None:
    world = World()
    watch = world.watch()
    watch.update(100, world.samples(50), sampling_seconds=1.5)
    watch.update(200, np.zeros((80, 1, SIDE, SIDE), np.float32))
    write_curve(tmp_path / "curve.parquet", watch.looks)
    assert read_curve(tmp_path / "curve.parquet") == watch.looks
    assert read_curve(tmp_path / "none.parquet") == []
    (tmp_path / "other.parquet").write_text("no curve")
    with pytest.raises(BadDataError) as error:
        read_curve(tmp_path / "other.parquet")
    assert str(error.value) == (
        f"{tmp_path / 'other.parquet'} is no curve of a watched training\n  hint: name another file, or delete it"
    )


# When


def test_intervals_grow_and_an_accusing_look_is_confirmed_soon() -> None:
    steps, step = [], 0
    schedule = Schedule(100)
    while step < 2000:
        step = schedule.following(step)
        steps.append(step)
    assert steps == [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1210, 1331, 1465, 1612, 1774, 1952, 2148]
    assert schedule.following(1000, confirm=True) == 1025
    assert Schedule(1).following(0, confirm=True) == 1


def test_the_next_look_follows_from_the_rows() -> None:
    world = World()
    watch = world.watch()
    assert [watch.due(step) for step in (99, 100, 101)] == [False, True, True]
    watch.update(103, world.samples(0))
    assert watch.next_step == 203
    watch.update(203, world.samples(50))
    assert watch.next_step == 228
    watch.update(228, world.samples(50))
    assert watch.next_step == 328


def test_looks_stay_within_their_share_of_the_time() -> None:
    """Fewer samples first, then rarer looks; never more than the share of the time so far."""
    allowance = Allowance(0.1, 300)
    assert allowance.affordable(1.0) == PROBE
    allowance.note(PROBE, 0.08, 0.0)  # 10 ms per sample
    assert [allowance.affordable(seconds) for seconds in (10, 15.8, 20, 30.8, 60)] == [0, 150, 192, 300, 300]
    allowance.note(300, 3.0, 0.1)
    assert allowance.affordable(31) == 0
    assert allowance.affordable(61) == 300


def test_the_search_stays_within_its_share_too() -> None:
    allowance = Allowance(100.0, 300)
    allowance.note(300, 1.0, 0.5)
    assert allowance.affordable(1.0 / SEARCH_SHARE - 1) == 0
    assert allowance.affordable(1.0 / SEARCH_SHARE + 1) == 300


# Refusals


def test_too_few_patients_or_samples_are_refused() -> None:
    """A curve that can show nothing would be taken for an all-clear."""
    world = World()
    with pytest.raises(UsageError) as error:
        open_watch(world.train.part(range(5)), world.heldout.part(range(3)), every=1)
    assert str(error.value) == (
        "5 training and 3 held-out patients are too few to watch a training: even if every patient were copied, no "
        "look could show it\n  hint: hold out more patients"
    )
    with pytest.raises(UsageError) as error:
        world.watch(samples=8)
    assert str(error.value) == (
        "8 samples per look are too few: with 60 training and 50 held-out patients it takes copies of 11 patients to "
        "show any\n  hint: draw at least 11 samples per look"
    )
    require_power(60, 50, 11)


def test_eleven_copied_patients_are_reported_for_certain() -> None:
    """The number that the refusal names is right: so many exact copies of different patients always accuse."""
    for seed in range(5):
        world = World(seed)
        samples = world.samples(0)
        samples[:11] = world.train.images(np.arange(11))
        watch = world.watch()
        assert watch.needed(1) == 11
        assert watch.update(100, samples).exposed


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        World().watch().update(100, np.zeros((80, 2, SIDE, SIDE), np.float32))
    assert str(error.value) == (
        "samples of step 100 have shape (80, 2, 12, 12), the training images (n, 1, 12, 12)\n"
        "  hint: give the samples as the training images are"
    )


def test_a_look_logs_numbers_only() -> None:
    look = Look(step=3, look=1, samples=80, exposed_patients=2.0, reason="cannot tell")
    assert look.numbers() == {"samples": 80.0, "exposed_patients": 2.0}


# Simulated trainings, as scripts/simulate_watch.py prints them


def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "simulate_watch.py"
    spec = importlib.util.spec_from_file_location("simulate_watch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulate_watch"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_simulated_trainings_stop_soon_after_the_onset_and_never_without() -> None:
    scripts = simulation()
    copying = [scripts.simulate(seed, scripts.COPYING[0], 150) for seed in range(6)]
    delays = [outcome.stopped / outcome.onset - 1 for outcome in copying]
    assert all(0 < delay <= 0.15 for delay in delays)
    clean = [scripts.simulate(seed, case, 150) for seed in range(6) for case in scripts.CLEAN]
    assert [outcome.stopped for outcome in clean] == [None] * len(clean)
    assert any(outcome.plain for outcome in clean)  # 95 % intervals do accuse some of them
