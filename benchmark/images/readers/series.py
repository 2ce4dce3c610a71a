"""Folders of DICOM files as volumes: planes grouped by series, ordered by their position in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import LPS_TO_RAS, canonical
from benchmark.images.readers.dicom import Frame, read_frames
from benchmark.images.readers.image import Image, checked

if TYPE_CHECKING:
    from benchmark.core.types import Array

FEWEST = 4
"""Series of fewer planes are scouts, not volumes."""
SAME_POSITION = 1e-3
"""Millimetres: planes that are closer are at one position."""
UNEVEN = 0.1
"""Fraction of the median step by which steps between planes may differ: scanners round positions."""


@dataclass(frozen=True)
class Series:
    """The volumes of a folder."""

    volumes: tuple[Image, ...]
    """(x, y, z) in RAS+, in the order of the scanner's series numbers."""
    scouts: int
    """How many series were left out, because they have too few planes."""
    head: bool
    """Whether one of the volumes is of the head."""


def read_series(files: Sequence[Path]) -> Series:
    """Read every file once and stack the planes of each series.

    Planes are sorted by ImagePositionPatient along their normal; where that is missing, by SliceLocation or
    InstanceNumber, and the volume is taken as axial, its spacing unknown. Raises BadDataError for mixed matrix sizes,
    planes at one position, gaps, and whatever `dicom.read_frames` refuses.
    """
    groups: dict[tuple[object, ...], list[Frame]] = {}
    for path in files:
        for frame in read_frames(path):
            groups.setdefault(_group(frame), []).append(frame)
    ordered = sorted(groups.values(), key=lambda frames: (frames[0].number, str(frames[0].path)))
    full = [frames for frames in ordered if len(frames) >= FEWEST]
    if not full:
        raise BadDataError(
            f"{files[0].parent} holds no volume: its longest DICOM series has {max(map(len, ordered))} planes",
            f"give a folder with at least {FEWEST} planes of one series",
        )
    head = any(frame.head for frames in full for frame in frames)
    return Series(tuple(_stack(frames) for frames in full), scouts=len(ordered) - len(full), head=head)


def _group(frame: Frame) -> tuple[object, ...]:
    """Return what planes of one volume share: their series and their directions, rounded to 0.01 (0.6 degrees)."""
    directions = () if frame.directions is None else tuple(np.round(frame.directions, 2).ravel() + 0.0)  # -0 is 0
    return frame.series, directions


def _stack(frames: Sequence[Frame]) -> Image:
    _require_one_shape(frames)
    frames = sorted(frames, key=lambda frame: _place(frame, frames))
    # (plane, row, column) to (column, row, plane): the axes along which the tags count.
    voxels = np.stack([frame.pixels for frame in frames]).transpose(2, 1, 0)
    path = frames[0].path
    known = all(frame.position is not None for frame in frames) and frames[0].directions is not None
    image = canonical(voxels, _affine(frames), path) if known else Image(voxels[::-1, ::-1])
    if known and not frames[0].spacing_mm:  # reoriented by its directions, but its voxel size is unknown
        image = replace(image, spacing_mm=(), affine=None)
    return checked(image, path, constant_ok=False)


def _require_one_shape(frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames:
        if frame.pixels.shape != first.pixels.shape:
            raise BadDataError(
                f"{frame.path} has {_size(frame)} pixels, but {first.path.name} of the same series has {_size(first)}",
                "export the series again, or leave it out",
            )


def _size(frame: Frame) -> str:
    return " x ".join(map(str, frame.pixels.shape))


def _place(frame: Frame, frames: Sequence[Frame]) -> float:
    """Return where a plane is along its normal, in mm; where positions are missing, SliceLocation or InstanceNumber."""
    if all(other.position is not None and other.directions is not None for other in frames):
        assert frame.position is not None
        assert frame.directions is not None
        return float(np.cross(*frame.directions) @ frame.position)
    if frame.place is None:
        raise BadDataError(
            f"{frame.path} has no position: no ImagePositionPatient, SliceLocation or InstanceNumber",
            "export the series again, or leave it out",
        )
    return frame.place


def _affine(frames: Sequence[Frame]) -> Array:
    """Return the map from voxel indices (column, row, plane) to mm in RAS, (4, 4). Raises BadDataError for gaps.

    The step between planes is from the first to the last position, so that a tilted gantry shears the volume rightly.
    """
    first, last = frames[0], frames[-1]
    assert first.position is not None
    assert last.position is not None
    assert first.directions is not None
    steps = np.diff([_place(frame, frames) for frame in frames])
    usual = float(np.median(steps))
    for step, before, after in zip(steps, frames, frames[1:], strict=False):
        if step < SAME_POSITION:
            raise BadDataError(
                f"{after.path} is at the position of {before.path.name}, {_mm(_place(after, frames))} along the series",
                "keep one acquisition or time point per folder",
            )
        if abs(step - usual) > UNEVEN * usual:
            raise BadDataError(
                f"planes are missing between {before.path} and {after.path.name}: "
                f"{_mm(step)} apart, elsewhere {_mm(usual)}",
                "copy the whole series again, or leave it out",
            )
    between_rows, between_columns = first.spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * between_columns
    affine[:3, 1] = first.directions[1] * between_rows
    affine[:3, 2] = (last.position - first.position) / (len(frames) - 1)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine


def _mm(length: float) -> str:
    return f"{length:.2f} mm"
