"""The synthetic set without the samples to withhold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.adapters.sampling import Samples
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import atomic_write
from benchmark.core.sealed import require_intact
from benchmark.core.stages import require_entered, written_digests
from benchmark.records.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from benchmark.core.types import Array

AGAIN = "run it again: bench run"
WITHHOLD = "withhold["


def write_release(folder: Path, out: Path) -> str:
    """Write the samples of a run that no detector withholds, and return how many, in words.

    Grey images of 8 bits become PNG files, all others .npy files of shape (C, *spatial), named by the samples' numbers.
    Raises BadDataError where the headline of any detector is refused, UsageError where the folder is not empty.
    """
    import pandas as pd

    record = Record.read(folder / "record.json")
    _require_scored(record, folder)
    require_empty(out)
    matches = pd.read_parquet(require_entered(require_intact(folder / "matches.parquet", AGAIN), AGAIN))
    kept = np.flatnonzero(~withheld(matches))
    samples = Samples.open(folder / "samples", record.spec.samples, written_digests(folder, "sample"))
    with atomic_write(out) as part:
        part.mkdir(parents=True)
        for number in kept:
            _write(part / f"sample-{number:06d}", samples.stored(np.array([number]))[0])
    return f"{len(kept)} of {record.spec.samples} samples; {record.spec.samples - len(kept)} are withheld"


def require_empty(out: Path) -> None:
    """Raise UsageError where a folder for a release holds anything, or is a file."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty", "give a new folder: old samples would mix with these")


def withheld(matches: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which samples (N,) any detector withholds, by the table of a run."""
    columns = [name for name in matches.columns if name.startswith(WITHHOLD)]
    return np.asarray(matches[columns].to_numpy(dtype=bool).any(axis=1))


def _require_scored(record: Record, folder: Path) -> None:
    """A set whose exposure could not be measured is not released: a list of nothing would look like an all-clear."""
    for name, score in record.scores.items():
        if name.startswith("exposed.items[") and score.value is None:
            raise BadDataError(
                f"nothing is released from {folder}: {name}: {score.reason}",
                "a release needs a headline that is scored",
            )


def _write(path: Path, image: Array) -> None:
    if image.dtype == np.uint8 and image.ndim == 3 and len(image) == 1:
        from PIL import Image

        Image.fromarray(image[0]).save(path.with_suffix(".png"))
    else:
        np.save(path.with_suffix(".npy"), image)
