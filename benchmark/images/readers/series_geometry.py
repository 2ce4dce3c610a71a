"""Where the planes of a series are in the patient: their order, their distances, and whether they make a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.dicom import bad_spacing

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.images.readers.dicom import Frame

SAME_POSITION = 1e-3
"""Millimetres: planes that are closer are at one position."""
UNEVEN = 0.1
"""Fraction of the median step by which steps between planes may differ: scanners round positions."""
NOT_PERPENDICULAR = 0.02
"""Greatest cosine between rows and columns, and greatest error of their length: tags are rounded to 2 to 6 digits."""
OTHER_SPACING = 0.01
"""Fraction by which pixels of one volume may differ in size."""


class Fault(NamedTuple):
    """Why planes do not make a volume."""

    message: str
    hint: str
    slices: bool
    """Whether every plane is right by itself, so that they can be used as slices."""


def placed(frames: Sequence[Frame]) -> bool:
    """Return whether all planes have a position and directions."""
    return all(frame.position is not None and frame.directions is not None for frame in frames)


def placement(frames: Sequence[Frame]) -> Callable[[Frame], float]:
    """Return the function that orders planes: mm along their normal, else SliceLocation, else InstanceNumber.

    Positions without directions order planes that are above each other along the patient. One tag orders all planes; a
    SliceLocation that is equal in all of them orders none. Raises BadDataError where no tag is in every plane.
    """
    if all(frame.position is not None for frame in frames):
        normal = np.cross(*unit_directions(frames[0])) if placed(frames) else _upwards(frames)
        return lambda frame: float(normal @ frame.position)
    if all(frame.location is not None for frame in frames) and len({frame.location for frame in frames}) > 1:
        return lambda frame: frame.location or 0.0
    for frame in frames:
        if frame.instance is None:
            raise BadDataError(
                f"{frame.path} has no position: no ImagePositionPatient, SliceLocation or InstanceNumber",
                "export the series again, or leave it out",
            )
    return lambda frame: frame.instance or 0.0


def _upwards(frames: Sequence[Frame]) -> Array:
    """Return the axis (3,) from feet to head. Raises BadDataError where positions grow along another one."""
    extent = np.ptp(np.array([frame.position for frame in frames]), axis=0)
    if extent.argmax() != 2:
        raise BadDataError(
            f"{frames[0].path} has no ImageOrientationPatient, and its series is not axial",
            "export the series again, or leave it out",
        )
    return np.array([0.0, 0.0, 1.0])


def unit_directions(frame: Frame) -> Array:
    """Return the directions of rows and columns, (2, 3), of length 1. Raises BadDataError for what are no axes."""
    assert frame.directions is not None
    lengths = np.linalg.norm(frame.directions, axis=1)
    cosine = abs(float(np.dot(*frame.directions)))
    if (np.abs(lengths - 1) > NOT_PERPENDICULAR).any() or cosine > NOT_PERPENDICULAR:
        raise BadDataError(
            f"{frame.path} has a damaged tag ImageOrientationPatient: its rows and columns are not perpendicular "
            "unit vectors",
            "export the series again, or leave it out",
        )
    return np.asarray(frame.directions / lengths[:, None])


def repeated(frames: Sequence[Frame], place: Callable[[Frame], float]) -> tuple[Frame, Frame] | None:
    """Return the first two planes at one position, or None; frames in any order."""
    ordered = sorted(frames, key=place)
    return next(((one, two) for one, two in pairwise(ordered) if place(two) - place(one) < SAME_POSITION), None)


def uneven(frames: Sequence[Frame], places: Array) -> Fault | None:
    """Return what is wrong with the distances of planes that are in order, or None.

    Args:
        frames: planes in order, no two at one position.
        places: mm along the series, (n,).

    A missing plane leaves one gap of a multiple of the step; InstanceNumber, where it is counted, skips there too. Any
    other change is how the scanner was set.
    """
    steps = np.diff(places)
    usual = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - usual) > UNEVEN * usual)
    if not len(odd):
        return None
    counted = _counted_gaps(frames, steps)
    if counted or _single_gaps(steps, odd, usual):
        gap = int(steps.argmax())
        return Fault(
            f"planes are missing between {frames[gap].path} and {frames[gap + 1].path.name}: "
            f"{steps[gap]:.2f} mm apart, elsewhere {steps.min() if counted else usual:.2f} mm",
            "copy the whole series again, or leave it out",
            slices=False,
        )
    change = int(np.abs(np.diff(steps)).argmax()) + 1
    before, after = (round(float(step), 2) for step in steps[change - 1 : change + 1])
    return Fault(
        f"spacing changes from {before} to {after} mm at {frames[change].path}",
        "use its planes as slices along the direction in which they were acquired (items=slices), or leave it out",
        slices=True,
    )


def require_line(frames: Sequence[Frame], places: Array) -> None:
    """Raise BadDataError where planes in order, at mm `places` (n,), are not above each other on one line.

    Deviations below a pixel, or below the tolerance of steps, cannot be seen in the volume.
    """
    positions = np.array([frame.position for frame in frames])
    share = (places - places[0]) / (places[-1] - places[0])
    aside = np.linalg.norm(positions - positions[0] - share[:, None] * (positions[-1] - positions[0]), axis=1)
    step = float(np.median(np.diff(places)))
    worst = int(aside.argmax())
    if aside[worst] > max(UNEVEN * step, *(frames[0].spacing_mm or (1.0,))):
        raise BadDataError(
            f"{frames[worst].path} is {aside[worst]:.2f} mm beside the line on which its series is stacked",
            "export the series again, or leave it out",
        )


def require_spacing(frames: Sequence[Frame]) -> None:
    """Raise BadDataError where pixels of a series have no size, or two sizes."""
    first = frames[0]
    for frame in frames:
        if bad_spacing(frame.spacing_mm):
            size = next(size for size in frame.spacing_mm if bad_spacing((size,)))
            raise BadDataError(
                f"{frame.path} cannot be placed: its pixel spacing is {size:g}",
                "export the series again with its pixel spacing, or leave it out",
            )
        if not np.allclose(frame.spacing_mm or 0.0, first.spacing_mm or 0.0, rtol=OTHER_SPACING, atol=0):
            raise BadDataError(
                f"{frame.path} has pixels of {_sizes(frame)} mm, but {first.path.name} of the same series of "
                f"{_sizes(first)} mm",
                "export the series again, or leave it out",
            )


def to_patient(frames: Sequence[Frame], places: Array) -> Array:
    """Return the map from voxel indices (column, row, plane) to mm to the left, back and head, (4, 4).

    The step between planes is from the first to the last position, so that a tilted gantry shears the volume.
    """
    first, last = frames[0].position, frames[-1].position
    assert first is not None
    assert last is not None
    directions = unit_directions(frames[0])
    between_rows, between_columns = frames[0].spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * between_columns
    affine[:3, 1] = directions[1] * between_rows
    affine[:3, 2] = (last - first) / (len(frames) - 1)
    affine[:3, 3] = first
    return affine


def _single_gaps(steps: Array, odd: Array, usual: float) -> bool:
    """Return whether steps (n - 1,) are the usual one but for gaps of a multiple of it, no two side by side."""
    multiples = steps[odd] / usual
    alone = len(odd) == 1 or int(np.diff(odd).min()) > 1
    whole = np.abs(multiples - np.round(multiples)) <= UNEVEN
    return bool(alone and whole.all() and (np.round(multiples) >= 2).all())


def _counted_gaps(frames: Sequence[Frame], steps: Array) -> bool:
    """Return whether InstanceNumber skips as many planes as each step (n - 1,) is a multiple of the least one."""
    counts = _count_steps(frames)
    multiples = steps / steps.min()
    whole = bool((np.abs(multiples - np.round(multiples)) <= UNEVEN * multiples).all())
    return whole and counts is not None and bool((counts == np.round(multiples)).all())


def _count_steps(frames: Sequence[Frame]) -> Array | None:
    """Return by how much InstanceNumber grows from plane to plane, (n - 1,), or falls, where it is in all of them."""
    instances = [frame.instance for frame in frames]
    if any(instance is None for instance in instances):
        return None
    counts = np.diff(np.array(instances, dtype=float))
    return np.abs(counts) if (np.sign(counts) == np.sign(counts[0])).all() else None


def _sizes(frame: Frame) -> str:
    return " x ".join(f"{size:g}" for size in frame.spacing_mm) or "unknown"
