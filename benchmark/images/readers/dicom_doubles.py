"""DICOM files that were copied twice into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError

if TYPE_CHECKING:
    from benchmark.images.readers.dicom import Frame


def without_doubles(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Return the frames with each object once, and how many copies of files were left out.

    A copy has the SOPInstanceUID, the pixels and the position of another file. Raises BadDataError where two files
    share the identifier and differ, because then nothing tells which of them is the scan's.
    """
    kept: dict[tuple[str, int], Frame] = {}
    unnamed: list[Frame] = []
    copies = set()
    for frame in frames:
        other = kept.setdefault((frame.uid, frame.index), frame) if frame.uid else frame
        if not frame.uid:
            unnamed.append(frame)
        elif other is not frame:
            _require_copy(frame, other)
            copies.add(frame.path)
    return [*kept.values(), *unnamed], len(copies)


def _require_copy(frame: Frame, other: Frame) -> None:
    if not (np.array_equal(frame.pixels, other.pixels) and _same(frame.position, other.position)):
        raise BadDataError(
            f"{frame.path} and {other.path.name} have one SOPInstanceUID, but different pixels or positions",
            "export the series again, or leave it out",
        )


def _same(one: object, other: object) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))  # type: ignore[arg-type]
