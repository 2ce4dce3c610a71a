"""How often a watched training is stopped, and when: simulated generators that begin to replay at a known step.

    python scripts/simulate_watch.py [--trainings 20] [--clean 20] [--workers 2]

Patients are smooth random images of 16 x 16 pixels, one each, dealt at random to training and held-out patients. A
generator draws images of new patients of the same population, covered with noise that falls during the training. From
the onset on, a share of its samples are training images, each covered with a little noise. Looks are those of
`bench run --watch 1%`, by pixels, with 300 samples; only the quality is not computed. "Accused wrongly" counts
trainings with any look, before the onset or at all, whose lower end is above 0: by the levels that hold over all looks,
which may do so in 2.5 % of the trainings, and by plain 95 % intervals.

Cases without copying: the quality rises all the time ("quality rises"), it is as good as real from the start
("steady"), or it rises in one leap in the middle ("leap"). There, every stop is wrong.
"""

import argparse
import functools
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmark.core.types import Split
from benchmark.evaluation.watch import open_watch

STEPS = 10_000
SIDE = 16
SAMPLES = 300
COLUMNS = ("runs", "stopped wrongly", "within 15 % after", "median delay", "accused wrongly", "by plain intervals")
WIDTHS = (6, 17, 19, 14, 17, 20)


@dataclass(frozen=True)
class Case:
    """One kind of training."""

    name: str
    share: float
    """Share of replayed samples, once it is reached."""
    ramp: float
    """Steps over which the share rises from 0, as a share of the onset."""
    quality: str = "rises"


COPYING = (
    Case("30 % at once", 0.30, 0.0),
    Case("15 % at once", 0.15, 0.0),
    Case("0 to 30 % over 10 %", 0.30, 0.10),
    Case("0 to 30 % over 30 %", 0.30, 0.30),
)
CLEAN = (
    Case("quality rises", 0.0, 0.0),
    Case("steady", 0.0, 0.0, "steady"),
    Case("leap", 0.0, 0.0, "leap"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one training."""

    onset: int
    stopped: int | None
    """The step at which it was stopped."""
    accused: bool
    """Whether any look up to the onset accuses."""
    plain: bool
    """The same by plain intervals."""
    looks: int


def patients(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw smooth images, (count, 1, SIDE, SIDE), float32 within [-1, 1]."""
    axis = np.linspace(0, np.pi, SIDE)
    waves = np.stack([np.outer(np.cos(i * axis), np.cos(j * axis)) for i in range(5) for j in range(5)])
    weights = rng.standard_normal((count, 25)) / np.sqrt(1 + np.arange(25))
    images = np.tanh(0.8 * np.tensordot(weights, waves, axes=1))
    return images[:, None].astype(np.float32)


def split(name: str, images: np.ndarray) -> Split:
    """Return images of as many patients."""
    names = tuple(f"{name}-{number}" for number in range(len(images)))
    return Split(name=name, pixels=images, rows=np.arange(len(images)), subjects=names, items=names, channels=("x",))


def noise_at(case: Case, step: int) -> float:
    """Return the standard deviation of the noise on samples."""
    if case.quality == "steady":
        return 0.02
    if case.quality == "leap":
        return 0.8 if step < STEPS / 2 else 0.02
    return 0.02 + 1.5 * (1 - step / STEPS) ** 3


def share_at(case: Case, step: int, onset: int) -> float:
    """Return the share of replayed samples."""
    if step <= onset or not case.share:
        return 0.0
    return case.share * min(1.0, (step - onset) / (case.ramp * onset)) if case.ramp else case.share


def draw(rng: np.random.Generator, case: Case, step: int, onset: int, train: np.ndarray) -> np.ndarray:
    """Draw the samples of a look, (SAMPLES, 1, SIDE, SIDE)."""
    images = patients(rng, SAMPLES)
    images += noise_at(case, step) * rng.standard_normal(images.shape).astype(np.float32)
    copied = np.flatnonzero(rng.random(SAMPLES) < share_at(case, step, onset))
    images[copied] = train[rng.integers(0, len(train), len(copied))]
    images[copied] += 0.05 * rng.standard_normal(images[copied].shape).astype(np.float32)
    return np.clip(images, -1, 1)


def simulate(seed: int, case: Case, patients_each: int) -> Outcome:
    """Simulate one training that is watched to its end or until it is stopped."""
    rng = np.random.default_rng([seed, len(case.name)])
    everyone = patients(rng, 2 * patients_each)
    train, heldout = everyone[:patients_each], everyone[patients_each:]
    onset = int(rng.integers(STEPS // 20, STEPS * 3 // 4)) if case.share else STEPS
    watch = open_watch(split("t", train), split("h", heldout), every=STEPS // 100, samples=SAMPLES)
    watch.references = watch.references[:0]  # no quality: it decides nothing here, and takes most of the time
    while (step := watch.next_step) <= STEPS and not watch.should_stop:
        watch.update(step, draw(rng, case, step, onset, train))
    before = [look for look in watch.looks if look.step <= onset]
    accused, plain = any(look.exposed for look in before), any(look.exposed_patients_low for look in before)
    return Outcome(onset, watch.looks[-1].step if watch.should_stop else None, accused, plain, len(watch.looks))


def report(case: Case, outcomes: list[Outcome]) -> str:
    """Return one line of the table."""
    stops = [(one.stopped / one.onset - 1) for one in outcomes if one.stopped is not None]
    late = [delay for delay in stops if delay > 0 and case.share]
    cells = [
        len(outcomes),
        len(stops) - len(late),
        sum(delay <= 0.15 for delay in late) if case.share else "",
        f"{np.median(late):.1%}" if late else "",
        sum(one.accused for one in outcomes),
        sum(one.plain for one in outcomes),
    ]
    return f"{case.name:22}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=20, help="per case with copying")
    parser.add_argument("--clean", type=int, default=20, help="per case without")
    parser.add_argument("--patients", type=int, default=400, help="training patients, and as many held-out ones")
    parser.add_argument("--only", nargs="+", default=[], help="names of cases")
    parser.add_argument("--first", type=int, default=0, help="seed of the first training")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{'case':22}" + "".join(f"{name:>{width}}" for name, width in zip(COLUMNS, WIDTHS, strict=True)))
    with ProcessPoolExecutor(given.workers) as pool:
        for case in (case for case in (*COPYING, *CLEAN) if not given.only or case.name in given.only):
            work = functools.partial(simulate, case=case, patients_each=given.patients)
            count = given.trainings if case.share else given.clean
            print(report(case, list(pool.map(work, range(given.first, given.first + count)))), flush=True)


if __name__ == "__main__":
    main()
