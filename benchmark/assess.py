"""A run's samples against its cohort: both detectors, quality, tables and pictures in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.contracts import Cohort, Detector, Score, chunks, merge
from benchmark.detectors.pixels import Pixels
from benchmark.detectors.random_conv import random_features
from benchmark.evaluate import Outcome, bank_of, evaluate, rows_of
from benchmark.metrics.quality import diversity_score, frechet_score, standardised
from benchmark.progress import progress
from benchmark.record import entries
from benchmark.samples import Samples
from benchmark.search import Rows
from benchmark.storage import content_key, replacing, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.contracts import Split
    from benchmark.detectors.contrastive import Copy

SEED = 0
"""Of patient cuts and resampling: the same for every run, so that models of one cohort are compared in pairs."""
ITEMS_AT_ONCE = 256
ENOUGH = 2000
"""Items a side that quality is measured on, drawn by seed."""

Say = Callable[[str], None]


def assess(cohort: Cohort, folder: Path, *, count: int, cache: Path, device: str, say: Say) -> None:
    """Write matches.parquet, members.parquet, evaluation.json and pictures/ for a run's samples."""
    from benchmark.machine import pick_device
    from benchmark.pictures import draw_pictures

    place = str(pick_device(device))
    samples = Samples.open(folder / "samples", count)
    copy, embedded = copy_detector(cohort, cache, device, say)
    pixels = Pixels()
    with progress("evaluate", 11) as advance:
        copy_rows = Rows.of(_embed(copy, samples.images, count))
        bank = bank_of(cohort, lambda split: Rows.of(embedded))
        outcomes = {copy.name: evaluate(copy, bank, copy_rows, seed=SEED, device=place, advance=advance)}
        bank = bank_of(cohort, lambda split: rows_of(pixels, split.images, len(split)))
        flat = rows_of(pixels, samples.images, count)
        outcomes[pixels.name] = evaluate(pixels, bank, flat, seed=SEED, device=place, advance=advance)
        scores = quality_scores(samples, cohort, device=place)
        advance(note="quality")
    parts = (cohort.train, cohort.calibration, cohort.test)
    splits = [part.name for part in parts for _ in range(len(part))]
    hashes = _write_tables(folder, bank.real, splits, outcomes)
    draw_pictures(folder / "pictures", samples, cohort, outcomes)
    _write_scores(folder, outcomes, scores, hashes)


def copy_detector(cohort: Cohort, cache: Path, device: str, say: Say) -> tuple[Copy, NDArray[np.float32]]:
    """Train or load the cohort's copy detector, and embed all its real items, (items, D); both are cached."""
    from filelock import FileLock

    from benchmark.detectors.contrastive import Options, fit_copy
    from benchmark.run import CORE, TRAINING_CODE
    from benchmark.stages import code_digest

    real = merge("real", cohort.train, cohort.calibration, cohort.test)
    code = code_digest([CORE / name for name in (*TRAINING_CODE, "augment.py", "detectors/contrastive.py")])
    key = content_key(cohort.key, asdict(Options()), code)
    place = cache / "detectors" / f"{cohort.name}-copy-{key}"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):
        features = place / "real.npy"
        say(f"copy detector: {'cached' if features.exists() else 'training on all real items, once a cohort'}")
        detector = fit_copy(real, folder=place, key=key, device=device)
        if not features.exists():
            with replacing(features) as temporary, temporary.open("wb") as file:
                np.save(file, _embed(detector, real.images, len(real)))
    return detector, np.load(features)


def _embed(detector: Detector, images: Callable[[slice], NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    return np.concatenate([detector.embed(images(part)) for part in chunks(count, ITEMS_AT_ONCE)])


def quality_scores(samples: Samples, cohort: Cohort, *, device: str) -> dict[str, Score]:
    """Score up to 2,000 synthetic items against held-out items, and as many training items as the floor."""
    heldout = merge("held-out", cohort.calibration, cohort.test)
    synthetic = samples.images(_some(len(samples)))
    real = heldout.images(_some(len(heldout)))
    floor = cohort.train.images(_some(len(cohort.train))[: len(synthetic)])
    target, drawn, train = (random_features(images, device=device) for images in (real, synthetic, floor))
    target, drawn, train = (standardised(features, like=target) for features in (target, drawn, train))
    return {
        "quality.frechet[random-conv]": frechet_score(drawn, target, seed=SEED),
        "quality.frechet_floor[random-conv]": frechet_score(train, target, seed=SEED),
        "quality.ms_ssim[pixels]": diversity_score(synthetic, seed=SEED),
        "quality.ms_ssim_real[pixels]": diversity_score(real, seed=SEED),
    }


def _some(count: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(count)[:ENOUGH])


def _write_tables(folder: Path, real: Split, splits: list[str], outcomes: dict[str, Outcome]) -> dict[str, str]:
    """Write one row a synthetic item and one row a real item; return the digests of both files."""
    matches = _side_by_side({name: outcome.matches for name, outcome in outcomes.items()})
    members = _side_by_side({name: outcome.members for name, outcome in outcomes.items()})
    members.insert(0, "split", splits)
    members.insert(1, "item", real.items)
    members.insert(2, "subject", real.subjects)
    matches.insert(0, "synthetic", np.arange(len(matches)))
    return {
        name: _write_table(folder / f"{name}.parquet", table)
        for name, table in (("matches", matches), ("members", members))
    }


def _side_by_side(columns: dict[str, dict[str, NDArray[np.generic]]]) -> pd.DataFrame:
    return pd.DataFrame(
        {f"{column}[{name}]": values for name, found in columns.items() for column, values in found.items()}
    )


def _write_table(path: Path, table: pd.DataFrame) -> str:
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _write_scores(
    folder: Path, outcomes: dict[str, Outcome], quality: dict[str, Score], hashes: dict[str, str]
) -> None:
    scores = {name: score for outcome in outcomes.values() for name, score in outcome.scores.items()} | quality
    write_json(
        folder / "evaluation.json",
        {
            "scores": {name: entry.model_dump(mode="json") for name, entry in entries(scores).items()},
            "replicates": {f"copies.excess[{name}]": outcome.replicates for name, outcome in outcomes.items()},
            "hashes": hashes,
        },
    )
