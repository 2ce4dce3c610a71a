"""What a command has written: a command that makes a file ends with exit code 0 only after it has named that file."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.errors import AdapterError

_named: list[Path | None] = []


def begin() -> None:
    """Forget what an earlier command of this process has named."""
    _named.clear()


def written(*paths: Path) -> None:
    """Name the files that are this command's outcome, after they were written."""
    _named.extend(paths)


def nothing_to_write() -> None:
    """Say that this call writes no file (`--dry-run`)."""
    _named.append(None)


def require_written(command: str) -> None:
    """Raise AdapterError where the command has ended without an outcome: some code has ended it early."""
    missing = [path for path in _named if path is not None and not path.exists()]
    if _named and not missing:
        return
    what = f" has not written {missing[0]}" if missing else " ended before it wrote its result"
    raise AdapterError(
        f"bench {command}{what}", "run it with --verbose, and look at the code of the models, data sets and detectors"
    )
