"""The curve of a watched training as a table and as a Parquet file: one row per look, numbers only."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import BadDataError
from benchmark.core.sealed import require_intact, sealed_write, seals
from benchmark.evaluation.watch import Look

if TYPE_CHECKING:
    import pandas as pd


def table(looks: list[Look]) -> pd.DataFrame:
    """Return one row per look; columns are the fields of `Look`, and `exposed`."""
    import pandas as pd

    names = [field.name for field in fields(Look)]
    return pd.DataFrame([{**asdict(look), "exposed": look.exposed} for look in looks], columns=[*names, "exposed"])


def write_curve(path: Path, looks: list[Look]) -> None:
    """Write one row per look."""
    with sealed_write(path) as temporary:
        table(looks).to_parquet(temporary, index=False)


def read_curve(path: Path) -> list[Look]:
    """Read what `write_curve` wrote; a file that is not there has no looks. Raises BadDataError for another file."""
    import pandas as pd

    if not path.exists():
        return []
    if not seals(path):
        raise BadDataError(f"{path} is no curve of a watched training", "name another file, or delete it")
    try:
        rows = (
            pd.read_parquet(require_intact(path, "delete it, or name another file"))
            .drop(columns="exposed")
            .to_dict("records")
        )
        return [Look(**{str(name): _known(value) for name, value in row.items()}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataError(f"{path} is no curve of a watched training", "name another file, or delete it") from error


def _known(value: Any) -> Any:
    """Return None for the NaN that a table has in place of it."""
    return None if value is None or value != value else value
