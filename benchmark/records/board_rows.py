"""Rows of a board: runs that differ in their seed alone are replicates of one row.

With n seeds the value of a row is the mean of the runs' values. Its 95 % interval has the two ends

    mean - sqrt(a^2 + b^2)   and   mean + sqrt(c^2 + b^2)
    a, c = mean over runs of (value - lower end) and of (upper end - value): uncertainty within a run
    b    = t(0.975, n - 1) * s / sqrt(n),  s the standard deviation of the values over seeds: spread between trainings

With one seed b is 0 and the interval is the run's own. The part within a run is not divided by sqrt(n): all seeds are
evaluated on the same patients, so that most of it is common to them. What a run's own interval covers of the synthetic
images counts in b again, which makes the interval wider than needed, not narrower.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean
from typing import Any

import numpy as np

from benchmark.core.options import as_text
from benchmark.core.public_text import public_options
from benchmark.records.columns import ABSENT, AUTOENCODER, RECALL, REFUSALS, detectors_of
from benchmark.records.record import Record, ScoreEntry

PLANTED = re.compile(rf"{re.escape(RECALL)}([^\[]+)\[(.*)\]")


@dataclass(frozen=True)
class Row:
    """The runs of one configuration, one per seed, in the order of their seeds."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The run of the smallest seed: model, preset and cohort are those of all."""
        return self.records[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(record.spec.seed for record in self.records)

    def value(self, score: str) -> float | None:
        """Return the mean of a score over the seeds; none where a seed has no value, as `over_seeds`."""
        values = self._values(score)
        if len(values) < len(self.records):
            return None
        return values[0] if len(values) == 1 else float(np.mean(values))  # boards have 100,000 rows of one seed

    def complete(self, score: str) -> bool:
        """Return whether all seeds have a value of a score."""
        return len(self._values(score)) == len(self.records)

    def entry(self, score: str, limits: tuple[float, float]) -> ScoreEntry | None:
        """Return a score over seeds, or None where no run has it.

        Args:
            score: the id.
            limits: the least and the greatest value that the score can take; the interval ends there.
        """
        entries = [record.scores[score] for record in self.records if score in record.scores]
        return over_seeds(entries, len(self.records), limits) if entries else None

    def recalls(self, detector: str) -> dict[str, float]:
        """Return the planted recall of each transformation, the mean over seeds, where all of them have it."""
        ending = f"[{detector}]"
        scores = dict.fromkeys(name for record in self.records for name in record.scores)
        names = [name for name in scores if name.startswith(RECALL) and name.endswith(ending)]
        means = {name[len(RECALL) : -len(ending)]: self.value(name) for name in names}
        return {name: mean for name, mean in means.items() if mean is not None and name != AUTOENCODER}

    def replicates(self, score: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Return the mean over seeds of each patient draw's replicate, (draws,), or nothing where a run lacks them."""
        drawn = [record.replicates.get(score, ()) for record in self.records]
        same = len({len(values) for values in drawn}) == 1
        return np.mean(drawn, axis=0) if same and drawn[0] else None

    def spread(self, score: str) -> float:
        """Return b of a score: the half-width that the spread between seeds gives the mean."""
        return seed_half_width(self._values(score))

    @cached_property
    def cost(self) -> dict[str, float]:
        """The mean over seeds of each cost that all runs have."""
        names = [name for name in self.first.cost if all(name in record.cost for record in self.records)]
        return {name: float(np.mean([record.cost[name] for record in self.records])) for name in names}

    def _values(self, score: str) -> list[float]:
        entries = (record.scores.get(score) for record in self.records)
        return [entry.value for entry in entries if entry is not None and entry.value is not None]


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Group the records of one board into rows, in the order of their first records.

    Two runs of one configuration and one seed (the code has changed in between) are not replicates: they make two rows.
    """
    groups: dict[str, list[list[Record]]] = defaultdict(list)
    for record in records:
        rows = groups[_configuration(record)]
        free = (row for row in rows if record.spec.seed not in {other.spec.seed for other in row})
        row = next(free, None)
        if row is None:
            rows.append([record])
        else:
            row.append(record)
    return [Row(tuple(sorted(row, key=lambda one: one.spec.seed))) for rows in groups.values() for row in rows]


def _configuration(record: Record) -> str:
    """Return text that is equal for runs which differ in nothing but their seed."""
    spec = record.spec.model_dump(mode="json", exclude={"seed", "changed"})
    cohort = [record.cohort.name, record.cohort.key, record.cohort.items["train"], record.protocol]
    return json.dumps([spec, cohort, record.status, record.reason, detectors_of(record)], sort_keys=True)


def over_seeds(entries: Sequence[ScoreEntry], seeds: int, limits: tuple[float, float]) -> ScoreEntry:
    """Combine one score of several runs as the module describes.

    Args:
        entries: those of the runs that have the score, at least one.
        seeds: how many runs the row has; where fewer have a value there is none: a mean of those that are left would
            hide a refused seed, or one whose number was deleted. The reason is the first one, and how many they are.
        limits: the least and the greatest value that the score can take.
    """
    scored = [entry for entry in entries if entry.value is not None]
    if len(entries) == seeds == 1:
        return entries[0]
    if len(scored) < seeds:
        reason = next((entry.reason for entry in entries if entry.value is None), ABSENT)
        start = reason.partition(":")[0]
        why = f"{start if start in (*REFUSALS, ABSENT) else 'not scored'}: {seeds - len(scored)} of {seeds} seeds"
        return ScoreEntry(value=None, n=entries[0].n, direction=entries[0].direction, reason=why)
    values = [entry.value for entry in scored if entry.value is not None]
    mean = fmean(values)
    low, high = _ends(scored, mean, seed_half_width(values), limits)
    return ScoreEntry(value=mean, low=low, high=high, n=scored[0].n, direction=scored[0].direction)


def _ends(
    scored: Sequence[ScoreEntry], mean: float, between: float, limits: tuple[float, float]
) -> tuple[float | None, float | None]:
    """Return both ends, or none where a run has no interval: the spread between seeds alone would look too sure."""
    below, above = [], []
    for one in scored:
        if one.low is None or one.value is None or one.high is None:
            return None, None
        below.append(one.value - one.low)
        above.append(one.high - one.value)
    low, high = mean - math.hypot(fmean(below), between), mean + math.hypot(fmean(above), between)
    return min(max(low, limits[0]), mean), max(min(high, limits[1]), mean)


def seed_half_width(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean of n values by Student's t; 0 for fewer than two values.

    Two or three seeds are usual: the normal 1.96 would be far too narrow there (t is 12.7 and 4.3).
    """
    if len(values) < 2:
        return 0.0
    mean = fmean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return _student(len(values) - 1) * math.sqrt(variance / len(values))


@cache
def _student(freedom: int) -> float:
    """Return the 0.975 quantile of Student's t; SciPy takes 0.1 ms for one, and a board needs 60,000."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


@dataclass(frozen=True)
class Peers:
    """The rows of one board, with what is compared between them: computed once, a board may have 1,000 rows."""

    rows: tuple[Row, ...]

    @cached_property
    def transformations(self) -> dict[str, tuple[str, ...]]:
        """The planted transformations of each detector of which any row has the recall."""
        names: dict[str, dict[str, None]] = defaultdict(dict)
        for row in self.rows:
            for record in row.records:
                for score, entry in record.scores.items():
                    if entry.value is not None and (match := PLANTED.fullmatch(score)):
                        names[match[2]][match[1]] = None
        return {detector: tuple(planted) for detector, planted in names.items()}

    @cached_property
    def differing(self) -> dict[tuple[str, str], frozenset[str]]:
        """The settings that differ between rows of one (model, preset)."""
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            groups[row.first.spec.model, row.first.spec.preset].append(row.first.spec.settings)
        return {group: frozenset(_differing(settings)) for group, settings in groups.items()}


def _differing(settings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name in dict.fromkeys(name for one in settings for name in one):
        if any(one.get(name) != settings[0].get(name) for one in settings):
            yield name


def settings_text(row: Row, board: Peers) -> str:
    """Return the settings that tell a row from its preset, or from other rows of this board with the same preset."""
    spec = row.first.spec
    differing = board.differing[spec.model, spec.preset]
    names = {name for record in row.records for name in record.spec.changed}
    names |= differing & spec.settings.keys()
    # A submitted record, or one of an older version, may hold any text: a board shows what is listed for the public.
    shown = public_options({name: spec.settings.get(name) for name in sorted(names)})
    budget = [f"budget {spec.budget_seconds:g} s"] if spec.budget_seconds else []
    return ", ".join([*(f"{name}={as_text(value)}" for name, value in shown.items()), *budget])
