"""A run's samples against its cohort: each detector, quality, tables and pictures in the run folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.adapters.sampling import Samples
from benchmark.core.files import atomic_write, file_name, write_json
from benchmark.core.progress import Say, progress
from benchmark.core.types import Cohort, HasLoss, HasPrompts, Score, merge, patient_codes
from benchmark.detectors.fitting import Fitted, fit_detector
from benchmark.detectors.random_conv import random_features
from benchmark.detectors.registry import Choice
from benchmark.evaluation.protocol import Advance, Outcome, bank_of, evaluate
from benchmark.evaluation.resumable_search import Searching
from benchmark.metrics.copy_rate import PatientScores, membership
from benchmark.metrics.quality import (
    diversity_score,
    frechet_score,
    kernel_score,
    mifid,
    neighbourhood_scores,
    resampled,
    standardised,
)
from benchmark.records.record import entries
from benchmark.text2image.aggregates import prompt_scores
from benchmark.text2image.pipelines import unsupported_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Split

SEED = 0
"""Of patient cuts and resampling: the same for every run, so that models of one cohort are compared in pairs."""
ENOUGH = 2000
"""Items a side that quality is measured on, drawn by seed."""
ATTACKED = 250
"""Items a side whose loss is measured."""

SEARCHES = "search"
"""Folder of a run with the blocks of searches that are not finished."""


def assess(
    cohort: Cohort,
    folder: Path,
    choices: Sequence[Choice],
    adapter: object,
    *,
    count: int,
    cache: Path,
    device: str,
    memory: int,
    say: Say,
) -> None:
    """Write matches.parquet, members.parquet, evaluation.json and pictures/ for a run's samples.

    `adapter` is the trained model; its losses are attacked where it offers them. Searches take up to `memory` bytes.
    """
    from benchmark.core.devices import search_devices
    from benchmark.evaluation.figures import draw_pictures

    devices = search_devices(device)
    samples = Samples.open(folder / "samples", count)
    made = [fit_detector(choice, cohort, cache=cache, device=device, say=say) for choice in choices]
    with progress("evaluate", 6 * len(made) + 1) as advance:
        outcomes = {}
        for one in made:
            how = Searching(devices, memory, folder / SEARCHES / file_name(one.name), partial(_tell, advance, one.name))
            outcomes[one.name] = _outcome(one, cohort, samples, how, advance)
        scores = quality_scores(samples, cohort, device=devices[0])
        scores |= attack_scores(adapter, cohort) if isinstance(adapter, HasLoss) else {}
        scores |= text_scores(adapter, cohort, folder / "pictures")
        advance(note="quality")
    parts = (cohort.train, cohort.calibration, cohort.test)
    splits = [part.name for part in parts for _ in range(len(part))]
    hashes = _write_tables(folder, made[0].real, splits, outcomes)
    draw_pictures(folder / "pictures", samples, cohort, outcomes)
    _write_scores(folder, outcomes, scores, hashes)
    shutil.rmtree(folder / SEARCHES, ignore_errors=True)


def _tell(advance: Advance, name: str, text: str) -> None:
    advance(0, note=f"{name}, {text}")


def _outcome(fitted: Fitted, cohort: Cohort, samples: Samples, how: Searching, advance: Advance) -> Outcome:
    synthetic = fitted.embed(samples)
    return evaluate(fitted.detector, bank_of(cohort, fitted), synthetic, seed=SEED, how=how, advance=advance)


def quality_scores(samples: Samples, cohort: Cohort, *, device: str) -> dict[str, Score]:
    """Score up to 2,000 synthetic items against held-out items, and as many training items as the floor."""
    heldout = merge("held-out", cohort.calibration, cohort.test)
    synthetic = samples.images(_some(len(samples)))
    real = heldout.images(_some(len(heldout)))
    floor = cohort.train.images(_some(len(cohort.train), len(synthetic)))
    target, drawn, train = (random_features(images, device=device) for images in (real, synthetic, floor))
    target, drawn, train = (standardised(features, like=target) for features in (target, drawn, train))
    scores = {
        f"quality.{name}[random-conv]": score
        for ending, features in (("", drawn), ("_floor", train))
        for name, score in _likeness(features, target, ending).items()
    }
    memorised = resampled(lambda items: {"": mifid(items, target, train)}, drawn, seed=SEED)[""]
    return scores | {
        "quality.mifid[random-conv]": replace(memorised, direction="lower"),
        "quality.ms_ssim[pixels]": diversity_score(synthetic, seed=SEED),
        "quality.ms_ssim_real[pixels]": diversity_score(real, seed=SEED),
    }


def _likeness(features: NDArray[np.floating], target: NDArray[np.floating], ending: str) -> dict[str, Score]:
    scores = {
        "frechet": frechet_score(features, target, seed=SEED),
        "kernel": kernel_score(features, target, seed=SEED),
        **neighbourhood_scores(features, target, seed=SEED),
    }
    return {f"{name}{ending}": score for name, score in scores.items()}


def attack_scores(adapter: HasLoss, cohort: Cohort) -> dict[str, Score]:
    """Score the loss-based membership attack on up to 250 training and as many held-out items, drawn by seed."""
    heldout = merge("held-out", cohort.calibration, cohort.test)
    samples = []
    for split in (cohort.train, heldout):
        index = np.sort(np.random.default_rng(SEED).permutation(len(split))[:ATTACKED])
        losses = adapter.losses(split.images(index), seed=SEED)
        samples.append(PatientScores(-losses, patient_codes([split.subjects[i] for i in index])))
    return {f"attack.loss.{name}": score for name, score in membership(*samples).items()}


def text_scores(adapter: object, cohort: Cohort, pictures: Path) -> dict[str, Score]:
    """Score captions by d_mem and draw prompts.png, where the model is a text-to-image one that d_mem can be had of."""
    if not isinstance(adapter, HasPrompts) or not adapter.prompted:
        return {}
    pipeline = adapter.pipeline
    if why := unsupported_reason(pipeline):
        return {"prompts.auc[first]": Score(value=None, reason=f"it is a {type(pipeline).__name__}, which {why}")}
    pictures.mkdir(exist_ok=True)
    return prompt_scores(adapter, cohort, seed=SEED, figure=pictures / "prompts.png")


def _some(count: int, most: int = ENOUGH) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(count)[:most])


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
    with atomic_write(path) as temporary:
        table.to_parquet(temporary, index=False)
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _write_scores(
    folder: Path, outcomes: dict[str, Outcome], quality: dict[str, Score], hashes: dict[str, str]
) -> None:
    found = {
        f"{name}[{detector}]": score for detector, outcome in outcomes.items() for name, score in outcome.scores.items()
    }
    scores = found | quality
    write_json(
        folder / "evaluation.json",
        {
            "scores": {name: entry.model_dump(mode="json") for name, entry in entries(scores).items()},
            "histograms": {
                f"{name}[{detector}]": counts
                for detector, outcome in outcomes.items()
                for name, counts in outcome.histograms.items()
            },
            "replicates": {f"copies.excess[{name}]": outcome.replicates for name, outcome in outcomes.items()},
            "hashes": hashes,
            "engines": {name: outcome.engine for name, outcome in outcomes.items()},
        },
    )
