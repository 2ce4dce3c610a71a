"""What a sweep's tables and figures take from each cell: few numbers, so that 10,000 cells fit in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from benchmark.core.errors import BenchError
from benchmark.detectors.registry import choose_all
from benchmark.records.columns import LINES, QUALITY, REFUSALS, detectors_of, recalls
from benchmark.records.record import Record, ScoreEntry
from benchmark.runs.sweeps.axes import SIZES
from benchmark.runs.sweeps.cells import CellOutcome, State, Value

SEED = "seed"
"""The axis of replicates: means are over it, and no trend is tested along it."""
LIMITS = {line.id: line.limits for line in (*LINES, *QUALITY)}
PRIVATE_REASON = "its message is in cells.jsonl, which is private"
"""In place of a message, which is free text: it may name files and patients."""
PUBLIC_REASONS = (
    "not run: the sweep stopped at the first failure",
    "the sweep stopped before this cell had ended: run it again, and the cell resumes",
)


@dataclass(frozen=True)
class Measure:
    """A score that the tables and figures of a sweep show."""

    name: str
    """Its column in the table."""
    score: str
    """Its id in a record, without the detector."""
    heading: str
    by_detector: bool = True
    digits: int = 3

    def id(self, detector: str) -> str:
        """Return the id in a record."""
        return f"{self.score}[{detector}]" if self.by_detector else self.score

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that the score can take."""
        return LIMITS[self.score]


MEASURES = (
    Measure("exposed_patients", "exposed.patients", "exposed patients", digits=0),
    Measure("exposed_share", "exposed.items", "exposed share"),
    Measure("memorised_share", "members.share", "memorised share"),
    Measure("copy_rate", "copies.rate", "copy rate"),
    Measure("quality", "quality.frechet[random-conv]", "Frechet distance", by_detector=False, digits=1),
)
MEASURE = {measure.name: measure for measure in MEASURES}
COSTS = ("fit_seconds", "sample_seconds", "evaluate_seconds", "peak_bytes", "fit_joules", "sample_joules", "parameters")


@dataclass(frozen=True)
class Reading:
    """One cell, its state, and the numbers of its record where it has one."""

    outcome: CellOutcome
    state: State
    reason: str = ""
    """Why there are no numbers; empty where there are."""
    note: str = ""
    """What weakens the numbers, such as samples that look like no training image."""
    verdict: str = ""
    """HOLD, NOTHING FOUND, CANNOT TELL or REFUSED, as the last line of a run."""
    detectors: tuple[str, ...] = ()
    entries: Mapping[str, ScoreEntry] = field(default_factory=dict)
    """By id."""
    replicates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Those of the exposed share, by id."""
    recall: Mapping[str, float] = field(default_factory=dict)
    """Mean planted recall over transformations, by detector."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """Sizes and cost."""

    @cached_property
    def axes(self) -> dict[str, Value]:
        """The cell's value on each axis."""
        return dict(self.outcome.cell.axes)

    @property
    def finished(self) -> bool:
        """Whether it has numbers, or a refusal of each."""
        return self.state in ("done", "cached")

    def entry(self, measure: Measure, detector: str) -> ScoreEntry | None:
        """Return a score of the cell; None where it has no record or the record lacks it."""
        return self.entries.get(measure.id(detector))

    def without(self, axis: str) -> tuple[tuple[str, Value], ...]:
        """Return the cell's values on all other axes: equal for cells that differ along this axis alone."""
        return tuple((name, value) for name, value in self.axes.items() if name != axis)


def read(outcome: CellOutcome) -> Reading:
    """Read the record of a cell. A record that cannot be read makes the cell a failed one, with the reason."""
    if outcome.state not in ("done", "cached"):
        return Reading(outcome, outcome.state, _why(outcome), detectors=_planned(outcome))
    try:
        if outcome.folder is None:
            return Reading(outcome, "failed", "it has no run folder", detectors=_planned(outcome))
        record = Record.read(outcome.folder / "record.json")
    except (BenchError, OSError):
        return Reading(outcome, "failed", "its record cannot be read", detectors=_planned(outcome))
    if record.status != "done":
        state: State = "failed" if record.status == "retracted" else record.status
        return Reading(outcome, state, record.reason, detectors=_planned(outcome))
    return _reading(outcome, record)


def _why(outcome: CellOutcome) -> str:
    """Return where the message is; of a declined cell without one the record's reason; else what the state means."""
    if outcome.error:
        return outcome.error if outcome.error in PUBLIC_REASONS else PRIVATE_REASON
    if outcome.state == "declined" and outcome.folder is not None and (outcome.folder / "record.json").exists():
        try:
            return Record.read(outcome.folder / "record.json").reason
        except BenchError:
            return "its record cannot be read"
    reasons = {"planned": "not started yet", "running": "not finished yet", "skipped": "the sweep stopped before it"}
    return reasons.get(outcome.state, "no reason was kept")


def _planned(outcome: CellOutcome) -> tuple[str, ...]:
    """Return the detectors that a cell without a record would have had."""
    try:
        return tuple(choice.name for choice in choose_all(outcome.cell.config.detectors))
    except BenchError:  # an unknown detector may be why the cell failed
        return tuple(choice.name for choice in choose_all(()))


def _reading(outcome: CellOutcome, record: Record) -> Reading:
    from benchmark.evaluation.run_headline import headline

    detectors = detectors_of(record)
    ids = {measure.id(detector) for measure in MEASURES for detector in detectors}
    planted = {detector: recalls(record, detector) for detector in detectors}
    unlike = record.scores.get("samples.unlike")
    return Reading(
        outcome, outcome.state,
        note=unlike.reason if unlike else "",
        verdict=headline(record).partition(":")[0],
        detectors=detectors,
        entries={name: entry for name, entry in record.scores.items() if name in ids},
        replicates={name: drawn for name, drawn in record.replicates.items() if name in ids},
        recall={name: sum(values.values()) / len(values) for name, values in planted.items() if values},
        facts=_facts(record),
    )  # fmt: skip


def _facts(record: Record) -> dict[str, float]:
    cohort = record.cohort
    heldout = sum(count for name, count in cohort.patients.items() if name != "train")
    sizes = {
        "n_train_patients": float(cohort.patients.get("train", 0)),
        "n_train_items": float(cohort.items.get("train", 0)),
        "n_heldout_patients": float(heldout),
        "n_samples": float(record.spec.samples),
    }
    return sizes | {name: record.cost[name] for name in COSTS if name in record.cost}


def fill_axes(readings: Sequence[Reading]) -> list[Reading]:
    """Give each reading all axes of the sweep, in one order; where a cell lacks one the value is empty."""
    names = axes_of(readings)
    full = []
    for one in readings:
        axes = {name: one.axes.get(name, "") for name in names}
        cell = replace(one.outcome.cell, axes=axes)
        full.append(replace(one, outcome=replace(one.outcome, cell=cell)))
    return full


def axes_of(readings: Sequence[Reading]) -> list[str]:
    """Return the names of all axes, in the order of the plan."""
    return list(dict.fromkeys(name for one in readings for name in one.axes))


def detectors_in(readings: Sequence[Reading]) -> list[str]:
    """Return all detectors of a sweep, in the order of the first cells."""
    return list(dict.fromkeys(detector for one in readings for detector in one.detectors))


def levels_of(axis: str, readings: Sequence[Reading], order: Sequence[Value] | None = None) -> list[Value]:
    """Return the values of an axis: in the given order, numbers by size, others in the order of the plan."""
    values = list(dict.fromkeys(one.axes[axis] for one in readings))
    if order is not None:
        return [value for value in order if value in values]
    places = {value: position(axis, value, readings) for value in values}
    if any(place is None for place in places.values()):
        return values
    return sorted(values, key=lambda value: places[value] or 0.0)


def position(axis: str, value: Value, readings: Sequence[Reading]) -> float | None:
    """Return where a value is on an axis of numbers; None where the axis has no order of its own.

    `all` training images or patients are as many as the cells with that value had.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if axis not in SIZES:
        return None
    sizes = [one.facts[f"n_{axis}"] for one in readings if one.axes[axis] == value and f"n_{axis}" in one.facts]
    return max(sizes, default=None)


def notes_of(notes: Sequence[str]) -> list[str]:
    """Return in one line what weakens the numbers of a sweep, from the note of each cell; nothing without any."""
    given = [note for note in notes if note]
    if not given:
        return []
    return [f"{len(given)} of {len(notes)} cells have a note (column note of table.csv); the first one: {given[0]}"]


def is_refused(entry: ScoreEntry | None) -> bool:
    """Return whether a score was looked at and may not be given (`refused`, `cannot tell`), or has no value."""
    return entry is not None and entry.value is None


def short_reason(entry: ScoreEntry) -> str:
    """Return `refused`, `cannot tell` or `not scored`."""
    start = entry.reason.partition(":")[0]
    return start if start in REFUSALS else "not scored"
