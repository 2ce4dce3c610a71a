"""Boards and sites of records that tests have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmark.records.record import Record
from benchmark.site import build
from benchmark.site.board import boards_of
from benchmark.site.standing import Standing


def table_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return the only board as text."""
    (board,) = boards_of(records, {}, {})
    return board.table


def write_boards(records: Sequence[Record], out: Path) -> list[Path]:
    """Write the tables of all boards, and return their paths."""
    return build.write_boards(boards_of(records, {}, {}), out)


def build_site(
    records: Sequence[Record],
    folder: Path,
    *,
    standings: Mapping[str, Standing] | None = None,
    left_out: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the site of all boards, and return its front page."""
    return build.build_site(boards_of(records, standings or {}, {}), folder, left_out=left_out)
