"""Folders of DICOM files as volumes: planes grouped by series, ordered by their position in the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from nibabel.orientations import io_orientation

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import LPS_TO_RAS, canonical
from benchmark.images.readers.dicom import Frame, read_planes
from benchmark.images.readers.dicom_doubles import without_doubles
from benchmark.images.readers.dicom_kinds import UNPLACED, Kind, counted
from benchmark.images.readers.gantry_tilt import LEAST_TILT, tilt_degrees, upright
from benchmark.images.readers.image import IN_DOUBT, Image, checked
from benchmark.images.readers.limits import TooLargeError, limit, limit_text
from benchmark.images.readers.series_geometry import (
    placed,
    placement,
    repeated,
    require_line,
    require_spacing,
    to_patient,
    uneven,
    unit_directions,
)
from benchmark.images.readers.series_split import TAGS, split_by_tags

if TYPE_CHECKING:
    from benchmark.core.types import Array

    Note = tuple[str, str]
    Skipped = tuple[Kind, Path]
    Place = Callable[[Frame], float]

FEWEST = 4
"""Series of fewer planes are scouts, not volumes."""
STORED_BYTES = 2
"""Bytes per pixel of scanners."""
SAME_DIRECTION = 0.01
"""Greatest difference between direction cosines of one volume: 0.6 degrees."""
MOST_TILT = 45.0
"""Degrees: no gantry tilts by more than 30, so beyond this the positions are wrong."""

CAPTURES = "secondary captures or images of an unknown class used, because the folder holds no other planes"
DOUBLES = "files copied twice, counted once"
SPLIT = "DICOM series split into volumes"
TILT_SHIFTED = "tilted gantry, planes shifted into an upright volume"
TILT_KEPT = "tilted gantry, slices kept as they were acquired"
UNPLACED_STACK = f"{IN_DOUBT}, DICOM planes without position or direction: the volume may be upside down"
UNEVEN_SLICES = "spacing between planes changes, used as slices only"


@dataclass(frozen=True)
class Series:
    """The volumes of a folder."""

    volumes: tuple[Image, ...]
    """(x, y, z) in RAS+, in the order of the scanner's series numbers."""
    scouts: int
    """How many series were left out, because they have too few planes."""
    head: bool
    """Whether one of the volumes is of the head."""
    skipped: tuple[tuple[Kind, Path], ...] = ()
    """Objects that are no planes of the scan."""
    notes: tuple[tuple[str, str], ...] = ()
    """What was split, shifted or counted once, each with how much of it: no tag of a patient."""


def read_series(files: Sequence[Path], *, slices_along: int | None = None) -> Series:
    """Read every file once and stack the planes of each series.

    Args:
        files: of one folder and one patient.
        slices_along: axis of RAS (0, 1, 2) along which single slices are all that is needed. Planes that were acquired
            along it stay as they are: not shifted where the gantry was tilted, and at changing distances.

    Planes are sorted by ImagePositionPatient along their normal; where that is missing, by SliceLocation or
    InstanceNumber, its spacing is unknown, and a remark says so. Objects that are no planes of the scan are
    listed in `skipped`; copies are counted once; a series whose positions repeat is split by the tags that number
    its volumes. Raises BadDataError for mixed matrix sizes, planes at one position that no tag tells apart, gaps,
    changing distances, and whatever `dicom.read_planes` refuses.
    """
    frames, skipped = _frames(files)
    notes: list[Note] = [(CAPTURES, "")] if any(frame.spare for frame in frames) else []
    frames, copies = without_doubles(frames)
    notes += [(DOUBLES, f"{copies} {'file' if copies == 1 else 'files'}")] if copies else []
    whole: list[list[Frame]] = []
    scouts = []
    for group in _grouped(frames):
        parts, note = _parts(group) if len(group) >= FEWEST else ([group], None)
        whole += [part for part in parts if len(part) >= FEWEST]
        scouts += [part for part in parts if len(part) < FEWEST]
        notes += [note] if note else []
    if not whole:
        longest = max(map(len, scouts))
        raise BadDataError(
            f"{_folder(files)} holds no volume: its longest DICOM series has {longest} plane{'s' * (longest > 1)}",
            f"give a folder with at least {FEWEST} planes of one series",
        )
    volumes = []
    for part in whole:
        image, note = _stack(part, slices_along)
        volumes.append(image)
        notes += [note] if note else []
    head = any(frame.head for part in whole for frame in part)
    return Series(tuple(volumes), scouts=len(scouts), head=head, skipped=tuple(skipped), notes=tuple(notes))


def _frames(files: Sequence[Path]) -> tuple[list[Frame], list[Skipped]]:
    """Read the planes of all files, and list what is none."""
    frames, skipped = _planes_of(files, alone=False)
    if not frames and any(kind.alone for kind, _ in skipped):
        frames, skipped = _planes_of(files, alone=True)
    if not frames:
        kinds = counted(Counter(kind for kind, _ in skipped))
        raise BadDataError(f"{_folder(files)} holds no planes of a scan: {kinds}", "leave it out")
    return _with_positions(frames, skipped)


def _planes_of(files: Sequence[Path], *, alone: bool) -> tuple[list[Frame], list[Skipped]]:
    frames: list[Frame] = []
    skipped: list[Skipped] = []
    taken = 0
    for path in files:
        kind, planes = read_planes(path, alone=alone)
        frames += planes
        taken += sum(plane.pixels.size for plane in planes) * STORED_BYTES
        if taken > limit():
            raise TooLargeError(
                f"{_folder(files)} holds planes that take more than {limit_text()}; at most as much per series is read",
                "leave it out, or give more with --max-source-gib",
            )
        skipped += [(kind, path)] if kind else []
    return frames, skipped


def _with_positions(frames: list[Frame], skipped: list[Skipped]) -> tuple[list[Frame], list[Skipped]]:
    """Leave out derived images without a position where others have one: pages of results, projections.

    Raises BadDataError for an original plane that lost the position which others of its series have.
    """
    if not any(frame.position is not None for frame in frames):
        return frames, skipped
    kept = [frame for frame in frames if frame.position is not None or not frame.derived]
    unplaced = [(UNPLACED, frame.path) for frame in frames if frame.position is None and frame.derived]
    have = {frame.series for frame in kept if frame.position is not None}
    for frame in kept:
        if frame.position is None and frame.series in have:
            raise BadDataError(
                f"{frame.path} has no ImagePositionPatient, but other planes of its series have one",
                "export the series again, or leave it out",
            )
    return kept, skipped + unplaced


def _grouped(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the planes of each series and direction, in the order of series numbers."""
    groups: dict[str, list[list[Frame]]] = {}
    for frame in frames:
        alike = groups.setdefault(frame.series, [])
        group = next((group for group in alike if _same_direction(group[0], frame)), None)
        if group is None:
            alike.append([frame])
        else:
            group.append(frame)
    listed = [group for alike in groups.values() for group in alike]
    return sorted(listed, key=lambda group: (group[0].number, str(group[0].path)))


def _same_direction(one: Frame, two: Frame) -> bool:
    if one.directions is None or two.directions is None:
        return one.directions is two.directions
    return bool(np.abs(one.directions - two.directions).max() < SAME_DIRECTION)


def _parts(frames: list[Frame]) -> tuple[list[list[Frame]], Note | None]:
    """Split a series into its volumes where positions repeat, or where two stacks lie between each other.

    Raises BadDataError for planes at one position that no tag tells apart.
    """
    place = placement(frames)
    pair = repeated(frames, place)
    if pair is None and _sound(frames, place):
        return [frames], None

    def even(parts: list[list[Frame]]) -> bool:
        return all(_sound(part, place) for part in parts) and (pair is not None or _overlap(parts, place))

    positions = len({round(place(frame), 2) for frame in frames})

    def full(parts: list[list[Frame]]) -> bool:
        return all(len(part) == positions for part in parts) and even(parts)

    def complete(parts: list[list[Frame]]) -> bool:
        return min(map(len, parts)) >= FEWEST and not any(repeated(part, place) for part in parts)

    def mostly(parts: list[list[Frame]]) -> bool:
        long = sum(len(part) for part in parts if len(part) >= FEWEST)
        return 2 * long >= len(frames) and not any(repeated(part, place) for part in parts)

    split = split_by_tags(frames, [full, even, complete, mostly] if pair else [even], place)
    if split:
        return split[0], (SPLIT, f"{len(split[0])} by {' and '.join(split[1])}")
    if pair:
        before, after = pair
        raise BadDataError(
            f"{after.path} is at the position of {before.path.name}, {_where(after, place, frames)} along the series, "
            f"and no tag tells their volumes apart (tried {', '.join(TAGS)})",
            "keep one acquisition or time point per folder",
        )
    return [frames], None


def _sound(frames: Sequence[Frame], place: Place) -> bool:
    """Return whether planes are a volume: enough, one at each position, at even distances."""
    if len(frames) < FEWEST or repeated(frames, place) or len({frame.pixels.shape for frame in frames}) > 1:
        return False
    ordered = sorted(frames, key=place)
    return not placed(frames) or uneven(ordered, np.array([place(frame) for frame in ordered])) is None


def _overlap(parts: Sequence[Sequence[Frame]], place: Place) -> bool:
    """Return whether the parts share a range of the table: parts one after the other are one scan."""
    ranges = sorted((min(map(place, part)), max(map(place, part))) for part in parts)
    return all(start < end for (_, end), (start, _) in pairwise(ranges))


def _stack(frames: Sequence[Frame], slices_along: int | None) -> tuple[Image, Note | None]:
    _require_one_shape(frames)
    require_spacing(frames)
    place = placement(frames)
    frames = sorted(frames, key=place)
    # (plane, row, column) to (column, row, plane): the axes along which the tags count.
    voxels = np.stack([frame.pixels for frame in frames]).transpose(2, 1, 0)
    note = None
    if placed(frames):
        image, note = _placed_stack(voxels, frames, np.array([place(frame) for frame in frames]), slices_along)
    else:
        image = _unplaced_stack(voxels, frames[0])
    return checked(image, frames[0].path, constant_ok=False), note


def _unplaced_stack(voxels: Array, frame: Frame) -> Image:
    """Return the volume (x, y, z) of planes (column, row, plane) without positions, of which `frame` is the first.

    Their order is taken to follow their normal: for axial planes, from feet to head.
    """
    if frame.directions is None:
        return Image(voxels[::-1, ::-1], remarks=((UNPLACED_STACK, "taken as axial"),))
    affine = np.eye(4)
    affine[:3, :2] = unit_directions(frame).T
    affine[:3, 2] = np.cross(*affine[:3, :2].T)
    image = canonical(voxels, LPS_TO_RAS @ affine, frame.path)
    return replace(image, spacing_mm=(), affine=None, remarks=(*image.remarks, (UNPLACED_STACK, "")))


def _placed_stack(
    voxels: Array, frames: Sequence[Frame], places: Array, slices_along: int | None
) -> tuple[Image, Note | None]:
    """Return the volume (x, y, z) of planes (column, row, plane) at mm `places` (n,), and what was done to it."""
    require_line(frames, places)
    affine = to_patient(frames, places)
    single = slices_along is not None and io_orientation(LPS_TO_RAS @ affine)[2, 0] == slices_along
    fault = uneven(frames, places)
    if fault and not (single and fault.slices):
        raise BadDataError(fault.message, fault.hint)
    tilt = tilt_degrees(affine)
    note = None
    if tilt > MOST_TILT:
        raise BadDataError(
            f"{frames[0].path} and the planes of its series are stacked {tilt:.1f} degrees off their normal",
            "export the series again, or leave it out",
        )
    if tilt > LEAST_TILT:
        note = (TILT_KEPT if single else TILT_SHIFTED, f"tilted by {tilt:.1f} degrees")
        voxels, affine = (voxels, affine) if single else upright(voxels, affine)
    image = canonical(voxels, LPS_TO_RAS @ affine, frames[0].path)
    if not frames[0].spacing_mm:  # reoriented by its directions, but its voxel size is unknown
        image = replace(image, spacing_mm=(), affine=None)
    if fault:
        image, note = replace(image, affine=None), (UNEVEN_SLICES, fault.message)
    return image, note


def _require_one_shape(frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames:
        if frame.pixels.shape != first.pixels.shape:
            raise BadDataError(
                f"{frame.path} has {_size(frame)} pixels, but {first.path.name} of the same series has {_size(first)}",
                "export the series again, or leave it out",
            )


def _folder(files: Sequence[Path]) -> Path:
    return files[0] if len(files) == 1 else files[0].parent


def _size(frame: Frame) -> str:
    return " x ".join(map(str, frame.pixels.shape))


def _where(frame: Frame, place: Place, frames: Sequence[Frame]) -> str:
    return f"{place(frame):.2f} mm" if placed(frames) else f"number {place(frame):g}"
