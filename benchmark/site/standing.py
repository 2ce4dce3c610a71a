"""What is known of a row beyond its numbers: whether its receipt was checked, and whether it was withdrawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmark.core.files import content_key
from benchmark.core.forks import each
from benchmark.evaluation.verification import contradictions
from benchmark.records.record import Record

Receipt = Literal["", "verified", "differs"]


@dataclass(frozen=True)
class Standing:
    """The standing of one record, or of a row over all its records."""

    receipt: Receipt = ""
    """Whether the numbers were computed again from the record's receipt; empty where nobody has done so."""
    retracted: str = ""
    """Why the record was withdrawn; empty while it stands."""


def key_of(record: Record) -> str:
    """Return the key of a record among standings: a digest of its configuration, cohort and measured files."""
    return content_key(record.model_dump(mode="json", include={"protocol", "spec", "cohort", "hashes"}))


def standings_of(records: Iterable[Record]) -> dict[str, Standing]:
    """Return the standing of each record; of two with one key (a copy of one that is gone) that of the first."""
    standings: dict[str, Standing] = {}
    for key, standing in each(_standing_of, list(records)):
        standings.setdefault(key, standing)
    return standings


def _standing_of(record: Record) -> tuple[str, Standing]:
    if record.status == "retracted":
        standing = Standing(retracted=record.reason)
    elif not record.receipts:
        standing = Standing()
    else:
        wrong = not record.digest or any(contradictions(record))
        standing = Standing("differs" if wrong else "verified")
    return key_of(record), standing


def joined(standings: Iterable[Standing]) -> Standing:
    """Return the standing of a row: verified where all of its records are, retracted where one of them is."""
    given = list(standings)
    receipts = {one.receipt for one in given}
    receipt: Receipt = "differs" if "differs" in receipts else "verified" if receipts == {"verified"} else ""
    return Standing(receipt, "; ".join(dict.fromkeys(one.retracted for one in given if one.retracted)))
