"""`bench check`: the conformance suite for one model, as a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.adapters.conformance import CHECKS, COHORTS, Finding, check_adapter
from benchmark.core.progress import progress
from benchmark.plugins.registry import find_model


def check_model(name: str, settings: Mapping[str, Any], *, device: str) -> list[Finding]:
    """Find a model by name and try every check. Raises UsageError and AdapterError for what cannot be built."""
    card = find_model(name)
    logging.getLogger("benchmark.training.loop").setLevel(logging.ERROR)  # budgets are spent on purpose
    with progress(f"check {card.name}", len(COHORTS) * len(CHECKS)) as advance:
        return check_adapter(card, settings, device=device, advance=advance)


def conforms(findings: Sequence[Finding]) -> bool:
    """Return whether nothing is at fault, and at least one cohort was not refused as a whole."""
    trained = any(finding.check == "trains" and finding.status == "ok" for finding in findings)
    return trained and not any(finding.status == "fault" for finding in findings)


def table_rows(findings: Sequence[Finding]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the table: a line a check, a column a cohort."""
    status = {(finding.check, finding.on): finding.status for finding in findings}
    rows = [[check, *(status.get((check, cohort), "") for cohort in COHORTS)] for check in CHECKS]
    return ["", *COHORTS], rows
