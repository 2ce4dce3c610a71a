"""What is known of a row beyond its numbers: whether its receipt was checked, and whether it was withdrawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmark.core.files import content_key
from benchmark.evaluation.verification import first_difference
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
    for record in records:
        standings.setdefault(key_of(record), _standing_of(record))
    return standings


def _standing_of(record: Record) -> Standing:
    if record.status == "retracted":
        return Standing(retracted=record.reason)
    if not record.receipts:
        return Standing()
    return Standing("differs" if first_difference(record) else "verified")


def joined(standings: Iterable[Standing]) -> Standing:
    """Return the standing of a row: verified where all of its records are, retracted where one of them is."""
    given = list(standings)
    receipts = {one.receipt for one in given}
    receipt: Receipt = "differs" if "differs" in receipts else "verified" if receipts == {"verified"} else ""
    return Standing(receipt, "; ".join(dict.fromkeys(one.retracted for one in given if one.retracted)))
