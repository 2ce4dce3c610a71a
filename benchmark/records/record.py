"""record.json: all that a board needs from a run, validated when written and when read. No pixels, no patient ids."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.core.errors import BadDataError
from benchmark.core.files import content_key, write_json
from benchmark.core.sealed import seals, write_sealed_json
from benchmark.core.stages import require_entered
from benchmark.core.types import Direction, Score
from benchmark.records.public_model import LISTED, Finite, Positive, PublicModel
from benchmark.records.ranges import impossible
from benchmark.records.reading import read_public_json, readable
from benchmark.records.receipt import Receipt
from benchmark.records.strict_text import Digest, Key, Name, PathPart, Plain, ScoreId, Text, one_line

SCHEMA: Literal[1] = 1
PROTOCOL = "p2"

SplitName = Annotated[str, Field(pattern="^(train|calibration|test)$")]


class ScoreEntry(PublicModel):
    """One number of a record; `reason` says why there is no value, or what weakens it."""

    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    n: Annotated[int, Field(ge=0)] | None = None
    direction: Direction = "none"
    reason: Text = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.value is None and not self.reason:
            raise ValueError("a score without a value needs a reason")
        ends = [end for end in (self.low, self.value, self.high) if end is not None]
        if self.value is None and ends:
            raise ValueError("an interval without a value")
        if ends != sorted(ends):
            raise ValueError(f"the value {self.value} is outside its interval [{self.low}, {self.high}]")
        return self


class Spec(PublicModel):
    """The configuration of a run."""

    model: Name
    preset: Name
    settings: dict[Name, Plain]
    """Every hyper-parameter of the adapter, defaults included."""
    changed: dict[Name, Plain] = Field(default={})
    """Those of `settings` that differ from the preset's: a board shows them."""
    data: Name
    data_options: dict[Name, Plain]
    split: Literal["patients", "official", "images"] = "patients"
    split_seed: Annotated[int, Field(ge=0)] = 0
    train_items: Positive | None = None
    train_patients: Positive | None = None
    repeat: Positive = 1
    """How often the images of a share of the training patients were in the training set."""
    repeat_share: Annotated[float, Field(gt=0, le=1)] | None = None
    trained_on: Literal["here", "split", "list", "unknown"] = "here"
    """Whether the model was trained by this run; if not, what its owner says of whom it has seen."""
    samples: Positive
    seed: Annotated[int, Field(ge=0)]
    budget_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class CohortFacts(PublicModel):
    """Sizes of the cohort, and the digest that groups records into boards."""

    name: PathPart
    key: Key
    shape: Annotated[tuple[Positive, ...], LISTED]
    channels: Annotated[tuple[Name, ...], LISTED]
    spacing_mm: Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], LISTED]
    items: dict[SplitName, Annotated[int, Field(ge=0)]]
    """Items per split."""
    patients: dict[SplitName, Annotated[int, Field(ge=0)]]
    """Patients per split."""
    notes: Annotated[tuple[Text, ...], LISTED] = ()

    @model_validator(mode="after")
    def _agreeing(self) -> Self:
        if "train" not in self.items or set(self.items) != set(self.patients):
            raise ValueError("items and patients need the same splits, and train among them")
        for name, patients in self.patients.items():
            if patients > self.items[name]:
                raise ValueError(f"{name} has {patients} patients, and {self.items[name]} items")
        return self


class Record(PublicModel):
    """One run: its scores, or the reason why there are none."""

    schema_number: Literal[1] = Field(default=SCHEMA, alias="schema")
    protocol: PathPart = PROTOCOL
    status: Literal["done", "declined", "failed", "retracted"] = "done"
    reason: Text = ""
    """Why a run was declined or failed, or its record retracted, in a few words."""
    spec: Spec
    cohort: CohortFacts
    scores: dict[ScoreId, ScoreEntry]
    replicates: dict[ScoreId, Annotated[tuple[Finite, ...], LISTED]] = Field(default={})
    """Replicates of an exposed share, one per draw of weights: every model of a cohort gets the same draws."""
    cost: dict[Name, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    environment: dict[Name, Plain]
    isolation: Literal["process", "none"] = "none"
    """Whether the model was in a process of its own, which had the training items and nothing else of the cohort."""
    hashes: dict[Name, Digest]
    receipts: dict[Name, Receipt] = Field(default={})
    """By detector: what `bench leaderboard verify` computes the headline from."""
    digest: Digest = ""
    """SHA-256 of all the rest (`content_digest`)."""

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.status != "done" and not self.reason:
            raise ValueError(f"a run that was {self.status} needs a reason")
        if self.status != "done" and (self.scores or self.replicates or self.receipts):
            raise ValueError(f"a run that was {self.status} has no scores")
        if self.protocol == PROTOCOL and (departs := _departure(self.spec)):
            raise ValueError(f"protocol {PROTOCOL} and {departs}: such a record is custom")
        if wrong := impossible(self):
            raise ValueError(wrong)
        return self

    @property
    def content_digest(self) -> str:
        """SHA-256 of all fields but `digest`; fields that have their default, as those of later versions, are none."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"digest"}, exclude_defaults=True)
        return content_key(content, length=64)

    def sealed(self) -> Self:
        """Return the same record with its digest."""
        return self.model_copy(update={"digest": self.content_digest})

    def retracted(self, reason: str) -> Self:
        """Return the record of the same run without its numbers: a board keeps the row, and says why."""
        gone = {"status": "retracted", "reason": reason, "scores": {}, "replicates": {}, "receipts": {}}
        return self.model_validate({**self.model_dump(by_alias=True), **gone}).sealed()

    def write(self, path: Path) -> None:
        """Write it whole, with its digest next to it."""
        write_sealed_json(path, self.model_dump(mode="json", by_alias=True))

    def submit(self, path: Path) -> None:
        """Write it whole and alone: a digest next to it would be a second file to submit, and its own is in it."""
        write_json(path, self.model_dump(mode="json", by_alias=True))

    def replace(self, path: Path) -> None:
        """Write it in place of another record, with a digest next to it where that one has it."""
        (self.write if seals(path) else self.submit)(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check.

        Raises DamagedError where the file has changed since it was written, or is in a run folder and not what that run
        has written; BadDataError naming what else is wrong.
        """
        with readable(path):
            if path.is_file():
                require_entered(path, f"evaluate the run again: bench evaluate {path.parent}")
        values = read_public_json(path, advice="evaluate the run again with this version: bench evaluate RUN")
        given = values.get("schema") if isinstance(values, dict) else SCHEMA
        if type(given) is not int or given != SCHEMA:  # True and 1.0 equal 1
            raise BadDataError(
                f"{path} is of record schema {one_line(repr(given))[:40]}; this version reads schema {SCHEMA}",
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
            raise BadDataError(
                f"{path} is not a valid record: {first_fault(error)}", "evaluate the run again"
            ) from None


def first_fault(error: ValidationError) -> str:
    """Return the first place that does not fit, and why."""
    first = error.errors()[0]
    place = one_line(".".join(str(part)[:LONGEST_PLACE] for part in first["loc"]))
    return f"{place or 'record'}: {first['msg']}"


LONGEST_PLACE = 60
"""Characters of one part of a place: it comes from the file."""


def _departure(spec: Spec) -> str:
    """Return in what a configuration departs from the protocol; else nothing."""
    if spec.split != "patients":
        return f"the split {spec.split}"
    if spec.split_seed:
        return f"the split seed {spec.split_seed}"
    if spec.repeat != 1:
        return f"images that were repeated {spec.repeat} times"
    return "unknown training data" if spec.trained_on == "unknown" else ""


def entries(scores: dict[str, Score]) -> dict[str, ScoreEntry]:
    """Convert scores to record entries; a value that is not finite becomes no value, with the reason."""
    return {name: _entry(score) for name, score in scores.items()}


def _entry(score: Score) -> ScoreEntry:
    n = None if score.n is None else int(score.n)  # NumPy's integers are none for a strict schema
    reason = one_line(score.reason)
    if score.value is None or not math.isfinite(score.value):
        return ScoreEntry(value=None, n=n, direction=score.direction, reason=reason or "not finite")
    low, high = score.low, score.high
    if any(end is not None and not math.isfinite(end) for end in (low, high)):
        low, high, reason = None, None, "; ".join(filter(None, (reason, "no finite interval")))
    ends = {"low": low, "value": score.value, "high": high}
    numbers = {name: None if end is None else float(end) for name, end in ends.items()}
    return ScoreEntry(**numbers, n=n, direction=score.direction, reason=reason)
