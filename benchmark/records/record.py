"""record.json: all that a board needs from a run, validated when written and when read. No pixels, no patient ids."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.core.errors import BadDataError
from benchmark.core.files import read_json
from benchmark.core.sealed import require_unchanged, write_sealed_json
from benchmark.core.types import Direction, Score
from benchmark.records.columns import impossible

SCHEMA: Literal[1] = 1
PROTOCOL = "p2"

Finite = Annotated[float, Field(allow_inf_nan=False)]


PathPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Boards are files named after these: a submitted record must not choose another folder."""


class PublicModel(BaseModel):
    """A part of a public file: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ScoreEntry(PublicModel):
    """One number of a record; `reason` says why there is no value, or what weakens it."""

    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    n: int | None = None
    direction: Direction = "none"
    reason: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.value is None and not self.reason:
            raise ValueError("a score without a value needs a reason")
        ends = (self.low, self.value, self.high)
        if None not in ends and list(ends) != sorted(ends):  # type: ignore[type-var]
            raise ValueError(f"the value {self.value} is outside its interval [{self.low}, {self.high}]")
        return self


class Spec(PublicModel):
    """The configuration of a run."""

    model: str
    preset: str
    settings: dict[str, Any]
    """Every hyper-parameter of the adapter, defaults included."""
    changed: dict[str, Any] = {}
    """Those of `settings` that differ from the preset's: a board shows them."""
    data: str
    data_options: dict[str, Any]
    split: Literal["patients", "official", "images"] = "patients"
    split_seed: int = 0
    train_items: int | None = None
    train_patients: int | None = None
    repeat: int = 1
    """How often the images of a share of the training patients were in the training set."""
    repeat_share: float | None = None
    trained_on: Literal["here", "split", "list", "unknown"] = "here"
    """Whether the model was trained by this run; if not, what its owner says of whom it has seen."""
    samples: int
    seed: int
    budget_seconds: float | None = None


class CohortFacts(PublicModel):
    """Sizes of the cohort, and the digest that groups records into boards."""

    name: PathPart
    key: PathPart
    shape: tuple[int, ...]
    channels: tuple[str, ...]
    spacing_mm: tuple[float, ...]
    items: dict[str, int]
    """Items per split."""
    patients: dict[str, int]
    """Patients per split."""
    notes: tuple[str, ...] = ()


class Record(PublicModel):
    """One run: its scores, or the reason why there are none."""

    schema_number: Literal[1] = Field(default=SCHEMA, alias="schema")
    protocol: PathPart = PROTOCOL
    status: Literal["done", "declined", "failed"] = "done"
    reason: str = ""
    """Why a run was declined or failed, in a few words."""
    spec: Spec
    cohort: CohortFacts
    scores: dict[str, ScoreEntry]
    replicates: dict[str, tuple[Finite, ...]] = {}
    """Replicates of an exposed share, one per draw of weights: every model of a cohort gets the same draws."""
    cost: dict[str, Finite]
    environment: dict[str, Any]
    isolation: Literal["process", "none"] = "none"
    """Whether the model was in a process of its own, which had the training items and nothing else of the cohort."""
    hashes: dict[str, str]

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.status != "done" and not self.reason:
            raise ValueError(f"a run that was {self.status} needs a reason")
        if wrong := impossible(self):
            raise ValueError(wrong)
        return self

    def write(self, path: Path) -> None:
        """Write it whole, with its digest next to it."""
        write_sealed_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check.

        Raises DamagedError where the file has changed since it was written, BadDataError naming what else is wrong.
        """
        values = read_json(require_unchanged(path, "evaluate the run again with this version: bench evaluate RUN"))
        if isinstance(values, dict) and values.get("schema") != SCHEMA:
            raise BadDataError(
                f"{path} is of record schema {values.get('schema')!r}; this version reads schema {SCHEMA}",
                "evaluate the run again with this version: bench evaluate RUN",
            )
        if isinstance(values, dict) and values.get("protocol") == "p1":
            raise BadDataError(
                f"{path} is of protocol p1, whose headline saw few copies and is no longer used",
                "evaluate its run again: bench evaluate RUN, or for a run of an older version: bench run",
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "record"
            raise BadDataError(
                f"{path} is not a valid record: {place}: {first['msg']}", "evaluate the run again"
            ) from None


def entries(scores: dict[str, Score]) -> dict[str, ScoreEntry]:
    """Convert scores to record entries; a value that is not finite becomes no value, with the reason."""
    return {name: _entry(score) for name, score in scores.items()}


def _entry(score: Score) -> ScoreEntry:
    if score.value is None or not math.isfinite(score.value):
        return ScoreEntry(value=None, n=score.n, direction=score.direction, reason=score.reason or "not finite")
    if any(end is not None and not math.isfinite(end) for end in (score.low, score.high)):
        score = replace(
            score, low=None, high=None, reason="; ".join(filter(None, (score.reason, "no finite interval")))
        )
    return ScoreEntry(**vars(score))
