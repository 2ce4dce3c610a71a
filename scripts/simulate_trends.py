"""How often does the trend test see a trend where there is none, and how often one that is there?

    python scripts/simulate_trends.py [--draws 400] [--jobs 2]

Simulated sweeps over the number of training patients: nested training sets of 16, 32, 64 and 128 patients, 128 held-out
ones that all cells share, 200 samples per cell, 1 to 5 seeds. A share of the samples are copies of training patients,
the others are new patients; every cell is scored by protocol p2, as in a run. Tested is the exposed share.

Worlds without a trend (claims that come out are wrong; at most 0.05 should):
    nothing         no copies at all
    constant        10 % copies in every training
    trainings       10 % on average; each training has its own share, log-normal, with a spread of 0.5
    patients        some patients are copied more easily than others (log-normal, spread 1): the share of a cell is
                    that of its training patients, the same for all seeds
    both            the last two together
Worlds with one (claims that come out are right):
    halves          40, 20, 10 and 5 % copies, each training with its own share as in `trainings`
    weak            15, 12, 9 and 6 %, the same

Printed are the shares of sweeps with p <= 0.05 for the claim `falls`, said beforehand, and for `changes`: by Page's
test over seeds alone, by patients alone (intervals and replicates), and by the larger of both, which memobench
reports; `least` is the smallest p for `falls` that so many seeds can give.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmark.metrics.competition import exposed, nearest_of_patients
from benchmark.metrics.replicates import REPLICATES, share_replicates
from benchmark.metrics.trends import Claim, trend

SIZES = (16, 32, 64, 128)
HELDOUT, SAMPLES, DIMENSION = 128, 200, 12
SEEDS = (1, 2, 3, 5)
LEVEL = 0.05


@dataclass(frozen=True)
class World:
    """Shares of copies at the four sizes, and what varies them."""

    name: str
    shares: tuple[float, float, float, float]
    trainings: float = 0.0
    """Standard deviation of the log share between trainings."""
    patients: float = 0.0
    """Standard deviation of the log of how easily a patient is copied."""


WORLDS = (
    World("nothing", (0, 0, 0, 0)),
    World("constant", (0.1, 0.1, 0.1, 0.1)),
    World("trainings", (0.1, 0.1, 0.1, 0.1), trainings=0.5),
    World("patients", (0.1, 0.1, 0.1, 0.1), patients=1.0),
    World("both", (0.1, 0.1, 0.1, 0.1), trainings=0.5, patients=1.0),
    World("halves", (0.4, 0.2, 0.1, 0.05), trainings=0.5),
    World("weak", (0.15, 0.12, 0.09, 0.06), trainings=0.5),
)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _lognormal(rng: np.random.Generator, spread: float, count: int) -> np.ndarray:
    """Draw factors of mean 1."""
    return np.exp(spread * rng.standard_normal(count) - spread**2 / 2)


def sweep(world: World, seed: int) -> np.ndarray:
    """Return value, low, high and replicates of the exposed share of one sweep, (3 + replicates, seeds, sizes)."""
    rng = np.random.default_rng([11, seed])
    people = _unit(rng.standard_normal((SIZES[-1] + HELDOUT, DIMENSION)))
    ease = _lognormal(rng, world.patients, SIZES[-1])
    cells = [
        _cell(world.shares[column], size, people, ease, world.trainings, rng)
        for _ in range(SEEDS[-1])
        for column, size in enumerate(SIZES)
    ]
    return np.array(cells).reshape(SEEDS[-1], len(SIZES), 3 + REPLICATES).transpose(2, 0, 1)


def _cell(
    share: float, size: int, people: np.ndarray, ease: np.ndarray, spread: float, rng: np.random.Generator
) -> tuple[float, ...]:
    known, heldout = people[:size], people[SIZES[-1] :]
    # How easily the patients of this cell are copied changes their share, and which of them are copied.
    rate = min(0.9, share * float(ease[:size].mean()) * float(_lognormal(rng, spread, 1)[0]))
    made = rng.standard_normal((SAMPLES, DIMENSION))
    copied = np.flatnonzero(rng.random(SAMPLES) < rate)
    sources = rng.choice(size, len(copied), p=ease[:size] / ease[:size].sum())
    made[copied] = known[sources] + 0.02 * rng.standard_normal((len(copied), DIMENSION))
    made = _unit(made)
    nearest = nearest_of_patients(made @ known.T, made @ heldout.T, seed=int(rng.integers(2**31)))
    result = exposed(nearest)
    drawn = share_replicates(nearest, max(1, result.depth // 2), seed=0)
    return result.samples.value, result.samples.low, result.samples.high, *drawn


def claims(world: World, seed: int) -> np.ndarray:
    """Return whether p <= 0.05, (numbers of seeds, claims, 3): by trainings alone, patients alone, and both."""
    value, low, high, *drawn = sweep(world, seed)
    replicates = np.stack(drawn, axis=-1)
    asked: tuple[Claim, ...] = ("falls", "changes")
    tests = [[trend(value[:n], low[:n], high[:n], replicates[:n], claim=claim) for claim in asked] for n in SEEDS]
    return np.array([[(one.p_trainings, one.p_patients, one.p) for one in row] for row in tests]) <= LEVEL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    given = parser.parse_args()
    print(f"{'world':12}{'seeds':>6}{'least':>9}   falls: {'seeds alone':>12}{'patients':>11}{'both':>7}", end="")
    print("   changes: both")
    with ProcessPoolExecutor(given.jobs) as pool:
        for world in WORLDS:
            rates = np.mean(list(pool.map(partial(claims, world), range(given.draws), chunksize=10)), axis=0)
            for seeds, (falls, changes) in zip(SEEDS, rates, strict=True):
                line = f"{world.name:12}{seeds:6}{24.0**-seeds:9.2g}"
                print(f"{line}          {falls[0]:12.3f}{falls[1]:11.3f}{falls[2]:7.3f}{changes[2]:16.3f}", flush=True)


if __name__ == "__main__":
    main()
