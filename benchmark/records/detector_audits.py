"""audit.json: the measured errors of detectors on one cohort, checked when written and when read."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from benchmark.core.errors import BadDataError
from benchmark.core.files import read_json
from benchmark.core.percent import percent
from benchmark.core.sealed import require_unchanged, write_sealed_json
from benchmark.records.columns import value_text, with_interval
from benchmark.records.record import PROTOCOL, CohortFacts, PublicModel, ScoreEntry

SCHEMA: Literal[1] = 1
RECALL, AUC = "detector.recall.", "detector.auc."
"""Prefixes of the scores of one kind of planted copy, such as `detector.recall.rotate[15 deg]`."""
CLAIMED = 0.95
"""Recall at tau that an invariance which a detector claims should have."""


SEEING = 0.99
"""Least share of unchanged planted copies that a detector has to find: a working one finds all but images of zero
variance."""


class AuditedDetector(PublicModel):
    """One detector's options and scores: those of its first seed, except the scores that compare seeds."""

    options: dict[str, Any]
    seeds: int
    claims: tuple[str, ...]
    scores: dict[str, ScoreEntry]

    def blind(self) -> str:
        """Return why the detector is refused, or nothing: unchanged copies have to be found."""
        exact = self.scores.get(f"{RECALL}exact")
        return "" if exact is None or exact.value is None or exact.value >= SEEING else blind_reason(exact.value)

    def broken(self) -> list[str]:
        """Return the claimed kinds of copy whose recall is below CLAIMED."""
        recalls = {claim: self.scores[RECALL + claim].value for claim in self.claims}
        return [claim for claim, recall in recalls.items() if recall is not None and recall < CLAIMED]


class AuditFile(PublicModel):
    """The whole file: every detector that was audited on one cohort."""

    schema_number: Literal[1] = Field(default=SCHEMA, alias="schema")
    protocol: str = PROTOCOL
    cohort: CohortFacts
    detectors: dict[str, AuditedDetector]
    environment: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write atomically."""
        write_sealed_json(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check. Raises BadDataError naming the file and the first thing that is wrong."""
        try:
            return cls.model_validate(read_json(require_unchanged(path)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise BadDataError(
                f"{path} is not a valid audit: {place}: {first['msg']}", "make it again: bench detectors check"
            ) from None

    def sentence(self) -> str:
        """Return the sentence below a board about the audit."""
        parts = []
        for name, audited in self.detectors.items():
            wrong, mean = (audited.scores[line] for line in ("detector.false_positives", "detector.recall_mean"))
            if audited.blind():
                parts.append(f"{name} is refused, because {audited.blind()}")
                continue
            parts.append(f"{name} finds {value_text(mean)} of planted copies, false positives {with_interval(wrong)}")
        return "Audit of the detectors on this cohort: " + "; ".join(parts) + "."


def blind_reason(recall: float) -> str:
    """Return the end of a sentence that refuses a detector with this recall of unchanged copies."""
    return (
        f"it finds {percent(recall)} of unchanged copies of training images (at least {percent(SEEING, 0)} are needed)"
    )


def collect_audits(place: Path) -> dict[str, list[str]]:
    """Read every audit.json below a folder: cohort key -> sentences for boards of that cohort. Raises BadDataError."""
    sentences = defaultdict(list)
    for path in sorted(place.glob("**/audit.json")):
        audit = AuditFile.read(path)
        sentences[audit.cohort.key].append(audit.sentence())
    return sentences
