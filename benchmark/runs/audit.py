"""An audit: training, held-out and synthetic images in three folders, and what the synthetic ones give away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.cohorts.full_size import opener
from benchmark.cohorts.given_split import (
    GivenSplit,
    WithoutPatients,
    at_present,
    cohort_of,
    every_item,
    missing_training,
    rightly_skipped,
    skipped_planes,
    training_alone,
)
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.not_compared import not_compared
from benchmark.core.devices import search_devices
from benchmark.core.files import cache_folder, require_layout
from benchmark.core.progress import Log, progress, to_stderr
from benchmark.core.types import Cohort, Score, Split
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import fit_detector
from benchmark.detectors.registry import Choice, choose
from benchmark.evaluation.exposure import possible_for, possible_scores
from benchmark.evaluation.protocol import Outcome, evaluate
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.evaluation.verbatim_search import NO_CONTROL, search_verbatim
from benchmark.evaluation.verdict import Verdict, judge, with_audit_advice
from benchmark.metrics.competition import SPENDING, divided
from benchmark.runs.audit_question import (
    ask,
    grid_options,
    image_folder,
    require_folders,
    require_outside,
    require_shares,
    whole_folders,
    without_patients,
)
from benchmark.runs.audit_samples import OfSamples, look_at
from benchmark.runs.run import what_can_be_shown

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.cohorts.store import Stored
    from benchmark.metrics.competition import Spending

FAST = "pixels:transforms=flips,rotations,shifts,scales"
"""Needs no training: finds what was copied as it is, flipped, shifted by 5 %, rotated by up to 10 degrees,
or cropped by 10 %."""
DEEP = ("copy", "local")
"""Fitted to the real images: find copies that were altered more, and parts that were copied into another image."""
SEED = 0


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The question of an audit."""

    train: Path
    heldout: Path | None
    synthetic: Path
    options: Mapping[str, Any]
    """Options of the data set `folder`, such as `group_pattern`."""
    image_size: int | None = None
    """Pixels per side at which images are compared; none chooses by the images."""
    quick: bool = False
    """Leave out the detectors that are trained."""
    must_see: float = 0.01
    """The share of copies that would have to be seen before nothing found is an all-clear."""
    fail_above: float | None = None
    """The largest upper end of the share with which the exit code may be 0."""
    device: str = "auto"
    search_memory: int = 2 * 2**30
    """Bytes."""
    cache: Path = field(default_factory=cache_folder)
    in_memory: bool = False
    """Whether the synthetic images are in memory, and their folder is a temporary one that says nothing."""

    @property
    def detectors(self) -> tuple[str, ...]:
        """The detectors that decide."""
        return (FAST,) if self.quick else (FAST, *DEEP)

    @property
    def spending(self) -> Spending:
        """The error of each detector's interval: an honest model is held by any of them in at most 2.5 % of splits."""
        return divided(SPENDING, len(self.detectors))


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The answer. Private: it names files and patients."""

    config: AuditConfig
    verdict: Verdict
    outcomes: dict[str, Outcome]
    """By detector."""
    suspects: pd.DataFrame
    """One row per suspect (`evaluation.suspects`)."""
    cohort: Cohort
    synthetic: Split
    made: Stored
    """The synthetic images and their files."""
    real: Stored
    """The training and held-out images and their files."""
    possible: dict[str, Score]
    """What so many patients and images can show at all."""
    of_samples: dict[str, Score]
    """How many synthetic images are constant, repeat another one, or are unlike the training images."""
    full_size: FullSize
    unread: tuple[Path, ...]
    """Synthetic files that could not be compared."""


def audit(config: AuditConfig, *, log: Log = to_stderr) -> Audit:
    """Compare the synthetic images with the training images, with the held-out ones as the control.

    Raises UsageError for a question that cannot be answered as it is put, and BenchError for files and machine.
    """
    require_shares(config.must_see, config.fail_above)
    devices = search_devices(config.device)
    require_folders(inputs(config))
    require_outside({"cache": config.cache}, inputs(config))
    require_layout(config.cache, "cache", ("cohorts", "detectors"))
    whole = whole_folders(config.options, log)
    options = grid_options(config.train, config.synthetic, whole, config.image_size, log)
    given = GivenSplit(dataset=image_folder(options), train=config.train, heldout=config.heldout)
    for_synthetic = WithoutPatients(dataset=image_folder(without_patients(options)))
    ask(given, for_synthetic, config.synthetic, config.spending, log)
    real = at_present(prepare_items("audit", given, given.root, config.cache, log=log), given.sources(given.root))
    cohort = cohort_of("audit", given, real) if config.heldout else training_alone("audit", real)
    made = prepare_items("synthetic", for_synthetic, config.synthetic, config.cache, log=log)
    made = at_present(made, for_synthetic.sources(config.synthetic))
    unread = (*not_compared(config.synthetic, _of_items(made)), *skipped_planes(made, config.synthetic))
    return _answered(config, cohort, real, made, unread, devices, log)


def inputs(config: AuditConfig) -> dict[str, Path]:
    """Return the folders of images that were given, by option."""
    folders = {"train": config.train, "heldout": config.heldout, "synthetic": config.synthetic}
    return {option: folder for option, folder in folders.items() if folder is not None}


def _of_items(made: Stored) -> list[str]:
    """Return the files of which at least one image was compared."""
    return list(made.files.loc[made.files["source"].isin(made.table["source"]), "file"])


def _answered(
    config: AuditConfig,
    cohort: Cohort,
    real: Stored,
    made: Stored,
    unread: tuple[Path, ...],
    devices: tuple[str, ...],
    log: Log,
) -> Audit:
    synthetic = every_item("synthetic", made)
    of_samples = look_at(synthetic, cohort.train)
    for score in of_samples.scores.values():
        if score.reason:
            log(score.reason)
    possible = _possible(config, cohort, of_samples.different, log)
    choices = [choose(name) for name in config.detectors]
    outcomes = {
        choice.name: _searched(choice, cohort, synthetic, of_samples, config, devices, log) for choice in choices
    }
    full_size = FullSize(opener(made, synthetic.rows), opener(real, cohort.real.rows))
    missing = max(
        missing_training(real),
        len(not_compared(config.train, [*_of_items(real), *rightly_skipped(real, config.train)])),
    )
    matches = {name: outcome.matches for name, outcome in outcomes.items()}
    suspects = list_suspects(matches, synthetic, cohort.real, full_size, further=True)
    verdict = judge(
        {name: outcome.scores for name, outcome in outcomes.items()}, possible["detectable.share"],
        samples=len(synthetic), suspects=len(suspects), striking=int(suspects["striking"].sum()),
        unread=len(unread), missing=missing, unlike=of_samples.unlike,
        must_see=config.must_see, fail_above=config.fail_above,
    )  # fmt: skip
    return Audit(
        config=config, verdict=verdict, outcomes=outcomes, suspects=suspects, cohort=cohort, synthetic=synthetic,
        made=made, real=real, possible=possible, of_samples=of_samples.scores, full_size=full_size, unread=unread,
    )  # fmt: skip


def _possible(config: AuditConfig, cohort: Cohort, samples: int, log: Log) -> dict[str, Score]:
    if not config.heldout:
        log(f"{samples} synthetic images: {NO_CONTROL}")
        none = Score(value=None, n=samples, reason=NO_CONTROL)
        return {"detectable.patients": none, "detectable.share": none}
    possible = possible_for(cohort, samples, spending=config.spending)
    log(what_can_be_shown(possible, samples))
    return possible_scores(possible)


def _searched(
    choice: Choice,
    cohort: Cohort,
    synthetic: Split,
    of_samples: OfSamples,
    config: AuditConfig,
    devices: tuple[str, ...],
    log: Log,
) -> Outcome:
    """Fit one detector, search with it, and say at once what it finds."""
    fitted = fit_detector(choice, cohort, cache=config.cache, device=config.device, log=log)
    bank, samples = bank_of(cohort, fitted), fitted.embed(synthetic)
    with progress(f"search {choice.name}", 6) as advance:
        searching = Searching(devices, config.search_memory, None, partial(_tell, advance))
        if config.heldout:
            outcome = evaluate(
                fitted.detector, bank, samples, kept=fitted.folder, seed=SEED, searching=searching, advance=advance,
                refusal=of_samples.refusal, different=of_samples.different, spending=config.spending,
                pasted=not config.quick,
            )  # fmt: skip
        else:
            outcome = search_verbatim(bank, samples, kept=fitted.folder, seed=SEED, searching=searching)
    log(f"{choice.name}: {int(np.sum(outcome.matches['withhold']))} of {len(synthetic)} synthetic images to withhold")
    return replace(outcome, scores=with_audit_advice(outcome.scores))


def _tell(advance: Any, text: str) -> None:
    advance(0, note=text)
