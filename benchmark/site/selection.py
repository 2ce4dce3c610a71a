"""One board from a folder of records, chosen by its cohort and protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.records.collecting import Refused, gather
from benchmark.records.history import gone_rows
from benchmark.records.leaderboard import boards
from benchmark.records.record import Record
from benchmark.site.board import Board, boards_of
from benchmark.site.standing import standings_of

SHORTEST = 6
"""Characters of a cohort's digest that are enough to name it; messages show 8."""


def board_of(folder: Path, cohort: str | None = None, protocol: str | None = None) -> tuple[Board, tuple[Refused, ...]]:
    """Return a board, and the files of the folder that are left out.

    Args:
        folder: of records, or of boards with their records.
        cohort: its name, or the beginning of its digest; not needed where there is one board only.
        protocol: such as `p2`, or what is there in its place, such as `custom-official`.

    The receipts of the board's records are computed again. Rows whose record is gone are there as on the site. Raises
    UsageError where there is no record, and no board or more than one with this cohort and protocol.
    """
    gathered = gather([folder])
    home = folder.parent if folder.absolute().name == "records" else folder
    records = choose([*gathered.records.values(), *gone_rows(gathered.records, home)], cohort, protocol)
    (board,) = boards_of(records, standings_of(records), {})
    return board, gathered.refused


def choose(records: Sequence[Record], cohort: str | None, protocol: str | None) -> list[Record]:
    """Return the records of the one board that fits. Raises UsageError listing those that there are."""
    every = boards(records)
    fitting = {
        (name, key, rules): group
        for (name, key, rules), group in every.items()
        if _is_cohort(cohort, name, key) and protocol in (None, rules)
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise UsageError(
            f"there are {len(fitting)} boards: {_listed(fitting)}", "choose one: --cohort KEY --protocol NAME"
        )
    asked = [f"--{name} {given!r}" for name, given in (("cohort", cohort), ("protocol", protocol)) if given is not None]
    raise UsageError(f"there is no board with {' and '.join(asked)}", f"there are: {_listed(every) or 'none'}")


def _is_cohort(asked: str | None, name: str, key: str) -> bool:
    return asked is None or asked == name or (len(asked) >= SHORTEST and key.startswith(asked))


def _listed(places: Iterable[tuple[str, str, str]]) -> str:
    return "; ".join(f"{name} ({key[:8]}), protocol {rules}" for name, key, rules in places)
