"""`bench check`: the conformance suite for one model, as a table."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmark.adapters.conformance import CHECKS, COHORTS, Finding, check_adapter, chosen_checks
from benchmark.core.progress import Advance, Log, progress, to_stderr
from benchmark.plugins.registry import find_model

SLOW_SECONDS = 6.0
"""Two toy trainings that take longer make the whole check take minutes."""


def check_model(
    name: str, settings: Mapping[str, Any], *, device: str, only: Collection[str] = (), log: Log = to_stderr
) -> list[Finding]:
    """Find a model by name and run the checks. Raises UsageError and AdapterError where it cannot be built."""
    card = find_model(name)
    with progress(f"check {card.name}", len(COHORTS) * len(chosen_checks(only))) as advance:
        return check_adapter(card, settings, device=device, only=only, advance=_telling_slow(advance, log))


def _telling_slow(advance: Advance, log: Log) -> Advance:
    """Return the same, which also says once, after the check `held-out data`, how to make a slow check fast."""
    before, said = time.monotonic(), False

    def told(steps: int = 1, note: str = "") -> None:
        nonlocal before, said
        seconds, before = time.monotonic() - before, time.monotonic()
        if note.endswith("held-out data") and seconds > SLOW_SECONDS and not said:  # not the first: torch is imported
            said = True
            log(
                f"two toy trainings took {seconds:.0f} s, and the check trains some fifty times: declare fewer steps "
                "in the class, such as toy = {'steps': 5}, or give them by --set"
            )
        advance(steps, note)

    return told


def conforms(findings: Sequence[Finding]) -> bool:
    """Return whether there is no fault, and the model trained on at least one of the cohorts."""
    trained = any(finding.check == "trains" and finding.status == "ok" for finding in findings)
    return trained and not any(finding.status == "fault" for finding in findings)


def table_rows(findings: Sequence[Finding]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the table: one row per check that was run, one column per cohort."""
    status = {(finding.check, finding.cohort): finding.status for finding in findings}
    checks = [check for check in CHECKS if any(finding.check == check for finding in findings)]
    return ["", *COHORTS], [[check, *(status.get((check, cohort), "") for cohort in COHORTS)] for check in checks]


def sentences(findings: Sequence[Finding]) -> list[str]:
    """Return one sentence for each fault and refusal, with all cohorts on which it was seen."""
    cohorts: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        if finding.status in ("fault", "refused"):
            cohorts.setdefault((finding.status, finding.check, finding.detail), []).append(finding.cohort)
    return [
        f"{status}: {check} ({'; '.join(seen) if len(seen) < len(COHORTS) else 'all cohorts'}): {detail}"
        for (status, check, detail), seen in cohorts.items()
    ]
