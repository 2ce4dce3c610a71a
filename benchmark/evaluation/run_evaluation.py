"""A run's samples against its cohort: each detector, quality, tables and figures in the run folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.adapters.sampling import PROMPTED, Samples, prompted_rows
from benchmark.core.errors import BadDataError
from benchmark.core.files import file_name
from benchmark.core.monai_import import import_monai
from benchmark.core.progress import Log, progress
from benchmark.core.sealed import sealed_write, write_sealed_json
from benchmark.core.types import (
    Cohort,
    HasLoss,
    HasReconstruction,
    Score,
    chunks,
    patient_codes,
    takes_prompts,
)
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import fit_detector
from benchmark.detectors.random_conv import random_features
from benchmark.detectors.registry import Choice
from benchmark.evaluation.constant_samples import constant_refusal, constant_score, count_constant
from benchmark.evaluation.exposure import HEADLINE, possible_for, possible_scores
from benchmark.evaluation.protocol import Advance, Outcome, evaluate
from benchmark.evaluation.repeated_samples import count_different, repeated_score
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.unlike_samples import unlike_score
from benchmark.metrics.copy_rate import PatientScores, membership
from benchmark.metrics.membership_control import beside_control, members_against_members
from benchmark.metrics.patient_neighbours import memorisation_distances
from benchmark.metrics.quality import (
    diversity_score,
    frechet_score,
    kernel_score,
    mifid_score,
    neighbourhood_scores,
    standardised,
)
from benchmark.records.record import entries
from benchmark.search.cluster_search import configured_cluster
from benchmark.text2image.aggregates import of_pipeline, prompt_scores, refusal_of_pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Split

SEED = 0
"""Seed of ties, weights and resampling: the same for every run, so that models of one cohort are compared in pairs."""
ENOUGH = 2000
"""Items a side that quality is measured on, drawn by seed."""
ATTACKED = 250
"""Items a side whose loss is measured."""

RESULTS = ("matches.parquet", "members.parquet", "evaluation.json")
"""Files of a run that an evaluation writes, besides figures."""
SEARCHES = "search"
"""Folder of a run with the blocks of searches that are not finished."""


def evaluate_run(
    cohort: Cohort,
    folder: Path,
    choices: Sequence[Choice],
    adapter: object,
    *,
    count: int,
    cache: Path,
    device: str,
    search_memory: int,
    log: Log,
    refusal: str = "",
    digests: Mapping[str, str] | None = None,
    answered: Callable[[], object] = lambda: None,
) -> None:
    """Write matches.parquet, members.parquet, evaluation.json and figures/ for a run's samples.

    Args:
        cohort: the real images.
        folder: the run folder, which holds the samples.
        choices: the detectors, those of the protocol first.
        adapter: the trained model; its losses and reconstructions are measured where it offers them.
        count: number of samples.
        cache: where detectors are kept.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        search_memory: bytes that a search may take.
        log: called with each line of progress.
        refusal: why the headline may not be scored, such as unknown training data; empty where it may.
        digests: of the samples' files by name, noted before the model was loaded; without them their seals are enough.
        answered: called when the model is needed no more, before the results are written: it can end its process.
    """
    from benchmark.core.devices import search_devices
    from benchmark.evaluation.figures import draw_figures

    devices = search_devices(device)
    samples, prompted = Samples.open(folder / "samples", count, digests), _prompted(folder / "samples", adapter)
    constant, different = count_constant(samples), count_different(samples)
    of_samples = {
        "samples.constant": constant_score(constant, count),
        "samples.repeated": repeated_score(different, count),
        "samples.unlike": unlike_score(samples, cohort.train),
    }
    for score in of_samples.values():
        if score.reason:
            log(score.reason)
    refusal = refusal or constant_refusal(constant, count, cohort.train)
    made = [fit_detector(choice, cohort, cache=cache, device=device, log=log) for choice in choices]
    with (
        progress("evaluate", 6 * len(made) + 1) as advance,
        configured_cluster(folder / SEARCHES, device=devices[0], memory=search_memory) as cluster,
    ):
        outcomes = {}
        for one in made:
            blocks, tell = folder / SEARCHES / file_name(one.name), partial(_tell, advance, one.name)
            resumed = partial(_resumed, log, one.name)
            searching = Searching(devices, search_memory, blocks, tell, resumed, cluster)
            outcomes[one.name] = evaluate(
                one.detector, bank_of(cohort, one), one.embed(samples), kept=one.folder, seed=SEED,
                searching=searching, advance=advance, refusal=refusal, prompted=prompted, different=different,
                autoencoder=adapter if isinstance(adapter, HasReconstruction) else None,
            )  # fmt: skip
        scores = quality_scores(samples, cohort, device=devices[0])
        scores |= attack_scores(adapter, cohort) if isinstance(adapter, HasLoss) else {}
        scores |= text_scores(adapter, cohort, folder / "figures")
        scores |= possible_scores(possible_for(cohort, different, prompted)) | of_samples
        advance(note="quality")
    answered()
    for outcome in outcomes.values():
        outcome.scores |= weakened(outcome.scores, of_samples["samples.unlike"].reason)
    splits = [part.name for part in cohort.splits for _ in range(len(part))]
    hashes = write_tables(folder, made[0].real, splits, outcomes)
    draw_figures(folder / "figures", samples, cohort, outcomes)
    _write_scores(folder, outcomes, scores, hashes, {"samples": len(samples), "cohort": cohort.key})
    shutil.rmtree(folder / SEARCHES, ignore_errors=True)


def weakened(scores: Mapping[str, Score], reason: str) -> dict[str, Score]:
    """Return the headline with a reason that weakens it, where it has a value; nothing where there is no reason."""
    headline = {name: scores[name] for name in HEADLINE if reason and scores[name].value is not None}
    return {name: replace(score, reason=reason) for name, score in headline.items()}


def _prompted(samples: Path, adapter: object) -> NDArray[np.int64] | None:
    """Return whose captions the samples were asked with; without that, captions would look like copies."""
    rows = prompted_rows(samples)
    if rows is None and takes_prompts(adapter):
        raise BadDataError(
            f"{samples.parent} does not say whose captions its samples were asked with: {samples.name}/{PROMPTED} is "
            "missing",
            "delete that folder, and run again: bench run",
        )
    return rows


def _tell(advance: Advance, name: str, text: str) -> None:
    advance(0, note=f"{name}, {text}")


def _resumed(log: Log, name: str, text: str) -> None:
    log(f"search by {name}, {text}")


def quality_scores(samples: Samples, cohort: Cohort, *, device: str) -> dict[str, Score]:
    """Score up to 2,000 synthetic items against held-out items, and as many training items as the floor."""
    heldout = cohort.heldout
    synthetic = samples.images(_some(len(samples)))
    real = heldout.images(_some(len(heldout)))
    floor = cohort.train.images(_some(len(cohort.train), len(synthetic)))
    raw = random_features(real, device=device)
    target = standardised(raw, like=raw)
    drawn, train = (standardised(random_features(images, device=device), like=raw) for images in (synthetic, floor))
    scores = {
        f"quality.{name}[random-conv]": score
        for ending, features in (("", drawn), ("_floor", train))
        for name, score in _likeness(features, target, ending).items()
    }
    distances = memorisation_distances(drawn, _feature_blocks(cohort.train, raw, device))
    import_monai()  # MS-SSIM is MONAI's
    return scores | {
        "quality.mifid[random-conv]": mifid_score(drawn, target, distances, seed=SEED),
        "quality.ms_ssim[pixels]": diversity_score(synthetic, seed=SEED),
        "quality.ms_ssim_real[pixels]": diversity_score(real, seed=SEED),
    }


def _feature_blocks(train: Split, raw: NDArray[np.floating], device: str) -> Iterator[NDArray[np.floating]]:
    """Yield the features of all training images, a block at a time: train may be larger than memory."""
    for part in chunks(len(train), ENOUGH):
        yield standardised(random_features(train.images(part), device=device), like=raw)


def _likeness(features: NDArray[np.floating], target: NDArray[np.floating], ending: str) -> dict[str, Score]:
    scores = {
        "frechet": frechet_score(features, target, seed=SEED),
        "kernel": kernel_score(features, target, seed=SEED),
        **neighbourhood_scores(features, target, seed=SEED),
    }
    return {f"{name}{ending}": score for name, score in scores.items()}


def attack_scores(adapter: HasLoss, cohort: Cohort) -> dict[str, Score]:
    """Score the loss-based membership attack on up to 250 training and as many held-out items, drawn by seed."""
    heldout = cohort.heldout
    samples = []
    for split in (cohort.train, heldout):
        index = np.sort(np.random.default_rng(SEED).permutation(len(split))[:ATTACKED])
        losses = adapter.losses(split.images(index), seed=SEED)
        samples.append(PatientScores(-losses, patient_codes([split.subjects[i] for i in index])))
    control = members_against_members(samples[0], seed=SEED)
    scores = membership(*samples) | {"auc_members": control}
    scores["auc"] = beside_control(scores["auc"], control)
    return {f"attack.loss.{name}": score for name, score in scores.items()}


def text_scores(adapter: object, cohort: Cohort, figures: Path) -> dict[str, Score]:
    """Score captions by d_mem and draw prompts.png, for text-to-image models for which d_mem is defined."""
    if not takes_prompts(adapter):
        return {}
    if reason := of_pipeline(adapter, refusal_of_pipeline):
        return {"prompts.auc[first]": Score(value=None, reason=reason)}
    figures.mkdir(exist_ok=True)
    return prompt_scores(adapter, cohort, seed=SEED, figure=figures / "prompts.png")


def _some(count: int, most: int = ENOUGH) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(count)[:most])


def write_tables(folder: Path, real: Split, splits: list[str], outcomes: dict[str, Outcome]) -> dict[str, str]:
    """Write one row per sample and one row per real image; return the digests of both files."""
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
        {f"{column}[{name}]": values for name, own_columns in columns.items() for column, values in own_columns.items()}
    )


def _write_table(path: Path, table: pd.DataFrame) -> str:
    with sealed_write(path) as temporary:
        table.to_parquet(temporary, index=False)
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()[:16]


PAPERS = {"published.dar2025.": "dar2025", "published.akbar2025": "pixels"}
"""The rules of papers, and the detector that each paper used."""


def score_id(name: str, detector: str) -> str:
    """Return the id of a score of a detector; a paper's rule with another detector than the paper's is a `rule`."""
    for rule, own in PAPERS.items():
        if name.startswith(rule) and detector != own:
            name = name.replace("published.", "rule.", 1)
    return f"{name}[{detector}]"


def _write_scores(
    folder: Path,
    outcomes: dict[str, Outcome],
    quality: dict[str, Score],
    hashes: dict[str, str],
    compared: dict[str, int | str],
) -> None:
    scores = {
        score_id(name, detector): score
        for detector, outcome in outcomes.items()
        for name, score in outcome.scores.items()
    } | quality
    histograms = {
        score_id(name, detector): counts
        for detector, outcome in outcomes.items()
        for name, counts in outcome.histograms.items()
    }
    write_sealed_json(
        folder / "evaluation.json",
        {
            "scores": {name: entry.model_dump(mode="json") for name, entry in entries(scores).items()},
            "histograms": histograms,
            "curves": {f"exposed.patients[{name}]": outcome.curve for name, outcome in outcomes.items()},
            "replicates": {f"exposed.items[{name}]": outcome.replicates for name, outcome in outcomes.items()},
            "receipts": {
                name: outcome.receipt.model_dump(mode="json") for name, outcome in outcomes.items() if outcome.receipt
            },
            "hashes": hashes,
            "compared": compared,
            "engines": {name: outcome.engine for name, outcome in outcomes.items()},
        },
    )
