"""Series that hold several acquisitions, time points, echoes, phases or b-values: which planes are one volume."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from benchmark.images.readers.dicom import read_tags
from benchmark.images.readers.frame_tags import first, frame_groups, number

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.images.readers.dicom import Frame

    Values = dict[str, str]
    Parts = list[list[Frame]]
    Rule = Callable[[Parts], bool]

TAGS = (
    "StackID", "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex", "EchoNumbers", "EchoTime",
    "EffectiveEchoTime", "DiffusionBValue", "DiffusionGradientOrientation", "ContrastBolusAgent",
    "ContrastBolusAgentPhase", "NominalPercentageOfCardiacPhase", "TriggerTime", "ImageType", "FrameType",
    "ComplexImageComponent", "InversionTime", "FlipAngle", "RepetitionTime", "KVP", "ConvolutionKernel",
    "SequenceName", "FrameReferenceTime", "AcquisitionTime",
)  # fmt: skip
"""Tags that number or describe the volumes of a series, tried in this order."""
TIMES = ("TriggerTime", "FrameReferenceTime", "AcquisitionTime", "AcquisitionDateTime", "ContentTime", "InstanceNumber")
"""Tags that grow from volume to volume, but differ from plane to plane: planes of one position are ranked by them."""
MOST_TOGETHER = 3
"""Tags that may be needed together, such as echo, phase and magnitude."""
PRIVATE_B_VALUES = ((0x0019, 0x100C), (0x0043, 0x1039), (0x2001, 0x1003))
"""The b-value as Siemens, GE and Philips store it in files of one plane."""


def split_by_tags(
    frames: Sequence[Frame], rules: Sequence[Rule], place: Callable[[Frame], float]
) -> tuple[Parts, tuple[str, ...]] | None:
    """Return the parts of a series and the tags that tell them apart; None where no tags do.

    Args:
        frames: planes of one series and one direction.
        rules: whether parts are volumes, the strictest first.
        place: where a plane is along the series.

    One tag alone is tried first, then two and three together: the fewest that give volumes are taken.
    """
    values = _values(frames, place)
    names = [name for name in TAGS_AND_RANKS if 1 < len({own[name] for own in values}) <= len(frames) // 2]
    for fits in rules:
        for chosen in chain.from_iterable(combinations(names, count) for count in range(1, MOST_TOGETHER + 1)):
            parts = _parted(frames, [tuple(own[name] for name in chosen) for own in values])
            if len(parts) > 1 and fits(parts):
                return parts, tuple(name.removeprefix(RANK) for name in chosen)
    return None


def _parted(frames: Sequence[Frame], keys: Sequence[object]) -> Parts:
    parts: dict[object, list[Frame]] = {}
    for frame, key in zip(frames, keys, strict=True):
        parts.setdefault(key, []).append(frame)
    return list(parts.values())


RANK = "rank of "
TAGS_AND_RANKS = (*TAGS, *(f"{RANK}{name}" for name in TIMES))


def _values(frames: Sequence[Frame], place: Callable[[Frame], float]) -> list[Values]:
    """Read the tags of all planes again: the first reading keeps only what every series needs."""
    headers: dict[Path, Dataset] = {}
    values = []
    for frame in frames:
        if frame.path not in headers:
            headers = {frame.path: _header(frame.path)}  # frames of a file follow each other
        groups = list(frame_groups(headers[frame.path], frame.index))
        values.append({name: str(_value(groups, name)) for name in (*TAGS, *TIMES)})
    for name in TIMES:
        for rank, index in _ranks(frames, values, name, place):
            values[index][f"{RANK}{name}"] = str(rank)
    return values


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_tags(path)


def _value(groups: Sequence[Dataset], name: str) -> object:
    value = first(groups, name)
    if value is None and name == "DiffusionBValue":
        value = _private_b_value(groups[-1])
    if value is None and name == "DiffusionGradientOrientation":
        nested = first(groups, "DiffusionGradientDirectionSequence")
        value = nested[0].get(name) if nested else None
    if isinstance(value, str) or value is None:
        return value
    try:
        return tuple(str(part) for part in value)
    except TypeError:
        return number(value)


def _private_b_value(header: Dataset) -> Any:
    for tag in PRIVATE_B_VALUES:
        if tag in header:
            value = header[tag].value
            return value[0] if isinstance(value, pydicom.multival.MultiValue) and value else value
    return None


def _ranks(
    frames: Sequence[Frame], values: Sequence[Values], name: str, place: Callable[[Frame], float]
) -> Iterator[tuple[int, int]]:
    """Yield (rank, index) of each frame among those of its position, by a time; -1 where it has none.

    All ranks are -1 where positions have different numbers of planes: where one is missing, the next would take its
    rank, and so its place in another volume. Frames of one file are ranked by their order, where they share the time.
    """
    positions: dict[float, list[int]] = {}
    for index, frame in enumerate(frames):
        positions.setdefault(round(place(frame), 2), []).append(index)
    filled = len({len(indices) for indices in positions.values()}) == 1
    for indices in positions.values():
        times = {index: _time(frames[index], values[index][name]) for index in indices}
        ordered = sorted(time for time in times.values() if time is not None)
        for index, time in times.items():
            yield (ordered.index(time) if filled and time is not None else -1), index


def _time(frame: Frame, value: str) -> tuple[float, int] | None:
    time = number(value)
    return None if time is None else (time, frame.index)
