"""fastMRI knee: reconstructed slices in HDF5 files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cohorts.volume_datasets import Volumes, require_volume
from benchmark.core.errors import MissingDataError
from benchmark.core.types import Source
from benchmark.images.crop import Axis, from_planes
from benchmark.images.readers import Image
from benchmark.images.readers.hdf5 import opened, read
from benchmark.images.readers.image import checked

if TYPE_CHECKING:
    from h5py import File

SCANNED: Axis = "coronal"
"""The plane in which all knees of this set were scanned; `axis` can select another one."""
IMAGES = ("reconstruction_rss", "reconstruction_esc")
RECON = re.compile(r"<reconSpace>(.*?)</reconSpace>", re.DOTALL)
VALUE = re.compile(r"<(x|y|z)>\s*([0-9.eE+-]+)\s*</\1>")


@dataclass(frozen=True, kw_only=True)
class FastmriKnee(Volumes):
    """Slices (or volumes) of knee MR, one channel, uint8; the class is the acquisition, with or without fat.

    Options are those of Volumes.
    """

    axis: Axis = "coronal"
    window: str = "maximum"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the files of root/multicoil_train, singlecoil_val ... that hold reconstructions.

        Opens each file for its patient, since one may have two. Raises MissingDataError, BadDataError.
        """
        files = _files(root)
        sources = [source for file in files if (source := _source(file)) is not None]
        if not sources:
            raise MissingDataError(
                f"{root} holds no reconstruction: {len(files)} files multicoil_train/*.h5 or the like, "
                "none with reconstruction_rss or reconstruction_esc",
                "give the folder with the training and validation files: test files have raw data only",
            )
        return sources

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Name the files without images."""
        raw = [file.stem for file in _files(root) if _source(file) is None]
        return {"left out, raw data without a reconstruction": raw} if raw else {}

    def load(self, source: Source) -> Sequence[Image]:
        """Read one volume with its spacing. Raises BadDataError."""
        path = Path(source.files[0])
        image = checked(require_volume(read(path), str(path)), path, constant_ok=False, nan=self.nan)
        with opened(path) as file:
            spacing = _spacing(file, image.pixels.shape)
        volume = from_planes(image.pixels, SCANNED)
        sizes = tuple(spacing[place] for place in (2, 0, 1)) if spacing else ()
        return [Image(volume, sizes, remarks=image.remarks)]


def _files(root: Path) -> list[Path]:
    return sorted(file for file in (*root.glob("*.h5"), *root.glob("*/*.h5")) if not file.name.startswith("."))


def _source(path: Path) -> Source | None:
    with opened(path) as file:
        if not any(name in file for name in IMAGES):
            return None
        patient, acquisition = (str(file.attrs.get(name, "")) for name in ("patient_id", "acquisition"))
    group = path.parent.name.rpartition("_")[2]
    return Source(
        subject=patient or path.stem,
        name=path.stem,
        files=(str(path),),
        label=acquisition or None,
        group=group if group in ("train", "val") else "",
    )


def _spacing(file: File, shape: Sequence[int]) -> tuple[float, ...]:
    """Return mm between slices, rows, columns, from the header's field of view; empty where it is not there."""
    header = file["ismrmrd_header"][()] if "ismrmrd_header" in file else b""
    recon = RECON.search(header.decode(errors="replace") if isinstance(header, bytes) else str(header))
    view = (
        {axis: float(value) for axis, value in VALUE.findall(recon[1].partition("fieldOfView_mm")[2])} if recon else {}
    )
    if set(view) != {"x", "y", "z"}:
        return ()
    return (view["z"], view["y"] / shape[1], view["x"] / shape[2])
