"""The private report of a run: what `bench audit` shows of three folders, from the files of a run folder."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.adapters.sampling import Samples
from benchmark.cohorts.ingest_log import count_unusable
from benchmark.core.errors import BadDataError
from benchmark.core.files import absolute, private_folder
from benchmark.core.progress import Log, progress, to_stderr
from benchmark.core.stages import Stages, exclusive, written_digests
from benchmark.core.types import Score, Split
from benchmark.evaluation.protocol import Outcome
from benchmark.evaluation.report.build import report_images, report_input
from benchmark.evaluation.report.page import shown_suspects, write_report
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.evaluation.verdict import judge
from benchmark.records.record import Record
from benchmark.runs.config import RunConfig, resolve
from benchmark.runs.results import read_results
from benchmark.runs.run import open_split
from benchmark.runs.run_folders import CONFIG, EVALUATION, SUMMARY, read_run, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from benchmark.core.types import Array, Cohort

MUST_SEE = 0.01


def report_run(folder: Path, out: Path, *, must_see: float = MUST_SEE, log: Log = to_stderr) -> Path:
    """Write report.html (private) and summary.html of a run, and return the first.

    Suspects are compared at the cohort's size: a run has no larger samples. Raises UsageError for what is no run
    folder, BadDataError for a run that is not evaluated or whose cohort has changed since, MachineError where a process
    works on the run and the pages would go into its folder.
    """
    import pandas as pd

    config = RunConfig.of(read_run(folder), str(folder / CONFIG))
    private_folder(out)
    if not (folder / EVALUATION).exists():
        raise BadDataError(
            f"{folder} holds no samples that were compared", f"finish it first: bench run --config {folder / CONFIG}"
        )
    record, results = Record.read(folder / "record.json"), read_results(written(folder / EVALUATION))
    cohort = open_split(resolve(config), log)
    if record.hashes.get("cohort") != cohort.key:
        raise BadDataError(
            f"the cohort behind {folder} has changed since its samples were compared", "run it again: bench run"
        )
    samples = Samples.open(folder / "samples", record.spec.samples, written_digests(folder, "sample"))
    outcomes = read_outcomes(pd.read_parquet(written(folder / "matches.parquet")), results)
    channels = cohort.train.channels if len(cohort.train.channels) > 1 else ()
    full_size = FullSize(_opener(samples), _opener(cohort.real), channels)
    matches = {name: outcome.matches for name, outcome in outcomes.items()}
    suspects = list_suspects(matches, _named(samples), cohort.real, full_size)
    scores = {name: _score(entry) for name, entry in results["scores"].items()}
    possible = {name: scores[name] for name in ("detectable.patients", "detectable.share")}
    verdict = judge(
        {name: outcome.scores for name, outcome in outcomes.items()}, possible["detectable.share"],
        samples=len(samples), suspects=len(suspects), striking=int(suspects["striking"].sum()),
        unlike=_why_unseen(scores, record, cohort), must_see=must_see,
    )  # fmt: skip
    spec = record.spec
    report = report_input(
        title=f"{spec.model} ({spec.preset}, seed {spec.seed}) on {cohort.name}", date=date.today().isoformat(),
        protocol=record.protocol, verdict=verdict, outcomes=outcomes, suspects=suspects, cohort=cohort,
        samples=len(samples), possible=possible, notes=cohort.notes,
    )  # fmt: skip
    with ExitStack() as stack:
        own = absolute(out) == absolute(folder)
        lock = stack.enter_context(exclusive(folder)) if own else None
        advance = stack.enter_context(progress("report", shown_suspects(report)))
        page = write_report(report, report_images(full_size, cohort), out, advance=advance)
        if own:
            Stages(folder, log, lock).enter("report", SUMMARY)  # it is public: `bench runs verify` compares it
        return page


def _why_unseen(scores: Mapping[str, Score], record: Record, cohort: Cohort) -> str:
    """Return why copies would not be seen, so that an empty list means nothing; empty where they would be.

    A model that was trained here has seen only what could be read. One that was trained elsewhere may have seen the
    files that could not, and copies of them look like no training image.
    """
    unread = count_unusable(cohort.notes) if record.spec.trained_on != "here" else 0
    if unread:
        files = "1 file" if unread == 1 else f"{unread} files"
        return (
            f"{files} of the data set could not be read, the model may have been trained on them, and copies of them "
            "would not be seen: repair them, and run again"
        )
    unlike = scores.get("samples.unlike")
    return unlike.reason if unlike else ""


def read_outcomes(table: pd.DataFrame, results: dict[str, Any]) -> dict[str, Outcome]:
    """Return the outcome of each detector, from matches.parquet and evaluation.json of a run."""
    return {name: _outcome(name, table, results) for name in results["engines"]}


def _outcome(name: str, table: pd.DataFrame, results: dict[str, Any]) -> Outcome:
    ending = f"[{name}]"

    def own(values: dict[str, Any]) -> dict[str, Any]:
        # Papers' rules have another id with detectors that are not the papers' (`run_evaluation.score_id`).
        names = {
            key.removesuffix(ending).replace("rule.", "published.", 1): key for key in values if key.endswith(ending)
        }
        return {short: values[key] for short, key in names.items()}

    return Outcome(
        scores={key: _score(entry) for key, entry in own(results["scores"]).items()},
        replicates=(),
        matches={
            key: table[column].to_numpy()
            for key, column in own({str(column): column for column in table.columns}).items()
        },
        members={},
        histograms={key: tuple(counts) for key, counts in own(results["histograms"]).items()},
        curve=results["curves"][f"exposed.patients{ending}"],
        engine=results["engines"][name],
    )


def _score(entry: dict[str, Any]) -> Score:
    return Score(**entry)


def _opener(items: Samples | Split) -> Any:
    """Return a function that opens one channel of an item by its position."""

    def open_item(position: int, channel: int = 0) -> Array:
        image: Array = items.stored(np.array([position]))[0, channel]
        return image

    return open_item


def _named(samples: Samples) -> Split:
    """Return the samples as a split, by their numbers."""
    first = samples.stored(np.array([0]))
    names = tuple(f"sample-{number:06d}" for number in range(len(samples)))
    return Split(name="synthetic", pixels=first, rows=np.arange(len(samples)), subjects=names, items=names, channels=())
