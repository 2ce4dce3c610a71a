"""Rows that were once on a board stay: history.json has what was run, so that a record that is gone leaves its row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from benchmark.core.errors import BadDataError
from benchmark.core.files import content_key, write_json
from benchmark.records.collecting import run_of
from benchmark.records.reading import read_public_json
from benchmark.records.record import Record, first_fault

HISTORY = "history.json"
LARGEST_HISTORY = 2**27
"""Bytes; a row takes about two thousand."""
GONE = "the record is no longer there, and nobody said why"


def with_history(records: Mapping[Path, Record], out: Path) -> tuple[list[Record], list[str]]:
    """Return the records, and for each submitted one that was there before and is gone a row that says so.

    Args:
        records: by file; those in a folder `records` are submitted, and kept in the history.
        out: the folder of boards, with the history.

    The second list names what is gone. Raises BadDataError for a history that cannot be read.
    """
    submitted, before = _submitted(records), _read(out / HISTORY)
    gone = [record for key, record in before.items() if key not in submitted]
    if submitted.keys() - before.keys():
        rows = {key: _stripped(record) for key, record in {**before, **submitted}.items()}
        write_json(out / HISTORY, {key: row.model_dump(mode="json", by_alias=True) for key, row in rows.items()})
    return [*records.values(), *gone], [_name(record) for record in gone]


def gone_rows(records: Mapping[Path, Record], out: Path) -> list[Record]:
    """Return the rows of records that were there before and are gone, as `with_history`, and write nothing."""
    submitted = _submitted(records)
    return [record for key, record in _read(out / HISTORY).items() if key not in submitted]


def _submitted(records: Mapping[Path, Record]) -> dict[str, Record]:
    return {_key(record): record for path, record in records.items() if path.parent.name == "records"}


def _key(record: Record) -> str:
    return content_key(run_of(record), length=32)


def _stripped(record: Record) -> Record:
    kept = {"environment": {}, "cost": {}, "hashes": record.hashes}
    return record.model_copy(update=kept).retracted(GONE)


def _name(record: Record) -> str:
    return f"{record.spec.model} {record.spec.preset}, seed {record.spec.seed}, on {record.cohort.name}: {GONE}"


def _read(path: Path) -> dict[str, Record]:
    if not path.exists():
        return {}
    try:
        values = read_public_json(path, LARGEST_HISTORY)
        return {key: Record.model_validate(value) for key, value in values.items()}
    except (AttributeError, ValidationError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else "it is no table"
        raise BadDataError(
            f"{path} is not a valid history of the boards: {why}", "restore it, such as with git checkout"
        ) from None
