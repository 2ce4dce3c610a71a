"""Does the excess copy rate keep its guarantees? Simulated generators with a known fraction of copies.

    python scripts/simulate_protocol.py [--draws 200] [--train 300] [--heldout 150] [--synthetic 300] [--slices 2]

A patient is a point of a normal distribution with a common mean, with `slices` similar items. Generators without
copies: `sharp` (new patients), `blurred` (moved towards the mean), `averaged` (of three new patients), `collapsed` (one
image of a patient who is in neither bank). The others are sharp and replace 1 to 30 % of their items by noisy training
items. Each line gives the ground truth, the fraction of draws in which the 95 % interval covers it, the mean and
standard deviation of the excess, the mean width of the interval, and the fraction of draws in which its lower end is
above 0.

Then the rule of Dar et al. is evaluated without memorisation and compared with the value that its bias formula
predicts. For isotropic items, which are all equally typical, the formula is exact; for the simulated patients it is
only a bound.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmark.metrics.published import dar2025_expected
from benchmark.metrics.twin import excess, maxima_of, plan
from benchmark.search import subject_maxima

DIMENSION = 24
SCALE = np.arange(1, DIMENSION + 1) ** -0.5
COMMON = np.random.default_rng(99).standard_normal(DIMENSION)
KINDS = ("sharp", "blurred", "averaged", "collapsed")
PLANTED = (0.01, 0.05, 0.15, 0.30)


def unit(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def people(rng: np.random.Generator, count: int) -> np.ndarray:
    return COMMON + rng.standard_normal((count, DIMENSION)) * SCALE


def items(rng: np.random.Generator, patients: np.ndarray, slices: int) -> np.ndarray:
    own = np.repeat(patients, slices, axis=0)
    return own + 0.1 * rng.standard_normal(own.shape) * SCALE


def generate(rng: np.random.Generator, kind: str, count: int) -> np.ndarray:
    if kind == "averaged":
        return np.asarray(people(rng, 3 * count).reshape(count, 3, DIMENSION).mean(axis=1))
    if kind == "collapsed":
        return people(rng, 1) + 0.05 * rng.standard_normal((count, DIMENSION))
    sharp = people(rng, count)
    return COMMON + 0.45 * (sharp - COMMON) if kind == "blurred" else sharp


def draw(kind: str, copies: float, seed: int, given: argparse.Namespace) -> tuple[float, float, float]:
    """Return the excess of one simulated evaluation and the ends of its interval."""
    rng = np.random.default_rng([7, seed])
    train = items(rng, people(rng, given.train), given.slices)
    heldout = items(rng, people(rng, given.heldout), given.slices)
    made = generate(rng, kind, given.synthetic)
    copied = rng.permutation(given.synthetic)[: round(copies * given.synthetic)]
    sources = rng.integers(0, len(train), len(copied))
    made[copied] = train[sources] + 0.01 * rng.standard_normal((len(copied), DIMENSION))
    banks = [
        subject_maxima(unit(made) @ unit(bank).T, np.repeat(np.arange(count), given.slices))
        for bank, count in ((train, given.train), (heldout, given.heldout))
    ]
    score = excess(maxima_of(*banks, plan(given.train, given.heldout, seed=seed)), seed=seed)
    return score.value, score.low, score.high


def line(kind: str, copies: float, given: argparse.Namespace) -> str:
    ground_truth = round(copies * given.synthetic) / given.synthetic
    value, low, high = np.array([draw(kind, copies, seed, given) for seed in range(given.draws)]).T
    covered = ((low <= ground_truth) & (ground_truth <= high)).mean()
    return (
        f"{kind:10}{ground_truth:12.3f}{covered:10.3f}{value.mean():9.3f}{value.std():9.3f}"
        f"{(high - low).mean():9.3f}{(low > 0).mean():9.3f}"
    )


def published(isotropic: bool, seed: int, given: argparse.Namespace) -> tuple[float, float]:
    """N_mem and N_copies of the rule of Dar et al. for a generator without memorisation and one item per patient."""
    rng = np.random.default_rng([8, seed])
    sizes = (given.train, given.heldout, given.synthetic)
    if isotropic:
        train, validation, made = (rng.standard_normal((count, 64)) for count in sizes)
        train, validation, made = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, validation, made))
    else:
        train, validation, made = (unit(people(rng, count)) for count in sizes)
    tau = np.quantile((train @ validation.T).max(axis=1), 0.95)
    between = train @ made.T
    return float((between.max(axis=1) > tau).mean()), float((between.max(axis=0) > tau).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("draws", 200), ("train", 300), ("heldout", 150), ("synthetic", 300), ("slices", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    print(f"{'generator':10}{'ground truth':>12}{'covered':>10}{'mean':>9}{'sd':>9}{'width':>9}{'above 0':>9}")
    for kind, copies in [(kind, 0.0) for kind in KINDS] + [("sharp", share) for share in PLANTED]:
        print(line(kind, copies, given), flush=True)
    expected = [score.value for score in dar2025_expected(given.train, given.heldout, given.synthetic).values()]
    print(f"\n{'dar2025, nothing memorised':28}{'N_mem':>8}{'N_copies':>10}")
    print(f"{'bias formula':28}{expected[0]:8.3f}{expected[1]:10.3f}")
    for name, isotropic in (("isotropic items", True), ("the patients above", False)):
        means = np.mean([published(isotropic, seed, given) for seed in range(given.draws)], axis=0)
        print(f"{name:28}{means[0]:8.3f}{means[1]:10.3f}", flush=True)


if __name__ == "__main__":
    main()
