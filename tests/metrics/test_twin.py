"""The headline: reads no copies as none however the images look, planted copies as what they are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics import twin
from benchmark.metrics.twin import PARTITIONS, Draw, TwinMaxima, excess, group_maxima, maxima_of, p_values, plan
from benchmark.search import subject_maxima

TRAIN, HELDOUT, SYNTHETIC, DIMENSION, DRAWS = 120, 60, 200, 24, 40

# A simulated world: patients of a normal distribution with a common mean, two items a patient.

SCALE = np.arange(1, DIMENSION + 1) ** -0.5
COMMON = np.random.default_rng(99).standard_normal(DIMENSION)


def unit(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def people(rng: np.random.Generator, count: int) -> np.ndarray:
    return COMMON + rng.standard_normal((count, DIMENSION)) * SCALE


def films(rng: np.random.Generator, patients: np.ndarray) -> np.ndarray:
    """Two similar items of each patient."""
    return np.repeat(patients, 2, axis=0) + 0.1 * rng.standard_normal((2 * len(patients), DIMENSION)) * SCALE


def simulate(kind: str, copies: float, seed: int, *, replicates: int = 60) -> TwinMaxima:
    """S of synthetic items of a generator of this kind, of which exactly this share copies a training item."""
    rng = np.random.default_rng([7, seed])
    train, heldout = films(rng, people(rng, TRAIN)), films(rng, people(rng, HELDOUT))
    made = people(rng, SYNTHETIC)
    if kind == "blurred":
        made = COMMON + 0.45 * (made - COMMON)
    if kind == "collapsed":  # onto a patient whom neither side holds
        made = people(rng, 1) + 0.05 * rng.standard_normal((SYNTHETIC, DIMENSION))
    copied = rng.permutation(SYNTHETIC)[: round(copies * SYNTHETIC)]
    sources = rng.integers(0, len(train), len(copied))
    made[copied] = train[sources] + 0.01 * rng.standard_normal((len(copied), DIMENSION))
    by_train = subject_maxima(unit(made) @ unit(train).T, np.repeat(np.arange(TRAIN), 2))
    by_heldout = subject_maxima(unit(made) @ unit(heldout).T, np.repeat(np.arange(HELDOUT), 2))
    return maxima_of(by_train, by_heldout, plan(TRAIN, HELDOUT, seed=seed, replicates=replicates))


def test_sharp_images_that_copy_nobody_read_zero() -> None:
    found = [excess(simulate("sharp", 0, seed), seed=seed) for seed in range(DRAWS)]
    assert sum(e.low == 0 for e in found) >= 38
    assert np.mean([e.value for e in found]) < 0.03


def test_blurred_images_that_copy_nobody_read_zero() -> None:
    found = [excess(simulate("blurred", 0, seed), seed=seed) for seed in range(DRAWS)]
    assert sum(e.low == 0 for e in found) >= 38
    assert np.mean([e.value for e in found]) < 0.06


def test_collapse_onto_one_unseen_patient_reads_zero() -> None:
    found = [excess(simulate("collapsed", 0, seed), seed=seed) for seed in range(DRAWS)]
    assert sum(e.low == 0 for e in found) >= 38


@pytest.mark.parametrize("kind", ["sharp", "blurred"])
def test_a_tenth_of_copies_reads_a_tenth(kind: str) -> None:
    found = [excess(simulate(kind, 0.1, seed), seed=seed) for seed in range(DRAWS)]
    assert sum(e.low <= 0.1 <= e.high for e in found) >= 36
    assert np.mean([e.value for e in found]) == pytest.approx(0.1, abs=0.03)


def test_a_tenth_of_copies_is_told_from_none() -> None:
    found = [excess(simulate("sharp", 0.1, seed), seed=seed) for seed in range(DRAWS)]
    assert sum(e.low > 0 for e in found) >= 30


@pytest.mark.parametrize("seed", range(3))
def test_copies_of_everything_read_one(seed: int) -> None:
    found = excess(simulate("sharp", 1, seed), seed=seed)
    assert found.value >= 0.97
    assert found.high == 1


def test_collapse_onto_one_training_patient_is_copying() -> None:
    rng = np.random.default_rng(3)
    train, heldout = people(rng, TRAIN), people(rng, HELDOUT)
    made = train[[5]] + 0.01 * rng.standard_normal((SYNTHETIC, DIMENSION))
    draws = plan(TRAIN, HELDOUT, seed=0, replicates=60)
    maxima = maxima_of(unit(made) @ unit(train).T, unit(made) @ unit(heldout).T, draws)
    assert excess(maxima, seed=0).value >= 0.97


# Excess by hand


def by_hand(parts: list[list[float]], twins: list[list[float]], replicates: int = 4, scale: float = 2.0) -> TwinMaxima:
    count = PARTITIONS + replicates
    draws = [Draw(parts=(), twins=(), scale=1.0 if d < PARTITIONS else scale) for d in range(count)]
    return TwinMaxima(draws=draws, parts=[np.array(parts)] * count, twins=[np.array(twins)] * count)


def test_excess_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    twins, parts = rng.random((100, 2)), rng.random((100, 3))
    parts[:30, 0] = 2  # copies of the first part
    tau = np.sort(twins.ravel())[198]  # of 200 values 1 is above
    share = [(parts[:, k] > tau).mean() for k in range(3)]
    expected = sum((s - 1 / 200) / (1 - 1 / 200) for s in share)
    found = excess(by_hand(parts.tolist(), twins.tolist()), seed=0)
    assert found.tau == pytest.approx(tau)
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_ties_at_the_threshold_are_no_excess() -> None:
    found = excess(by_hand([[0.5]] * 50, [[0.5]] * 50), seed=0)
    assert found.value == 0
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50))  # 0 of 50, not "surely none"


def test_a_share_stays_between_zero_and_one() -> None:
    none = excess(by_hand([[0.0]] * 500, np.linspace(0.1, 1, 500)[:, None].tolist()), seed=0)
    assert (none.value, none.low) == (0, 0)
    assert min(none.replicates) < 0  # boards compare what was not clipped
    every = excess(by_hand([[2.0, 2.0]] * 50, [[0.1], [0.2]] * 25), seed=0)
    assert (every.value, every.high) == (1, 1)


def test_half_samples_count_for_all_patients() -> None:
    """A replicate sees half of the patients, so half of the copies: `scale` makes up for it."""
    maxima = simulate("sharp", 1, 0, replicates=40)
    assert {draw.scale for draw in maxima.draws[PARTITIONS:]} == {2.0}
    spread = np.array(excess(maxima, seed=0).replicates)
    values = [twin._excess_of(maxima, d, np.arange(SYNTHETIC), 0.01)[0] for d in range(PARTITIONS, PARTITIONS + 40)]
    assert np.mean(values) == pytest.approx(1, abs=0.15)
    assert len(spread) == 40
    assert spread.std() < 0.2


def test_synthetic_items_are_resampled_too() -> None:
    """Cuts that are all the same leave only the synthetic items' own spread, that of a share of 30 % of 100."""
    parts, twins = np.zeros((100, 1)), np.linspace(0.1, 0.2, 100)[:, None]
    parts[:30] = 2
    found = excess(by_hand(parts.tolist(), twins.tolist(), replicates=300, scale=1.0), seed=0)
    assert np.std(found.replicates) == pytest.approx((0.3 * 0.7 / 100) ** 0.5, rel=0.15)


def test_same_seed_same_numbers() -> None:
    maxima = simulate("sharp", 0.1, 0)
    assert excess(maxima, seed=3) == excess(maxima, seed=3)


# Cuts of the patients


@pytest.mark.parametrize(
    ("train", "heldout"), [(2, 2), (3, 2), (10, 10), (7, 20), (100, 33), (101, 10), (5, 400), (400, 5)]
)
def test_each_training_patient_is_in_one_part(train: int, heldout: int) -> None:
    draws = plan(train, heldout, seed=0, replicates=6)
    assert len(draws) == PARTITIONS + 6
    for number, draw in enumerate(draws):
        whole = number < PARTITIONS
        members = np.concatenate(draw.parts)
        assert len(members) == len(set(members.tolist())) == (train if whole else train // 2)
        assert set(members.tolist()) <= set(range(train))
        assert draw.scale == (1 if whole else train / (train // 2))
        others = np.concatenate(draw.twins)
        assert len(others) == len(set(others.tolist()))
        assert set(others.tolist()) <= set(range(heldout))
        largest = max(map(len, draw.parts))
        assert {len(group) for group in draw.twins} == {largest}
        assert largest - min(map(len, draw.parts)) <= 1


def test_no_more_parts_than_needed() -> None:
    assert [len(part) for part in plan(100, 40, seed=0)[0].parts] == [34, 33, 33]
    assert len(plan(40, 40, seed=0)[0].parts) == 1
    assert len(plan(10, 45, seed=0)[0].twins) == 4
    assert len(plan(2, 400, seed=0)[0].twins) == twin.SUBSETS


def test_the_seed_decides_the_cuts() -> None:
    def flat(seed: int) -> list[list[int]]:
        return [np.concatenate([*draw.parts, *draw.twins]).tolist() for draw in plan(20, 9, seed=seed, replicates=5)]

    assert flat(1) == flat(1)
    assert flat(1) != flat(2)
    assert len({tuple(cut) for cut in flat(1)}) == PARTITIONS + 5


def test_every_patient_is_drawn_into_half_samples_equally_often() -> None:
    counts = np.zeros(20)
    for draw in plan(20, 10, seed=0, replicates=1000)[PARTITIONS:]:
        counts[np.concatenate(draw.parts)] += 1
    np.testing.assert_allclose(counts / 1000, 0.5, atol=0.06)


# p-values


def test_p_values_without_copies_are_not_too_small() -> None:
    found = np.concatenate([p_values(simulate("sharp", 0, seed, replicates=0)) for seed in range(DRAWS)])
    assert ((found > 0) & (found <= 1)).all()
    for level in (0.02, 0.05, 0.2):
        assert (found <= level).mean() <= 1.25 * level


def test_p_values_of_copies_are_small() -> None:
    rng = np.random.default_rng(5)
    train, heldout, made = people(rng, TRAIN), people(rng, HELDOUT), people(rng, SYNTHETIC)
    made[:20] = train[:20]
    draws = plan(TRAIN, HELDOUT, seed=0, replicates=0)
    found = p_values(maxima_of(unit(made) @ unit(train).T, unit(made) @ unit(heldout).T, draws))
    assert (found[:20] <= 2 / (SYNTHETIC + 1) * 2).all()
    assert np.median(found[20:]) > 0.2


def test_p_values_by_hand() -> None:
    reference, parts = [0.1, 0.2, 0.3, 0.4], [[0.5, 0.0], [0.3, 0.25], [0.05, 0.05], [0.0, 0.4]]
    maxima = by_hand(parts, [[value, 9.0] for value in reference])
    # Ranks among the first twin alone: 0, 2, 4 and 1 of 4 are at least as near; two parts were tried.
    assert p_values(maxima).tolist() == pytest.approx([2 / 5, 1.0, 1.0, 4 / 5])


# Reductions


def test_group_maxima_against_a_loop() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal((9, 14))
    groups = tuple(np.array_split(rng.permutation(14)[:11], [1, 4, 5]))
    found = group_maxima(values, groups)
    assert found.shape == (9, 4)
    for i in range(9):
        for k, group in enumerate(groups):
            assert found[i, k] == max(values[i, patient] for patient in group)


def test_maxima_of_and_join() -> None:
    rng = np.random.default_rng(7)
    by_train, by_heldout = rng.random((10, 8)), rng.random((10, 5))
    draws = plan(8, 5, seed=0, replicates=3)
    whole = maxima_of(by_train, by_heldout, draws)
    joined = twin.join([maxima_of(by_train[part], by_heldout[part], draws) for part in (slice(0, 3), slice(3, 10))])
    assert joined.draws == draws
    for name in ("parts", "twins"):
        for d, draw in enumerate(draws):
            table = by_train if name == "parts" else by_heldout
            expected = [[row[group].max() for group in getattr(draw, name)] for row in table]
            assert np.array_equal(getattr(whole, name)[d], expected)
            assert np.array_equal(getattr(joined, name)[d], expected)
