"""Synthetic images on disk, generated in chunks with a seed each: an interrupted generation resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError, DamagedError, UsageError
from benchmark.core.progress import progress, to_stderr
from benchmark.core.sealed import digest, is_intact, remove_sealed, require_intact, sealed_write
from benchmark.core.seeding import derive_seed
from benchmark.core.types import HasNumberedImages, Sampler, chunks, to_images, to_pixels
from benchmark.images.sample_checks import taken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.cohorts.captions import Prompts
    from benchmark.core.types import Array, Images, Split

CHUNK = 250
"""Images per file."""
AGAIN = "run it again: bench run"
PROMPTED = "prompts.parquet"
"""Next to the chunks of a text-to-image model: whose caption each sample was asked with. Numbers only, no text."""


def draw(
    adapter: Sampler,
    count: int,
    like: Split,
    *,
    folder: Path,
    seed: int,
    name: str,
    prompts: Prompts | None = None,
) -> None:
    """Write count images to folder as chunk-00000.npy ..., in the pixel type of the cohort (uint8 or float32).

    Chunk k has its own seed, a function of (seed, k); existing chunks are kept. Where the images exist already (adapter
    `folder`), the first `count` are taken. A text-to-image model gets `prompts`, one per sample; which item of the
    cohort each belongs to is written before the first image.

    Raises AdapterError for images that `taken` refuses, UsageError where there are fewer
    images than requested, BadDataError where the samples that exist were asked with other prompts.
    """
    if isinstance(adapter, HasNumberedImages) and adapter.available() < count:
        raise UsageError(
            f"{count} samples were asked for, and {name} holds {adapter.available()} images",
            f"give --samples {adapter.available()}, or more images",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if prompts is not None:
        _write_prompted(folder / PROMPTED, prompts)
    texts = None if prompts is None else prompts.texts
    numbered = list(enumerate(chunks(count, CHUNK)))
    _remove_strangers(folder, len(numbered))
    missing = [(number, part) for number, part in numbered if not is_intact(_chunk(folder, number))]
    done = count - sum(part.stop - part.start for _, part in missing)
    if missing and done:
        to_stderr(f"sample {name}: resuming at sample {done} of {count}")
    with progress(f"sample {name}", count, done) as advance:
        for number, part in missing:
            images = taken(_batches(adapter, part, derive_seed(seed, number), texts), part, like.shape, name)
            with sealed_write(_chunk(folder, number)) as temporary, temporary.open("wb") as file:
                np.save(file, to_pixels(images, like.pixels.dtype))
            advance(part.stop - part.start)


def _chunk(folder: Path, number: int) -> Path:
    return folder / f"chunk-{number:05d}.npy"


def _remove_strangers(folder: Path, chunk_count: int) -> None:
    """Delete chunks that this count of samples does not have: of an earlier, longer set, or from elsewhere."""
    expected = {_chunk(folder, number) for number in range(chunk_count)}
    for path in folder.glob("chunk-*"):
        if path not in expected:
            remove_sealed(path)


def _batches(adapter: Sampler, part: slice, seed: int, prompts: Sequence[str] | None) -> Iterator[Images]:
    if isinstance(adapter, HasNumberedImages):
        return adapter.numbered(part)
    return adapter.sample(part.stop - part.start, seed=seed, prompts=None if prompts is None else prompts[part])


def _write_prompted(path: Path, prompts: Prompts) -> None:
    """Write whose caption each sample is asked with; a file that exists must say the same."""
    import pandas as pd

    kept = prompted_rows(path.parent)
    if kept is not None:
        if not np.array_equal(kept, prompts.rows):
            raise BadDataError(
                f"the samples in {path.parent} were begun with other prompts: captions of the data set have changed",
                "delete that folder, and run again",
            )
        return
    side = np.where(prompts.in_train, "train", "held-out")
    with sealed_write(path) as temporary:
        pd.DataFrame({"sample": np.arange(len(side)), "row": prompts.rows, "side": side}).to_parquet(
            temporary, index=False
        )


def prompted_rows(folder: Path) -> NDArray[np.int64] | None:
    """Return the item whose caption each of N samples was asked with, (N,), where they were asked with captions.

    An item's row is its position in train, calibration and test, in this order.
    """
    import pandas as pd

    path = folder / PROMPTED
    return pd.read_parquet(require_intact(path, AGAIN))["row"].to_numpy(dtype=np.int64) if path.exists() else None


@dataclass(frozen=True)
class Samples:
    """Images in chunk files, read on demand."""

    files: Sequence[Path]
    count: int
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of each chunk by its name, as the stage that drew it noted it; empty: the seal next to it is enough."""

    @classmethod
    def open(cls, folder: Path, count: int, digests: Mapping[str, str] | None = None) -> Samples:
        """Open what `draw` wrote.

        Raises DamagedError where chunks are missing, have changed, or do not hold so many images.
        """
        files = [_chunk(folder, number) for number in range(len(list(chunks(count, CHUNK))))]
        held = sum(len(_open(file, digests or {})) for file in files)
        more = _chunk(folder, len(files))
        if held != count or more.exists():
            shown = f"{held} samples" if held != count else f"more than {held} samples ({more.name})"
            raise DamagedError(f"{folder} holds {shown}, and {count} were drawn", AGAIN)
        return cls(files, count, digests or {})

    def __len__(self) -> int:
        return self.count

    def images(self, index: slice | NDArray[np.int64] = slice(None)) -> Images:
        """Return the images at these positions, (n, C, *spatial), float32 in [-1, 1]."""
        return to_images(self.stored(index))

    def stored(self, index: slice | NDArray[np.int64] = slice(None)) -> Array:
        """Return the images at these positions as they are stored, (n, C, *spatial): uint8 grey levels, or float32."""
        positions = np.arange(self.count)[index]
        stored = _open(self.files[0], self.digests)
        images = np.empty((len(positions), *stored.shape[1:]), dtype=stored.dtype)
        for number in np.unique(positions // CHUNK):
            here = positions // CHUNK == number
            images[here] = _open(self.files[number], self.digests)[positions[here] % CHUNK]
        return images


def _open(file: Path, digests: Mapping[str, str]) -> Array:
    """Memory-map a chunk. Raises DamagedError where it has changed since it was written, even since the last call."""
    # A model is loaded while its samples are evaluated: it can replace them with a new seal, not what is in memory.
    if digests and digest(require_intact(file, AGAIN)) != digests.get(file.name):
        raise DamagedError(f"{file} is not what the model drew: something has replaced it, with a new digest", AGAIN)
    stored: Array = np.load(require_intact(file, AGAIN), mmap_mode="r", allow_pickle=False)
    return stored
