"""The headline of one row for other registries: a Hugging Face model card's evaluation block, and every_eval_ever.

A number leaves only where the row answers the question. Of a row that was refused, or that cannot tell, a 0 would be
read as an all-clear: its place has the words and the reason. Everything comes from records, which are public.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark import __version__
from benchmark.core.errors import UsageError
from benchmark.records.columns import detectors_of
from benchmark.records.leaderboard import score_cell
from benchmark.records.ranges import ANY, range_of
from benchmark.records.record import Record, ScoreEntry
from benchmark.site.board import Board, boards_of
from benchmark.site.cards import provenance, settings_of
from benchmark.site.entry import Entry, could_show
from benchmark.site.metrics import SHORT
from benchmark.site.paper_columns import answer_cell, heading_of, line_for, remarks_of, state_of

HEADLINE = ("exposed.items", "exposed.patients")
CONFIDENCE = 0.95
SCHEMA = "0.3.0"
"""Version of every_eval_ever's schema."""
LEVELS = {"none": 0, "hold": 1}
"""Answer of a row -> its level; any other is -1, which that schema calls unknown."""


@dataclass(frozen=True)
class Headline:
    """One score of the headline."""

    id: str
    value: float | None
    """None where the row does not answer the question."""
    text: str
    """As boards show it: `0.102 [0.061, 0.148]`, `refused`."""
    score: ScoreEntry | None
    remarks: tuple[str, ...]
    is_gone: bool = False
    """Whether the whole row has no numbers: retracted, failed or declined."""

    @property
    def detector(self) -> str:
        """The detector."""
        return self.id.partition("[")[2].removesuffix("]")

    @property
    def words(self) -> str:
        """What is in the place of a number that there is not, with the reason."""
        has_number = self.score is not None and self.score.value is not None and not self.is_gone
        start = "cannot tell" if has_number else self.text
        told = "; ".join(self.remarks)
        return told if told.startswith(start.partition(" (")[0]) else ": ".join(filter(None, (start, told)))


@dataclass(frozen=True)
class Export:
    """A row with its board."""

    board: Board
    entry: Entry

    @cached_property
    def headlines(self) -> list[Headline]:
        """The headline of each detector; of a run without scores, that of `copy`, without a number."""
        detectors = detectors_of(self.entry.record) or ("copy",)
        return [self._headline(f"{name}[{detector}]") for detector in detectors for name in HEADLINE]

    def _headline(self, score: str) -> Headline:
        row, state, line = self.entry.row, state_of(self.entry), line_for(score)
        entry = row.entry(score, line.limits)
        value = entry.value if entry and not state and self.entry.answer.look in LEVELS else None
        text, remarks = state or score_cell(row, score, line), remarks_of(self.entry, score)
        return Headline(score, value, text, entry, remarks, is_gone=bool(state))

    @property
    def cohort(self) -> dict[str, str]:
        """Protocol, digest and sizes of the board."""
        return {"protocol": self.board.rules, "cohort": self.board.key, "sizes": self.board.subtitle}

    @property
    def row(self) -> dict[str, str]:
        """Answer, seeds, versions and digests of the row."""
        versions = [one.get("memobench", "") for one in provenance(self.entry)]
        commits = [one.get("commit", "") for one in provenance(self.entry)]
        return {
            "answer": answer_cell(self.entry),
            "sentence": self.entry.answer.sentence,
            "could_show": could_show(self.entry),
            "seeds": ", ".join(map(str, self.entry.row.seeds)),
            "memobench": ", ".join(dict.fromkeys(filter(None, versions))) or "unknown",
            "commit": ", ".join(dict.fromkeys(filter(None, commits))) or "unknown",
            "records": ", ".join(record.digest for record in self.entry.row.records),
        }


def export_of(records: Sequence[Record]) -> Export:
    """Return the row of some records. Raises UsageError where they are of several rows."""
    boards = boards_of(records, {}, {})
    rows = [one for board in boards for one in board.entries]
    if len(rows) != 1:
        titles = "; ".join(f"{one.title} on {one.record.cohort.name}" for one in rows)
        raise UsageError(f"these records are of {len(rows)} rows: {titles}", "export each row by a command of its own")
    return Export(boards[0], rows[0])


def export_text(records: Sequence[Record], style: str) -> str:
    """Return the export of the row of some records as text that ends with a line end. Raises UsageError.

    Args:
        records: the seeds of one row.
        style: `huggingface` or `every-eval-ever`.
    """
    return style_of(style)(export_of(records))


def style_of(style: str) -> Callable[[Export], str]:
    """Return what writes a format. Raises UsageError."""
    if style not in STYLES:
        raise UsageError(f"there is no format {style!r} for an export", f"choose {' or '.join(STYLES)}")
    return STYLES[style]


def model_card(export: Export) -> str:
    """Return the `model-index` of a model card's YAML header (`huggingface_hub.EvalResult`)."""
    from huggingface_hub import EvalResult, ModelCardData

    # Results that agree in task and data set are joined when a card is read and written: cohort and protocol have to
    # be in what is compared (`config`), or numbers of two cohorts would be under the name of one.
    results = [
        EvalResult(
            task_type="unconditional-image-generation",
            task_name="Memorisation of training patients",
            dataset_type=export.board.name,
            dataset_name=export.board.title,
            dataset_config=f"{export.board.rules}, cohort {export.board.key}",
            dataset_args=export.cohort,
            metric_type=one.id.partition("[")[0],
            metric_name=heading_of(one.id),
            metric_value=one.words if one.value is None else one.value,
            metric_args={"detector": one.detector, **dict(_measured(one)), **export.row},
        )
        for one in export.headlines
    ]
    return f"{ModelCardData(model_name=_name(export), eval_results=results).to_yaml()}\n"


def _name(export: Export) -> str:
    return export.entry.title


def _measured(one: Headline) -> Iterator[tuple[str, Any]]:
    """Yield direction and n of a score, and its interval where it has a number."""
    yield "better", "lower"
    if one.score is not None and one.score.n is not None:
        yield "n", one.score.n
    if one.value is None or one.score is None:
        return
    if one.score.low is not None and one.score.high is not None:
        yield from (("low", one.score.low), ("high", one.score.high), ("confidence", CONFIDENCE))
    yield from ((f"remark_{number}", remark) for number, remark in enumerate(one.remarks, start=1))


def every_eval_ever(export: Export) -> str:
    """Return a record of every_eval_ever, as JSON.

    Its schema has no result without a number: a headline that was refused is no result, and is named with the reason
    among the details of the source. The answer itself is a result of its own, which is unknown (-1) for such a row.
    """
    row, entry = export.row, export.entry
    identity = "-".join(record.digest[:16] or "undigested" for record in entry.row.records)
    missing = {f"missing {one.id}": one.words for one in export.headlines if one.value is None}
    told = [one for one in export.headlines if one.value is not None]
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", entry.model)
    values = {
        "schema_version": SCHEMA,
        "evaluation_id": f"memobench/{model}/{identity}",
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": f"memobench board {export.board.title}",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {**row, **missing},
        },
        "eval_library": {
            "name": "memobench", "version": row["memobench"],
            "additional_details": {"commit": row["commit"], "exported_by": __version__},
        },
        "model_info": {
            "name": entry.title,
            "id": f"memobench/{model}",
            "additional_details": {
                "deployment_type": "self_deployed", "model_availability": "unknown",
                "preset": entry.record.spec.preset,
                **{f"set {name}": text for name, text in settings_of(entry).items()},
            },
        },
        "evaluation_results": [_answer(export), *(_result(export, one) for one in told)],
    }  # fmt: skip
    return f"{json.dumps(values, indent=2)}\n"


def _base(export: Export, metric: str, about: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that all results have, and those of their metric."""
    source = {"dataset_name": export.board.name, "source_type": "other", "additional_details": export.cohort}
    result = {"evaluation_name": f"memobench.{export.board.rules}", "source_data": source}
    return result, {"metric_id": f"memobench.{metric}", "evaluation_description": about, "lower_is_better": True}


def _answer(export: Export) -> dict[str, Any]:
    result, metric = _base(export, "answer", "Were copies of training patients shown?")
    metric |= {
        "metric_name": "answer", "score_type": "levels", "level_names": ["none shown", "copies shown"],
        "has_unknown_level": True,
    }  # fmt: skip
    level = -1 if state_of(export.entry) else LEVELS.get(export.entry.answer.look, -1)
    details = {name: export.row[name] for name in ("answer", "sentence")}
    return {**result, "metric_config": metric, "score_details": {"score": level, "details": details}}


def _result(export: Export, one: Headline) -> dict[str, Any]:
    bare = one.id.partition("[")[0]
    result, metric = _base(export, bare, SHORT[bare])
    low, high = (range_of(bare) or ANY).within(export.entry.record)
    metric |= {
        "metric_name": heading_of(one.id), "metric_unit": "proportion" if bare == "exposed.items" else "patients",
        "metric_parameters": {"detector": one.detector}, "score_type": "continuous", "min_score": low,
        "max_score": high,
    }  # fmt: skip
    measured = dict(_measured(one))
    uncertainty: dict[str, Any] = {"num_samples": measured["n"]} if "n" in measured else {}
    if "low" in measured:
        ends = {"lower": measured["low"], "upper": measured["high"], "confidence_level": CONFIDENCE}
        uncertainty["confidence_interval"] = ends | {"method": f"memobench, protocol {export.board.rules}"}
    details = {**export.row, **{name: text for name, text in measured.items() if name.startswith("remark_")}}
    score = {"score": one.value, "details": details, "uncertainty": uncertainty}
    return {**result, "metric_config": metric, "score_details": score}


STYLES: dict[str, Callable[[Export], str]] = {"huggingface": model_card, "every-eval-ever": every_eval_ever}
