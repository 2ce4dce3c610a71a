"""evaluation.json of a run: read, with its shape checked before anything is taken from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.core.errors import BadDataError
from benchmark.core.sealed import AGAIN, read_sealed_json
from benchmark.records.record import ScoreEntry, first_fault

PARTS = ("scores", "histograms", "curves", "replicates", "receipts", "hashes", "compared", "engines")


def read_results(path: Path, advice: str = AGAIN) -> dict[str, Any]:
    """Read what an evaluation leaves. Raises DamagedError where it has changed, BadDataError for anything else."""
    results: dict[str, Any] = read_sealed_json(path, advice, dict)
    for part in PARTS:
        if not isinstance(results.get(part), dict):
            raise _refused(path, part)
    for name, entry in results["scores"].items():
        try:
            ScoreEntry.model_validate(entry)
        except ValidationError as error:
            raise _refused(path, f"{name}: {first_fault(error)}") from None
    for detector in results["engines"]:
        if f"exposed.patients[{detector}]" not in results["curves"]:
            raise _refused(path, f"the curve of the detector {detector}")
    return results


def _refused(path: Path, what: str) -> BadDataError:
    return BadDataError(
        f"{path} does not hold what an evaluation leaves: {what}",
        f"evaluate the run again: bench evaluate {path.parent}",
    )
