"""Does the headline hold what it promises? Generators with a known share of copies, in a world with a known law.

    python scripts/simulate_protocol.py [--draws 200]
    python scripts/simulate_protocol.py --only headline degraded bounds withhold refusals prompts release

A patient is a point of a normal law with a common mean, seen in two similar items. Generators that copy nobody: `sharp`
(new patients), `blurred` (drawn towards the mean), `averaged` (of three new patients), `modes` (one or ten unseen
patients, over and over). Copies replace a share of the samples, the dose, by training items with a little noise.

headline  protocol p2 beside p1 and beside the competition at single thresholds: cover (draws whose 95 % interval for
          the share holds the dose), bias and width, power (lower end above 0), cover of the number of patients.
degraded  noisier copies: cover of the dose, and of what is claimed: copies more similar than the threshold.
bounds    how the error of the lower end is best spent over thresholds.
withhold  samples on the list: false share, power, patients by chance, draws where the printed bound on them holds;
          copies that are verbatim, and draws in which another sample is, by half and by all of the least distance.
refusals  honest models refused for having seen held-out patients; fair and unfair splits refused.
prompts   text models: low end of the exposed patients among those that were asked for, the same with training
          captions alone; share nearest to the prompt's own patient, training minus held-out prompts; patients listed
          to withhold, and draws in which the bound on those by chance holds (without memory).
release   epsilon of a mechanism that has it, and patients of a release ten times as large.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field

import numpy as np

from benchmark.metrics import competition, negative_hypergeometric
from benchmark.metrics.accumulation import held_back
from benchmark.metrics.competition import Exposed, Nearest, exposed, nearest_of, nearest_of_patients, points
from benchmark.metrics.epsilon import privacy_loss
from benchmark.metrics.heldout_seen import heldout_seen
from benchmark.metrics.prompt_pairs import own_patient_difference
from benchmark.metrics.split_test import split_test
from benchmark.metrics.withhold import robust_level, verbatim_level, withhold

DIMENSION = 24
SCALE = (np.arange(1, DIMENSION + 1) ** -0.5).astype(np.float32)
COMMON = np.random.default_rng(99).standard_normal(DIMENSION).astype(np.float32)
SLICES = 2
P1_DRAWS = 40
P1_LARGEST = 3_000_000
"""p1 gathers all similarities 210 times: larger cells are left out."""

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Cell:
    """One world: T training and H held-out patients, N samples, of which a dose are copies."""

    train: int
    heldout: int
    samples: int
    kind: str
    dose: float = 0.0
    noise: float = 0.01
    """Below 0.02 absolute, above it in units of the patients' spread."""
    modes: int = 1
    both: bool = False
    """Whether copies are of held-out patients too."""

    @property
    def name(self) -> str:
        """Sizes and generator."""
        kind = f"{self.modes} modes" if self.kind == "modes" else self.kind
        return f"{self.train}/{self.heldout}/{self.samples} {kind}"


@dataclass
class Drawn:
    """One simulated synthetic set."""

    nearest: Nearest
    copied: np.ndarray
    """Samples that are copies."""
    source: np.ndarray
    """The patient of each."""
    to_train: np.ndarray
    """(N,) similarity to the nearest training item."""
    verbatim: tuple[float, float]
    """Similarities above which a sample is within half, and within all, of the least distance between patients."""
    seen: float
    """The level above which held-out patients count as seen."""
    by_item: tuple[np.ndarray, np.ndarray] = field(repr=False)


def unit(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), dtype=np.float32)


def people(rng: np.random.Generator, count: int) -> np.ndarray:
    return COMMON + rng.standard_normal((count, DIMENSION), dtype=np.float32) * SCALE


def items(rng: np.random.Generator, patients: np.ndarray) -> np.ndarray:
    own = np.repeat(patients, SLICES, axis=0)
    return np.asarray(own + 0.1 * rng.standard_normal(own.shape, dtype=np.float32) * SCALE)


def generate(rng: np.random.Generator, kind: str, count: int, modes: int) -> np.ndarray:
    if kind == "averaged":
        return np.asarray(people(rng, 3 * count).reshape(count, 3, DIMENSION).mean(axis=1))
    if kind == "modes":
        noise = 0.05 * rng.standard_normal((count, DIMENSION), dtype=np.float32)
        return np.asarray(people(rng, modes)[rng.integers(0, modes, count)] + noise)
    made = people(rng, count)
    return COMMON + 0.45 * (made - COMMON) if kind == "blurred" else made


def draw(cell: Cell, seed: int, *, between: bool = False) -> Drawn:
    rng = np.random.default_rng([7, seed])
    train, heldout = items(rng, people(rng, cell.train)), items(rng, people(rng, cell.heldout))
    made = generate(rng, cell.kind, cell.samples, cell.modes)
    copied = rng.permutation(cell.samples)[: round(cell.dose * cell.samples)]
    known = np.concatenate([train, heldout]) if cell.both else train
    sources = rng.integers(0, len(known), len(copied))
    spread = SCALE if cell.noise > 0.02 else np.float32(1)
    made[copied] = (
        known[sources] + cell.noise * rng.standard_normal((len(copied), DIMENSION), dtype=np.float32) * spread
    )
    rows = [unit(part) for part in (made, train, heldout)]
    by_item = rows[0] @ rows[1].T, rows[0] @ rows[2].T
    best = [block.argmax(axis=1) for block in by_item]
    every = np.arange(cell.samples)
    similar = [block[every, index].astype(np.float64) for block, index in zip(by_item, best, strict=True)]
    nearest = nearest_of(
        similar[0], best[0] // SLICES, similar[1], best[1] // SLICES,
        train=cell.train, heldout=cell.heldout, seed=seed,
    )  # fmt: skip
    alike = between_patients(np.concatenate(rows[1:])) if between else np.ones(1)
    level = verbatim_level(alike), verbatim_level(alike, fraction=1)
    seen = robust_level(alike, np.arange(len(alike)) // SLICES) if between else 1.0
    return Drawn(nearest, copied, sources // SLICES, similar[0], level, seen, by_item)


def between_patients(rows: np.ndarray) -> np.ndarray:
    similarity = rows @ rows.T
    patient = np.arange(len(rows)) // SLICES
    similarity[patient[:, None] == patient] = -1
    return np.asarray(similarity.max(axis=1), dtype=np.float64)


# The estimators beside p2's


def at_thresholds(nearest: Nearest, lower: dict[int, float], upper: int) -> Interval:
    """The competition at single thresholds: lower end at each x with its error, upper end at one x with 2.5 %."""
    T, H, count = nearest.train, nearest.heldout, len(nearest.similarity)
    read = {point.x: point for point in points(nearest, [*{*lower, upper, 3}])}
    bounds = {x: negative_hypergeometric.upper(T, H, x, error) for x, error in lower.items()}
    low = max(int(read[x].clusters[bound:].sum()) for x, bound in bounds.items()) / count
    least = negative_hypergeometric.lower(T, H, upper, 0.025) if read[upper].threshold is not None else 0
    high = int(read[upper].clusters[: read[upper].passed - least].sum()) / count
    sizes = read[3].heldout_clusters
    value = (read[3].samples - 3 * T / (H + 1) * (sizes.mean() if len(sizes) else 1)) / count
    return value, low, max(high, low, 1 - 0.025 ** (1 / count))


def p1_excess(by_train: np.ndarray, by_heldout: np.ndarray, seed: int) -> Interval:
    """The twin threshold of protocol p1, (N, T) and (N, H) by patient: 10 cuts and 200 half-samples."""
    T, H, count = by_train.shape[1], by_heldout.shape[1], len(by_train)
    rng, resample = np.random.default_rng([seed, T, H]), np.random.default_rng([seed, count])
    cuts = [(rng.permutation(T), rng.permutation(H), 1.0) for _ in range(10)]
    cuts += [(rng.permutation(T)[: T // 2], rng.permutation(H)[: H // 2], T / (T // 2)) for _ in range(200)]
    measured = []
    for number, (train, heldout, scale) in enumerate(cuts):
        parts = np.array_split(train, math.ceil(len(train) / len(heldout)))
        size = len(parts[0])
        twins = [heldout[i * size : (i + 1) * size] for i in range(min(20, len(heldout) // size))]
        rows = slice(None) if number < 10 else resample.integers(0, count, count)
        twin = np.stack([by_heldout[:, group].max(axis=1) for group in twins], axis=1)[rows]
        part = np.stack([by_train[:, group].max(axis=1) for group in parts], axis=1)[rows]
        tau = np.quantile(twin, 0.99, method="higher")
        above = (twin > tau).mean()
        measured.append(scale * (((part > tau).mean(axis=0) - above) / (1 - above)).sum())
    raw, values = np.mean(measured[:10]), np.array(measured[10:])
    low, high = np.quantile(values - values.mean() + raw, [0.025, 0.975])
    ends = np.clip([raw, min(low, raw), max(high, raw, 1 - 0.025 ** (1 / count))], 0, 1)
    return float(ends[0]), float(ends[1]), float(ends[2])


def p1_of(drawn: Drawn, seed: int) -> Interval:
    by_patient = [block.reshape(len(block), -1, SLICES).max(axis=2) for block in drawn.by_item]
    return p1_excess(by_patient[0], by_patient[1], seed)


def share_of(measured: Exposed) -> Interval:
    return measured.samples.value, measured.samples.low, measured.samples.high


def summary(intervals: list[Interval], truth: float) -> str:
    if not intervals:
        return f"{'-':>7}{'-':>8}{'-':>7}{'-':>7}"
    value, low, high = np.array(intervals).T
    covered = ((low <= truth + 1e-12) & (truth <= high + 1e-12)).mean()
    return f"{covered:7.3f}{value.mean() - truth:+8.4f}{(high - low).mean():7.3f}{(low > 0).mean():7.3f}"


# Sections


def headline(draws: int) -> None:
    head = f"{'cover':>7}{'bias':>8}{'width':>7}{'power':>7}"
    print(f"{'T/H/N generator':28}{'dose':>6} |{head}{'patients':>10} |{head} |{head}")
    print(f"{'':34} |{'p2':>20}{'':19} |{'x = 1 and 3, 5':>24}{'':5} |{'p1':>20}")
    small = [(300, 150, 500, kind) for kind in ("sharp", "blurred", "averaged")]
    cells = [Cell(*world, dose) for dose in (0, 0.01, 0.03, 0.1) for world in small]
    cells += [Cell(300, 150, 2000, "sharp", 0.01), Cell(2000, 2000, 2000, "sharp", 0.005)]
    cells += [Cell(2000, 400, 5000, "sharp", 0.005), Cell(2000, 400, 500, "sharp", 0.1)]
    cells += [Cell(150, 150, 500, "sharp", 0.05), Cell(151, 149, 500, "sharp", 0.05)]
    for T, H in ((300, 150), (2000, 400)):
        cells += [Cell(T, H, 500, "modes", modes=modes) for modes in (1, 10)]
    for cell in cells:
        print(headline_line(cell, draws), flush=True)


def headline_line(cell: Cell, draws: int) -> str:
    truth = round(cell.dose * cell.samples) / cell.samples
    new, single, old, patients = [], [], [], []
    for seed in range(draws):
        drawn = draw(cell, seed)
        measured = exposed(drawn.nearest)
        new.append(share_of(measured))
        single.append(at_thresholds(drawn.nearest, {1: 0.0125, 3: 0.0125}, 5))
        number = len(np.unique(drawn.source))
        patients.append(measured.patients.low <= number <= measured.patients.high)
        if seed < P1_DRAWS and cell.samples * (cell.train + cell.heldout) <= P1_LARGEST:
            old.append(p1_of(drawn, seed))
    texts = [summary(intervals, truth) for intervals in (new, single, old)]
    return f"{cell.name:28}{cell.dose:6.3f} |{texts[0]}{np.mean(patients):10.3f} |{texts[1]} |{texts[2]}"


def degraded(draws: int) -> None:
    print(f"{'T/H/N generator':28}{'dose':>6}{'noise':>7}{'cover':>8}{'claimed':>9}{'claim':>8}{'width':>8}{'X':>6}")
    small = [Cell(300, 150, 500, kind, dose, noise) for kind in ("sharp", "blurred") for dose in (0.03, 0.1)
             for noise in (0.2, 0.3, 0.4, 0.5)]  # fmt: skip
    large = [Cell(2000, 2000, 2000, "sharp", 0.05, noise) for noise in (0.3, 0.4)]
    for cell in [*small, *large]:
        rows = []
        for seed in range(draws if cell.train < 1000 else draws // 4):
            drawn = draw(cell, seed)
            measured = exposed(drawn.nearest)
            _, low, high = share_of(measured)
            claim = claimed(drawn, measured) / cell.samples
            covers = [low <= truth + 1e-12 and truth <= high + 1e-12 for truth in (cell.dose, claim)]
            rows.append((covers[0], claim, covers[1], high - low, measured.depth))
        cover, claim, claims, width, depth = np.mean(rows, axis=0)
        print(
            f"{cell.name:28}{cell.dose:6.3f}{cell.noise:7.2f}{cover:8.3f}{claim:9.4f}{claims:8.3f}"
            f"{width:8.3f}{depth:6.1f}", flush=True,
        )  # fmt: skip


def claimed(drawn: Drawn, measured: Exposed) -> int:
    """Copies that are nearest to their source and at least as similar as the threshold."""
    nearest = drawn.nearest
    own = nearest.patient[drawn.copied] == drawn.source
    level = -np.inf if measured.threshold is None else measured.threshold
    return int((own & (nearest.similarity[drawn.copied] >= level)).sum())


def bounds(draws: int) -> None:
    """Lower ends of the number of patients by ways to spend 2.5 %, on the same draws."""
    ways: dict[str, tuple[float, ...] | dict[int, float]] = {
        "x = 1 and 3, half each": {1: 0.0125, 3: 0.0125},
        "x = 1 alone": (0.025,),
        "equal steps, x to 5": tuple(0.005 * x for x in range(1, 6)),
        "0.02 first, x to 3 (p2)": competition.SPENDING,
        "0.02 first, x to 5": (0.02, 0.0215, 0.023, 0.024, 0.025),
        "0.02 first, x to 10": tuple(np.round(0.02 + 0.005 / 9 * np.arange(10), 6)),
    }
    cells = [Cell(300, 150, 500, "sharp"), Cell(300, 150, 500, "sharp", 0.03), Cell(300, 150, 500, "sharp", 0.1, 0.4),
             Cell(300, 150, 500, "sharp", 0.1, 0.5), Cell(2000, 400, 5000, "sharp", 0.005)]  # fmt: skip
    head = f"{'T/H/N generator':28}{'dose':>6}{'noise':>7}  {'error spent':24}"
    print(f"{head}{'copied':>8}{'low':>7}{'power':>8}{'too high':>10}")
    for cell in cells:
        read, numbers = [], []
        for seed in range(draws):
            drawn = draw(cell, seed)
            read.append(points(drawn.nearest, list(range(1, 11))))
            numbers.append(len(np.unique(drawn.source)))
        copied = np.array(numbers)
        for name, way in ways.items():
            low = np.array([lowest(cell, row, way) for row in read])
            print(
                f"{cell.name:28}{cell.dose:6.3f}{cell.noise:7.2f}  {name:24}{copied.mean():8.1f}{low.mean():7.2f}"
                f"{(low > 0).mean():8.3f}{(low > copied).mean():10.3f}", flush=True,
            )  # fmt: skip


def lowest(cell: Cell, read: list[competition.Point], way: tuple[float, ...] | dict[int, float]) -> int:
    T, H = cell.train, cell.heldout
    if isinstance(way, dict):
        at = {x: negative_hypergeometric.upper(T, H, x, error) for x, error in way.items()}
    else:
        at = dict(enumerate(negative_hypergeometric.boundary(T, H, way), start=1))
    return max(0, *(read[x - 1].passed - bound for x, bound in at.items()))


def withheld(draws: int) -> None:
    head = f"{'T/H/N generator':28}{'dose':>6}{'false':>8}{'power':>8}{'listed':>9}{'by chance':>11}"
    print(f"{head}{'bound':>8}{'verbatim':>10}{'false':>7}{'(whole)':>9}")
    worlds = [("sharp", 1), ("blurred", 1), ("modes", 1), ("modes", 10)]
    for T, H in ((300, 150), (2000, 400)):
        for kind, modes in worlds:
            for dose in (0, 0.01, 0.05, 0.1):
                cell = Cell(T, H, 500, kind, dose, modes=modes)
                rows = [withheld_row(cell, seed) for seed in range(draws if T < 1000 else draws // 4)]
                false, power, listed, wrong, bound, measured, lies, whole = np.mean(rows, axis=0)
                print(
                    f"{cell.name:28}{dose:6.2f}{false:8.3f}{power:8.3f}{listed:9.1f}{wrong:11.2f}{bound:8.3f}"
                    f"{measured:10.3f}{lies:7.3f}{whole:9.3f}", flush=True,
                )  # fmt: skip


def withheld_row(cell: Cell, seed: int) -> list[float]:
    drawn = draw(cell, seed, between=True)
    measured = withhold(drawn.nearest, drawn.to_train, drawn.verbatim[0])
    copy = np.isin(np.arange(cell.samples), drawn.copied)
    chosen, copies = measured.any, max(1, int(copy.sum()))
    strangers = set(drawn.nearest.patient[measured.nearest & ~copy].tolist()) - set(drawn.source.tolist())
    return [
        (chosen & ~copy).sum() / max(1, chosen.sum()), (chosen & copy).sum() / copies, chosen.sum(), len(strangers),
        len(strangers) <= measured.false_patients, (measured.verbatim & copy).sum() / copies,
        float((measured.verbatim & ~copy).any()), float(((drawn.to_train > drawn.verbatim[1]) & ~copy).any()),
    ]  # fmt: skip


def refusals(draws: int) -> None:
    print(f"{'model':34}{'refused':>9}{'by mirror':>11}{'by verbatim':>13}")
    kinds = [("sharp", 1), ("blurred", 1), ("averaged", 1), ("modes", 1), ("modes", 10)]
    honest = [Cell(300, 150, N, kind, modes=modes) for N in (500, 2000) for kind, modes in kinds]
    honest += [Cell(300, 150, 500, "sharp", 0.1), Cell(150, 300, 500, "sharp"), Cell(150, 300, 500, "blurred")]
    saw = [Cell(200, 200, 500, "sharp", dose, noise, both=True) for dose in (0.02, 0.05, 0.4) for noise in (0.01, 0.3)]
    for cell in [*honest, *saw]:
        measured = []
        for seed in range(5 * draws if not cell.both else draws):
            drawn = draw(cell, seed, between=True)
            measured.append(heldout_seen(drawn.nearest, drawn.seen))
        name = f"{cell.name} dose {cell.dose} " + (f"saw all, noise {cell.noise}" if cell.both else "honest")
        parts = [np.mean([s.refused for s in measured]), np.mean([s.exposed > 0 for s in measured]),
                 np.mean([s.verbatim >= 2 for s in measured])]  # fmt: skip
        print(f"{name:52}{parts[0]:8.4f}{parts[1]:9.4f}{parts[2]:9.4f}", flush=True)
    splits(draws)


def splits(draws: int) -> None:
    """200 / 200 patients, one item each; training patients shifted by so many standard deviations."""
    print(f"\n{'split shifted by':18}{'k':>3}{'p <= 0.05':>11}{'p <= 0.01':>11}")
    shift = np.random.default_rng(5).standard_normal(DIMENSION) * SCALE
    labels = np.arange(400) < 200
    for size in (0.0, 0.25, 0.5, 1.0):
        measured: dict[int, list[float]] = {1: [], 5: []}
        for seed in range(5 * draws if not size else draws):
            rng = np.random.default_rng([17, seed])
            rows = unit(np.concatenate([people(rng, 200) + size * shift, people(rng, 200)]))
            similarity = rows @ rows.T
            np.fill_diagonal(similarity, -9)
            near = np.argsort(-similarity, axis=1)[:, :5]
            for k, values in measured.items():
                values.append(split_test(near[:, :k], np.arange(400), labels, seed=seed).p_value)
        for k, values in measured.items():
            p = np.array(values)
            print(f"{size:<18}{k:3}{(p <= 0.05).mean():11.3f}{(p <= 0.01).mean():11.3f}", flush=True)


def prompts(draws: int) -> None:
    """500 samples, asked with captions of min(T, H) patients of each side; a caption fixes the first k coordinates."""
    print(
        f"{'T/H':>9}{'caption tells':>15}{'memory':>8} |{'low':>6}{'above 0':>9}{'refused':>9} |{'alone':>7} |"
        f"{'own':>7}{'low':>8}{'high':>8}{'cover 0':>9}{'above 0':>9} |{'by chance':>11}{'bound':>7}"
    )
    for train, heldout in ((200, 200), (300, 150), (150, 300)):
        for k in (3, 8, 12):
            told = (1 / np.arange(1, k + 1)).sum() / (1 / np.arange(1, DIMENSION + 1)).sum()
            for memory in (0.0, 0.1, 0.3):
                cells = [
                    prompted(np.random.default_rng([14, seed]), train, heldout, k, memory) for seed in range(draws)
                ]
                low, above, refused, alone, value, lowest, highest, cover, own, listed, bound = np.mean(cells, axis=0)
                print(
                    f"{f'{train}/{heldout}':>9}{told:15.0%}{memory:8.2f} |{low:6.1f}{above:9.3f}{refused:9.3f} |"
                    f"{alone:7.3f} |{value:7.3f}{lowest:8.3f}{highest:8.3f}{cover:9.3f}{own:9.3f} |"
                    f"{listed:11.2f}{bound:7.3f}", flush=True,
                )  # fmt: skip


def prompted(rng: np.random.Generator, train: int, heldout: int, k: int, memory: float) -> tuple[float, ...]:
    patients, size = people(rng, train + heldout), min(train, heldout, 250)
    asked = np.sort(np.concatenate([rng.permutation(train)[:size], train + rng.permutation(heldout)[:size]]))
    rounds = -(-500 // len(asked))
    patient = np.concatenate([rng.permutation(asked) for _ in range(rounds)])[:500]
    similarity = answers(rng, patients, patient, train, k, memory)
    competing = similarity[:, asked]
    nearest = nearest_of_patients(competing[:, :size], competing[:, size:], seed=0)
    low = exposed(nearest).patients.low
    own = own_patient_difference(similarity.argmax(axis=1) == patient, patient, patient < train)
    lowest, highest = float(own.low or 0), float(own.high or 0)
    everyone = nearest_of_patients(similarity[:, :train], similarity[:, train:], seed=0)
    listed = withhold(everyone, similarity[:, :train].max(axis=1), 2.0, comparable=size).patients
    bound = negative_hypergeometric.upper(train, size, 1, 0.05)
    alone = training_captions_alone(rng, patients, train, k, memory)
    return (
        low, low > 0, heldout_seen(nearest, 2.0).refused, alone, float(own.value or 0), lowest, highest,
        lowest <= 0 <= highest, lowest > 0, listed, listed <= bound,
    )  # fmt: skip


def answers(
    rng: np.random.Generator, patients: np.ndarray, patient: np.ndarray, train: int, k: int, memory: float
) -> np.ndarray:
    """Similarities of the samples that are asked for these patients to all patients."""
    made = people(rng, len(patient))
    made[:, :k] = patients[patient, :k]
    copied = (rng.random(len(patient)) < memory) & (patient < train)
    made[copied] = patients[patient[copied]]
    return np.asarray(unit(made) @ unit(patients).T)


def training_captions_alone(rng: np.random.Generator, patients: np.ndarray, train: int, k: int, memory: float) -> bool:
    """Whether the low end is above 0 where the model is asked with training captions only, and all compete."""
    similarity = answers(rng, patients, rng.integers(0, train, 500), train, k, memory)
    return exposed(nearest_of_patients(similarity[:, :train], similarity[:, train:], seed=0)).patients.low > 0


def release(draws: int) -> None:
    """Randomised response per patient at epsilon e is 2 e for replacing one: the bound must stay below that."""
    print(f"{'T/H':>9}{'epsilon':>9}{'replacing':>11}{'mean bound':>12}{'too high':>10}")
    for T, H in ((20, 40), (150, 150), (300, 150)):
        for epsilon in (0.0, 0.5, 1.0, 2.0, 4.0):
            measured = [response(np.random.default_rng([15, seed]), T, H, epsilon, seed) for seed in range(5 * draws)]
            wrong = np.mean(np.array(measured) > 2 * epsilon)
            print(f"{f'{T}/{H}':>9}{epsilon:9.1f}{2 * epsilon:11.1f}{np.mean(measured):12.2f}{wrong:10.4f}", flush=True)
    print(f"\n{'copies of':12}{'dose':>6}{'N':>7}{'predicted':>11}{'low':>8}{'high':>8}{'shown':>8}{'covered':>9}")
    laws = {"all alike": np.ones(300), "zipf": 1 / np.arange(1, 301), "ten": (np.arange(300) < 10).astype(float)}
    for name, law in laws.items():
        for dose in (0.03, 0.3):
            for N in (500, 5000):
                rows = []
                for seed in range(draws):
                    rng = np.random.default_rng([16, seed])
                    patient = np.where(rng.random(N) < dose, rng.choice(300, N, p=law / law.sum()), -1)
                    estimate, shown = held_back(patient, 300, seed=seed)
                    covered = estimate.low <= shown <= estimate.high
                    rows.append((estimate.value, estimate.low, estimate.high, shown, covered))
                value, low, high, shown, covers = np.mean(rows, axis=0)
                print(
                    f"{name:12}{dose:6.2f}{N:7}{value:11.1f}{low:8.1f}{high:8.1f}{shown:8.1f}{covers:9.3f}", flush=True
                )


def response(rng: np.random.Generator, train: int, heldout: int, epsilon: float, seed: int) -> float:
    keep = 1 / (1 + math.exp(-epsilon))
    scores = [sign * np.where(rng.random(n) < keep, 1, -1) * rng.random(n) for sign, n in ((1, train), (-1, heldout))]
    return privacy_loss(scores[0], scores[1], seed=seed).epsilon


SECTIONS = {
    "headline": headline, "degraded": degraded, "bounds": bounds, "withhold": withheld, "refusals": refusals,
    "prompts": prompts, "release": release,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    given = parser.parse_args()
    for name in given.only:
        print(f"\n# {name}, {given.draws} draws")
        SECTIONS[name](given.draws)


if __name__ == "__main__":
    main()
