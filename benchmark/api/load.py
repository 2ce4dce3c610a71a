"""`memobench.load`: the result of an audit's folder, of a run's folder, or of a record.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.results import Result, RunResult, SavedAudit
from benchmark.core.errors import MissingDataError
from benchmark.core.files import read_json
from benchmark.core.sealed import require_unchanged
from benchmark.evaluation.verdict import CANNOT_TELL, CLEAR, COPIES, TOO_WEAK

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.records.record import Record

MUST_SEE = 0.01
"""As in `bench audit`: a share that must have been seen, and that the interval must end below, for exit code 0."""
AUDIT_AGAIN = "run bench audit again"
SUSPECTS = ("index", "train_item", "patient", "detector", "similarity", "reason")


def load(path: str | Path) -> Result:
    """Return the result of a folder of `bench audit`, a run folder, or a record.json or summary.json.

    Raises MissingDataError where there is none of these, and BadDataError for files that cannot be read.
    """
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    if place.name == "record.json" and place.is_file() and not (folder / "matches.parquet").exists():
        return _of_record(place, None)
    if (folder / "record.json").is_file() and (place.is_dir() or place.name == "record.json"):
        return load_run(folder)
    if (folder / "summary.json").is_file() and (place.is_dir() or place.name == "summary.json"):
        return _load_audit(folder)
    raise MissingDataError(
        f"{place} holds no result", "give a folder of bench audit, a run folder, or the path of a record.json"
    )


def _load_audit(folder: Path) -> SavedAudit:
    import pandas as pd

    from benchmark.runs.audit_files import NOT_COMPARED

    summary, listed = read_json(require_unchanged(folder / "summary.json", AUDIT_AGAIN), dict), pd.DataFrame()
    if (folder / "withhold.csv").is_file():
        listed = pd.read_csv(
            require_unchanged(folder / "withhold.csv", AUDIT_AGAIN),
            dtype={"file": str, "train_file": str, "patient": str},
        )
        listed = listed[listed["reason"] != NOT_COMPARED].reset_index(drop=True)
    return SavedAudit(summary=summary, suspects=listed, folder=folder)


def load_run(folder: Path) -> RunResult:
    """Return the result of a run folder. Raises BadDataError for files that cannot be read."""
    return _of_record(folder / "record.json", folder)


def _of_record(path: Path, folder: Path | None) -> RunResult:
    import pandas as pd

    from benchmark.records.record import Record

    record = Record.read(path)
    suspects = pd.DataFrame(columns=list(SUSPECTS)) if folder is None else _suspects(folder)
    return RunResult(
        summary=_summary(record, None if folder is None else len(suspects)), suspects=suspects, folder=folder
    )


def _suspects(folder: Path) -> pd.DataFrame:
    """Return the samples of a run that any detector withholds, by the detector with the greatest similarity."""
    import pandas as pd

    from benchmark.evaluation.suspects import flagged
    from benchmark.runs.report import read_outcomes
    from benchmark.runs.results import read_results
    from benchmark.runs.run_folders import EVALUATION, written

    matches_file, members_file = (written(folder / f"{name}.parquet") for name in ("matches", "members"))
    outcomes = read_outcomes(pd.read_parquet(matches_file), read_results(written(folder / EVALUATION)))
    members = pd.read_parquet(members_file, columns=["item", "subject"])
    matches = {name: outcome.matches for name, outcome in outcomes.items()}
    rows = [_suspect(int(number), matches, members) for number in flagged(matches)]
    table = pd.DataFrame(rows, columns=list(SUSPECTS))
    return table.sort_values(["reason", "similarity"], ascending=False, kind="stable").reset_index(drop=True)


def _suspect(number: int, matches: dict[str, Any], members: pd.DataFrame) -> dict[str, Any]:
    withheld = [name for name, columns in matches.items() if columns["withhold"][number]]
    name = max(withheld, key=lambda name: float(matches[name]["similarity"][number]))
    columns = matches[name]
    train = int(columns["train_row"][number])
    return {
        "index": number, "train_item": members["item"].iloc[train], "patient": members["subject"].iloc[train],
        "detector": name, "similarity": float(columns["similarity"][number]), "reason": str(columns["reason"][number]),
    }  # fmt: skip


def _summary(record: Record, suspects: int | None) -> dict[str, Any]:
    """Return the summary of a run, with the fields of an audit's."""
    from benchmark.evaluation.run_headline import headline

    kind, _, sentence = headline(record).partition(": ")
    scores = {name: entry.model_dump(mode="json") for name, entry in record.scores.items()}
    seen = scores.get("detectable.share", {}).get("value")
    listed = [entry["value"] for name, entry in scores.items() if name.startswith("withheld.items[")]
    if suspects is None:  # the union of the detectors' lists is not in a record: the longest is a lower bound
        suspects = max((int(value or 0) for value in listed), default=0)
    return {
        "protocol": record.protocol,
        "verdict": {
            "kind": kind.lower(), "sentence": sentence, "seen": seen, "suspects": suspects,
            "exit_code": _exit_code(kind, seen, scores),
        },
        "must_see": MUST_SEE,
        "compared": record.cohort.model_dump(mode="json"),
        "synthetic": record.spec.samples,
        "spec": record.spec.model_dump(mode="json"),
        "scores": scores,
    }  # fmt: skip


def _exit_code(kind: str, seen: float | None, scores: dict[str, dict[str, Any]]) -> int:
    """Return the code that `bench audit` would end with: a run is not asked for a share, so that MUST_SEE holds."""
    if kind == "HOLD":
        return COPIES
    if kind != "NOTHING FOUND":
        return CANNOT_TELL
    high = max((entry["high"] or 0.0 for name, entry in scores.items() if name.startswith("exposed.items[")), default=1)
    return CLEAR if seen is not None and seen <= MUST_SEE and high <= MUST_SEE else TOO_WEAK
