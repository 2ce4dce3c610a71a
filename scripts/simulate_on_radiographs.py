"""The headline on real chest X-rays: patients dealt out at random, generators made of a third group of patients.

    python scripts/simulate_on_radiographs.py cxr_kermany_64.npz index.csv [--draws 200] [--p1-draws 40]

The first file holds `images` (n, height, width) and `files`, the second names the patient of each file
(`name_patient_id`) and identical images (`exact_dup_group`), of which one is kept. Detector: correlation of pixels. 300
training and 150 held-out patients, 500 samples. Generators: `sharp`, other patients' X-rays; `blurred`, the same
blurred by 2 pixels; `averaged`, their mean in threes, blurred by 1 pixel. Copies are training X-rays, each copied once;
they and sharp samples get grey noise of sd 8. `blurred copies` are blurred by 1.5 pixels first. Columns as in
simulate_protocol.py; `claimed` is the share of copies that are more similar than the threshold, `claim` how often the
interval holds that, `refused` how often the model is taken for one that has seen held-out patients.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from simulate_protocol import Interval, p1_excess, share_of, summary  # type: ignore[import-not-found]

from benchmark.metrics.competition import Exposed, Nearest, exposed, nearest_of_patients
from benchmark.metrics.heldout_seen import heldout_seen
from benchmark.metrics.withhold import robust_level
from benchmark.search import subject_maxima

TRAIN, HELDOUT, SAMPLES = 300, 150, 500
NOISE = 8.0


@dataclass
class Drawn:
    """One synthetic set."""

    nearest: Nearest
    source: np.ndarray
    """(n,) training patient of each of the first n samples, the copies."""
    by_patient: tuple[np.ndarray, np.ndarray]
    level: float
    """Above it a sample is verbatim."""


def read(images: Path, index: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, height, width) and the patient of each, from 0, without identical images."""
    with np.load(images) as stored, index.open(newline="") as table:
        pixels, files = stored["images"].astype(np.float32), [str(name) for name in stored["files"]]
        rows = {row["file"]: row for row in csv.DictReader(table)}
    groups = [rows[name]["exact_dup_group"] or name for name in files]
    _, kept = np.unique(groups, return_index=True)
    kept.sort()
    _, patient = np.unique([rows[files[i]]["name_patient_id"] for i in kept], return_inverse=True)
    return pixels[kept], patient


def unit(images: np.ndarray) -> np.ndarray:
    rows = np.clip(images, 0, 255).round().reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def noise(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    return np.asarray(images + np.float32(NOISE) * rng.standard_normal(images.shape, dtype=np.float32))


def generate(rng: np.random.Generator, kind: str, images: np.ndarray) -> np.ndarray:
    if kind == "averaged":
        mean = np.mean([images[rng.integers(0, len(images), SAMPLES)] for _ in range(3)], axis=0)
        return np.asarray(gaussian_filter(mean, (0, 1, 1)))
    chosen = images[rng.integers(0, len(images), SAMPLES)]
    return np.asarray(gaussian_filter(chosen, (0, 2, 2))) if kind == "blurred" else noise(rng, chosen)


def draw(images: np.ndarray, patient: np.ndarray, kind: str, dose: float, blur: float, seed: int, both: bool) -> Drawn:
    rng = np.random.default_rng(seed)
    place = rng.permutation(patient.max() + 1)[patient]  # the first are training patients, the next held-out ones
    train, heldout = place < TRAIN, (place >= TRAIN) & (place < TRAIN + HELDOUT)
    made = generate(rng, kind, images[place >= TRAIN + HELDOUT])
    known = np.flatnonzero(train | heldout if both else train)
    copied = rng.choice(known, round(dose * SAMPLES), replace=False)
    copies = gaussian_filter(images[copied], (0, blur, blur)) if blur else images[copied]
    made[: len(copied)] = noise(rng, copies)
    rows, sides = unit(made), [(unit(images[side]), place[side]) for side in (train, heldout)]
    banks = [subject_maxima(rows @ bank.T, codes) for bank, codes in sides]
    nearest = nearest_of_patients(banks[0], banks[1], seed=seed)
    real, codes = np.concatenate([sides[0][0], sides[1][0]]), np.concatenate([sides[0][1], sides[1][1]])
    similarity = real @ real.T
    similarity[codes[:, None] == codes] = -1
    return Drawn(nearest, place[copied], (banks[0], banks[1]), robust_level(similarity.max(axis=1), codes))


def claimed(drawn: Drawn, score: Exposed) -> float:
    first, count = drawn.nearest, len(drawn.source)
    level = -np.inf if score.threshold is None else score.threshold
    own = first.patient[:count] == drawn.source
    return float((own & (first.similarity[:count] >= level)).sum() / SAMPLES)


def line(images: np.ndarray, patient: np.ndarray, world: tuple[str, float, float], given: argparse.Namespace) -> str:
    kind, dose, blur = world
    new: list[Interval] = []
    old: list[Interval] = []
    rest = []
    for seed in range(given.draws):
        drawn = draw(images, patient, kind, dose, blur, seed, both=False)
        score = exposed(drawn.nearest)
        new.append(share_of(score))
        truth = claimed(drawn, score)
        copied = len(np.unique(drawn.source))
        rest.append((
            score.patients.low <= copied <= score.patients.high,
            truth, score.samples.low <= truth + 1e-12 and truth <= score.samples.high + 1e-12,
            heldout_seen(drawn.nearest, drawn.level).refused,
        ))  # fmt: skip
        if seed < given.p1_draws and not blur:
            old.append(p1_excess(*drawn.by_patient, seed))
    patients, claim, claims, refused = np.mean(rest, axis=0)
    name = f"{kind}, blurred copies" if blur else kind
    return (
        f"{name:26}{dose:6.3f} |{summary(new, dose)}{patients:10.3f}{claim:9.4f}{claims:7.3f}{refused:9.3f}"
        f" |{summary(old, dose)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--p1-draws", type=int, default=40)
    given = parser.parse_args()
    images, patient = read(given.images, given.index)
    print(f"{len(images)} X-rays of {patient.max() + 1} patients; {TRAIN}/{HELDOUT}/{SAMPLES}, {given.draws} draws")
    head = f"{'cover':>7}{'bias':>8}{'width':>7}{'power':>7}"
    print(f"{'generator':26}{'dose':>6} |{head}{'patients':>10}{'claimed':>9}{'claim':>7}{'refused':>9} |{head} (p1)")
    worlds = [(kind, dose, 0.0) for kind in ("sharp", "blurred", "averaged") for dose in (0.0, 0.01, 0.03, 0.1)]
    worlds += [(kind, dose, 1.5) for kind in ("sharp", "averaged") for dose in (0.03, 0.1)]
    for world in worlds:
        print(line(images, patient, world, given), flush=True)
    seen = [draw(images, patient, "sharp", 0.4, 0.0, seed, both=True) for seed in range(20)]
    refused = np.mean([heldout_seen(one.nearest, one.level).refused for one in seen])
    print(f"saw everybody, 40 % copies: refused in {refused:.2f} of {len(seen)} draws")


if __name__ == "__main__":
    main()
