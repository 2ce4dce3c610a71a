"""A report's input from the outcomes of an audit, or of any run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark import __version__
from benchmark.cohorts.adjacent_slices import neighbours
from benchmark.evaluation.report.data import (
    CurvePoint,
    Detector,
    Group,
    Histogram,
    ReportImages,
    ReportInput,
    Suspect,
)
from benchmark.evaluation.report.examples import planted_examples
from benchmark.metrics.published import BINS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from benchmark.core.types import Cohort, Score, Split
    from benchmark.evaluation.protocol import Outcome
    from benchmark.evaluation.suspects import FullSize
    from benchmark.evaluation.verdict import Verdict

HISTOGRAMS = {
    "published.akbar2025": "synthetic-to-train",
    "published.akbar2025_test": "test-to-train",
    "published.akbar2025_heldout": "synthetic-to-heldout",
}
"""Names of `Outcome.histograms`, and those of a report."""


def report_input(
    *,
    title: str,
    date: str,
    protocol: str,
    verdict: Verdict,
    outcomes: Mapping[str, Outcome],
    suspects: pd.DataFrame,
    cohort: Cohort,
    samples: int,
    possible: Mapping[str, Score],
    not_compared: Sequence[str] = (),
    digests: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> ReportInput:
    """Collect what a report says.

    Args:
        title: the heading of the private page.
        date: YYYY-MM-DD.
        protocol: its version, such as `p2`.
        verdict: from `evaluation.verdict.judge`.
        outcomes: by detector.
        suspects: the table of `evaluation.suspects.list_suspects`; its names of files may be replaced by paths, and a
            column `heldout_file` may be added.
        cohort: the real images.
        samples: how many synthetic images were compared.
        possible: `detectable.*` (`evaluation.exposure.possible_scores`).
        not_compared: names of synthetic files that could not be read.
        digests: of the pixels of `training`, `held-out` and `synthetic`, where they are known.
        facts: more of what was compared, without names.
        notes: remarks, which may hold names.

    Raises UsageError and BadDataError as ReportInput does.
    """
    return ReportInput(
        title=title,
        date=date,
        version=f"memobench {__version__}, protocol {protocol}",
        verdict=verdict,
        groups=_groups(cohort, samples, digests or {}),
        detectors=tuple(_detector(name, outcome) for name, outcome in outcomes.items()),
        possible=dict(possible),
        suspects=_suspects(suspects, outcomes, cohort.real),
        dimensions=len(cohort.train.shape) - 1,
        facts=_facts(cohort) | dict(facts or {}),
        not_compared=tuple(not_compared),
        notes=notes,
    )


def report_images(
    full_size: FullSize, cohort: Cohort, *, spacing_mm: Callable[[int], tuple[float, ...]] | None = None
) -> ReportImages:
    """Return what opens the images of a report, with an example of each planted copy."""
    before, after = neighbours(cohort.real.items)
    slices = (before >= 0).any()
    return ReportImages(
        synthetic=full_size.synthetic,
        real=full_size.real,
        channels=full_size.channels,
        placement=full_size.placement,
        spacing_mm=spacing_mm,
        beside=(lambda row: (int(before[row]), int(after[row]))) if slices else None,
        planted=planted_examples(cohort),
    )


def _groups(cohort: Cohort, samples: int, digests: Mapping[str, str]) -> tuple[Group, ...]:
    real = tuple(
        Group(name=name, images=len(split), patients=len(set(split.subjects)), digest=digests.get(name, ""))
        for name, split in (("training", cohort.train), ("held-out", cohort.heldout))
    )
    return (*real, Group(name="synthetic", images=samples, digest=digests.get("synthetic", "")))


def _facts(cohort: Cohort) -> dict[str, str]:
    size = " x ".join(str(length) for length in cohort.train.shape[1:])
    channels = len(cohort.train.channels)
    return {
        "size at which all images were compared": size + (f", {channels} channels" if channels > 1 else ""),
        "digest of the real images, as compared": cohort.key,
    } | ({"digest of the real files": cohort.files_key} if cohort.files_key else {})


def _detector(name: str, outcome: Outcome) -> Detector:
    histograms = tuple(
        Histogram(
            name=title, low=float(BINS[0]), high=float(BINS[-1]),
            counts=tuple(int(count) for count in outcome.histograms[given]),
        )
        for given, title in HISTOGRAMS.items() if given in outcome.histograms
    )  # fmt: skip
    curve = tuple(CurvePoint(threshold=row["threshold"], **row["patients"]) for row in outcome.curve)
    return Detector(name=name, scores=dict(outcome.scores), histograms=histograms, curve=curve, engine=outcome.engine)


def _suspects(table: pd.DataFrame, outcomes: Mapping[str, Outcome], real: Split) -> tuple[Suspect, ...]:
    return tuple(
        Suspect(
            file=str(row["file"]),
            train_file=str(row["train_file"]),
            patient=str(row["patient"]),
            heldout_file=str(row.get("heldout_file") or _item(real, int(row["heldout_row"]))),
            detector=str(row["detector"]),
            similarity=float(row["similarity"]),
            heldout_similarity=float(outcomes[row["detector"]].matches["heldout_similarity"][int(row["synthetic"])]),
            full_size=None if math.isnan(row["full_size"]) else float(row["full_size"]),
            reason=str(row["reason"]),
            confidence=str(row["confidence"]),
            synthetic=int(row["synthetic"]),
            train_row=int(row["train_row"]),
            heldout_row=int(row["heldout_row"]),
        )
        for row in table.to_dict("records")
    )


def _item(real: Split, row: int) -> str:
    return real.items[row] if row >= 0 else ""
