"""Records that are on no board, as the public front page names them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.core.progress import printable
from benchmark.records.collecting import Refused

SUBMITTED = "records"
"""Folder of submitted records: their names are digests, or were public already."""


def left_out(refused: Sequence[Refused], others: Iterable[Path]) -> list[tuple[str, str]]:
    """Return (name, reason) of each file that is left out, without the folders of this machine.

    Args:
        refused: the files, with reasons that may name each other or `others`.
        others: further files that were looked at.
    """
    paths = [*(one.path for one in refused), *others]
    names = {printable(str(path)): public_file(path) for path in sorted(paths, key=lambda path: -len(str(path)))}
    lines = []
    for one in refused:
        reason = one.reason
        for path, name in names.items():
            reason = reason.replace(path, name)
        lines.append((public_file(one.path), reason))
    return lines


def public_file(path: Path) -> str:
    """Return the name of a submitted record; of any other file what it is: folders of runs may have private names."""
    if path.parent.name == SUBMITTED:
        return printable(path.name)
    return "a record of a run here" if path.name == "record.json" else "an audit of detectors here"
