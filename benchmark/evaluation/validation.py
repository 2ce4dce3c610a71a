"""May a record be submitted? All that is wrong with it, in sentences; and with records that are next to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmark.core.options import without_paths
from benchmark.detectors.registry import PROTOCOL_DETECTORS
from benchmark.evaluation.verification import differences
from benchmark.records.columns import ABSENT, detectors_of
from benchmark.records.detector_audits import SEEING
from benchmark.records.ranges import range_of
from benchmark.records.record import PROTOCOL, Record

NEEDED = (
    "exposed.patients", "exposed.items", "exposed.threshold", "exposed.control", "exposed.verbatim", "withheld.items",
    "copies.rate", "copies.null", "copies.tau", "members.share", "members.null", "split.p", "heldout.exposed",
    "detector.recall.exact",
)  # fmt: skip
"""Scores of every detector: the headline, its nulls and its controls."""
HASHES = ("matches", "members", "cohort", "files", "fit", "adapter_source", "core_source")
"""Digests of what was measured and of the code that measured it."""
NEVER_EXACT = ("exposed.items", "copies.rate", "copies.null", "members.share", "members.null", "detector.recall.")
"""Shares of samples or patients: with finitely many of them no share is known exactly."""
CONTROL_ABOVE = 0.05
"""A control with a lower end above this is of no fair comparison: it holds 0 in 97.5 % of fair splits."""


def faults(record: Record) -> Iterator[str]:
    """Yield why a record may not be submitted, the gravest first; nothing where it may."""
    checks: tuple[Callable[[Record], Iterator[str]], ...] = (differences, _of_form)
    if record.status == "done":
        checks = (*checks, _missing, _intervals, _controls, _numbers)
    return (fault for check in checks for fault in check(record))


def _of_form(record: Record) -> Iterator[str]:
    if record.protocol not in (PROTOCOL, "custom"):
        yield f"the protocol {record.protocol} is not known: {PROTOCOL} or custom"
    yield from (f"{name} is no score that this version knows" for name in record.scores if range_of(name) is None)
    for what, settings in (("settings", record.spec.settings), ("data_options", record.spec.data_options)):
        shown = without_paths(settings)
        yield from (f"spec.{what}.{name} is a path" for name, value in settings.items() if shown[name] != value)
    if record.hashes.get("cohort") != record.cohort.key:
        yield f"hashes.cohort is {record.hashes.get('cohort', ABSENT)}, and cohort.key {record.cohort.key}"
    needed = HASHES if record.status == "done" else ("cohort", "files", "adapter_source", "core_source")
    yield from (f"hashes.{name} is {ABSENT}" for name in needed if name not in record.hashes)


def _missing(record: Record) -> Iterator[str]:
    detectors = detectors_of(record)
    yield from (f"no scores by {name}" for name in PROTOCOL_DETECTORS if name not in detectors)
    names = [f"{name}[{detector}]" for detector in detectors for name in NEEDED]
    yield from (f"{name} is {ABSENT}" for name in names if name not in record.scores)
    yield from (f"cost.{name} is {ABSENT}" for name in ("fit_seconds", "sample_seconds") if name not in record.cost)


def _intervals(record: Record) -> Iterator[str]:
    for name, entry in record.scores.items():
        if entry.value is None or not name.startswith(NEVER_EXACT):
            continue
        if entry.low is None or entry.high is None:
            yield f"{name} has no interval"
        elif entry.low == entry.high and 0 < entry.value < 1:
            yield f"{name} has an interval of no width"


def _controls(record: Record) -> Iterator[str]:
    for detector in detectors_of(record):
        control = record.scores.get(f"exposed.control[{detector}]")
        if control is not None and control.low is not None and control.low > CONTROL_ABOVE:
            yield f"exposed.control[{detector}] is {control.low:g} at least: images of test patients seem to be copies"
        exact = record.scores.get(f"detector.recall.exact[{detector}]")
        if exact is not None and exact.value is not None and exact.value < SEEING:
            yield f"detector.recall.exact[{detector}] is {exact.value:g}: a detector that misses exact copies is blind"


def _numbers(record: Record) -> Iterator[str]:
    """Compare the n of scores that count all samples, or all test images, with the numbers of the record."""
    counts = {"exposed.items": record.spec.samples, "copies.rate": record.spec.samples}
    counts |= {"exposed.control": record.cohort.items.get("test", 0)}
    for detector in detectors_of(record):
        for name, count in counts.items():
            entry = record.scores.get(f"{name}[{detector}]")
            if entry is not None and entry.n != count:
                yield f"{name}[{detector}] has the n {entry.n}, and there are {count}"
