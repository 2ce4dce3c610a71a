"""`bench check`: the conformance suite for one model, as a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.adapters.conformance import CHECKS, COHORTS, Finding, check_adapter
from benchmark.core.progress import progress
from benchmark.plugins.registry import find_model


def check_model(name: str, settings: Mapping[str, Any], *, device: str) -> list[Finding]:
    """Find a model by name and run every check. Raises UsageError and AdapterError where it cannot be built."""
    card = find_model(name)
    # The check of the budget stops a training early on purpose: its warning would alarm for nothing.
    logging.getLogger("benchmark.training.loop").setLevel(logging.ERROR)
    with progress(f"check {card.name}", len(COHORTS) * len(CHECKS)) as advance:
        return check_adapter(card, settings, device=device, advance=advance)


def conforms(findings: Sequence[Finding]) -> bool:
    """Return whether there is no fault, and the model trained on at least one of the cohorts."""
    trained = any(finding.check == "trains" and finding.status == "ok" for finding in findings)
    return trained and not any(finding.status == "fault" for finding in findings)


def table_rows(findings: Sequence[Finding]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the table: one row per check, one column per cohort."""
    status = {(finding.check, finding.cohort): finding.status for finding in findings}
    rows = [[check, *(status.get((check, cohort), "") for cohort in COHORTS)] for check in CHECKS]
    return ["", *COHORTS], rows
