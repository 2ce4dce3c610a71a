"""How often does the detector `local` accuse a model that copies nobody? Real X-rays of ../shared/data, random splits.

    python scripts/false_alarms_of_local.py [--draws 400]

1,500 X-rays are dealt out again and again, by patients: 400 for training, 300 held out. The synthetic images are of
patients who are never among these: 200 X-rays as they are (`sharp`), or 200 blurred averages of three (`averaged`).
Printed are the shares of splits in which the lower end of the interval is above 0, with all of the error (2.5 %) and
with a third of it, as in an audit by three detectors; in which any image counts as nearly identical; in which the
model is said to have seen held-out patients; and in which the split is said to be unfair. The detector is fitted once,
to all 1,500 X-rays: that knows no sides, like the fit to both sides of a split.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from make_audit import PATIENT
from make_layouts import make_cxr
from scipy.ndimage import gaussian_filter

from benchmark.core.types import Split, chunks
from benchmark.detectors.local import Local, Options
from benchmark.evaluation.exposure import Exposure, measure_exposure
from benchmark.metrics.competition import SPENDING, divided, nearest_of_patients
from benchmark.metrics.split_test import split_test
from benchmark.metrics.withhold import robust_level, verbatim_level
from benchmark.search import subject_maxima

REAL, TRAIN, HELDOUT, SAMPLES = 1500, 400, 300, 200
SIDE, AT_ONCE, DETECTORS = 128, 250, 3

Floats = np.ndarray[Any, Any]


def read(files: list[Path]) -> Floats:
    """Return images (n, 1, SIDE, SIDE), uint8."""
    images = [PIL.Image.open(file).convert("L").resize((SIDE, SIDE), PIL.Image.Resampling.BOX) for file in files]
    return np.stack([np.asarray(image) for image in images])[:, None]


def split_of(pixels: Floats) -> Split:
    names = tuple(map(str, range(len(pixels))))
    return Split(
        name="all", pixels=pixels, rows=np.arange(len(pixels)), subjects=names, items=names, channels=("image",)
    )


def similarities(detector: Local, queries: Split, rows: Floats) -> Floats:
    """Return the greatest similarity of each query, moved or not, to each row, (n, m)."""
    blocks = []
    for part in chunks(len(queries), AT_ONCE):
        images = queries.images(part)
        views = [images, *(view(images) for view in detector.views)]
        blocks.append(np.max([detector.similarity.block(detector.embed(view), rows, "cpu") for view in views], axis=0))
    return np.concatenate(blocks)


def deal(patients: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the positions of about TRAIN training and HELDOUT held-out images, by patients."""
    order = rng.permutation(np.unique(patients))
    counts = np.cumsum(np.bincount(patients)[order])
    first, last = np.searchsorted(counts, [TRAIN, TRAIN + HELDOUT])
    return np.flatnonzero(np.isin(patients, order[:first])), np.flatnonzero(np.isin(patients, order[first:last]))


def measured(made: Floats, real: Floats, patients: Floats, seed: int) -> Iterator[Exposure]:
    """Yield what is measured in one random split: with all of the error, and with a third of it."""
    sides = deal(patients, np.random.default_rng(seed))
    codes = [np.unique(patients[side], return_inverse=True)[1] for side in sides]
    units = np.concatenate([codes[0], codes[0].max() + 1 + codes[1]])
    both = np.concatenate(sides)
    among = np.where(units[:, None] == units[None], -2.0, real[np.ix_(both, both)])
    between = among.max(axis=1)
    to_train, to_heldout = (made[:, side] for side in sides)
    fair = split_test(among.argmax(axis=1), units, np.arange(units.max() + 1) <= codes[0].max(), seed=seed)
    best = np.full(units.max() + 1, -np.inf)
    np.maximum.at(best, units, made[:, both].max(axis=0).astype(float))
    near = nearest_of_patients(
        subject_maxima(to_train, codes[0]).astype(float), subject_maxima(to_heldout, codes[1]).astype(float), seed=seed
    )
    for spending in (SPENDING, divided(SPENDING, DETECTORS)):
        yield measure_exposure(
            near, to_train.max(axis=1), best, level=verbatim_level(between), split=fair, seed=seed,
            seen_level=robust_level(between, units), spending=spending,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    draws = parser.parse_args().draws
    with tempfile.TemporaryDirectory() as folder:
        make_cxr(Path(folder), aside=0)
        simulate(sorted(path for path in Path(folder).rglob("*") if path.is_file()), draws)


def simulate(files: list[Path], draws: int) -> None:
    rng = np.random.default_rng(0)
    names = np.array([matched[0] if (matched := PATIENT.match(file.name)) else file.name for file in files])
    order = rng.permutation(np.unique(names))
    counts = np.cumsum([np.sum(names == name) for name in order])
    known = np.isin(names, order[: np.searchsorted(counts, REAL)])
    kept, others = ([file for file, is_known in zip(files, known, strict=True) if is_known == side] for side in (1, 0))
    patients = np.unique(names[known], return_inverse=True)[1]
    drawn = read([others[place] for place in rng.permutation(len(others))[: 3 * SAMPLES]])
    averaged = gaussian_filter(drawn.reshape(SAMPLES, 3, 1, SIDE, SIDE).mean(axis=1), (0, 0, 0.6, 0.6))
    real = split_of(read(kept))
    with tempfile.TemporaryDirectory() as folder:
        detector = Options().fit(real, folder=Path(folder), key="0" * 16, device="cpu")
    rows = np.concatenate([detector.embed(real.images(part)) for part in chunks(len(real), AT_ONCE)])
    among = similarities(detector, real, rows)
    print(f"{'generator':10}{'held':>8}{'a third':>9}{'identical':>11}{'seen':>7}{'unfair':>8}")
    for kind, pixels in (("sharp", drawn[:SAMPLES]), ("averaged", averaged.round().astype(np.uint8))):
        made = similarities(detector, split_of(pixels), rows)
        print(f"{kind:10}{line(made, among, patients, draws)}", flush=True)


def line(made: Floats, among: Floats, patients: Floats, draws: int) -> str:
    counts = np.zeros(5)
    for seed in range(draws):
        whole, third = (one.scores for one in measured(made, among, patients, seed))
        reason = whole["exposed.items"].reason
        counts += [
            (whole["exposed.items"].low or 0) > 0, (third["exposed.items"].low or 0) > 0,
            bool(whole["exposed.verbatim"].value), "has seen held-out" in reason, "are not alike" in reason,
        ]  # fmt: skip
    return "".join(f"{share:{width}.3f}" for share, width in zip(counts / draws, (8, 9, 11, 7, 8), strict=True))


if __name__ == "__main__":
    main()
