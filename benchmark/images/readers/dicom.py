"""DICOM files: one radiograph, or the frames that `series` stacks into volumes.

Tags are read to place and scale pixels, and go no further: no name, date or number of a patient leaves this module.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_rescale
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.core.types import Array

GREY = ("MONOCHROME1", "MONOCHROME2")
UNREADABLE = (InvalidDicomError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)
UNDECODABLE = (RuntimeError, NotImplementedError, ValueError, AttributeError, TypeError, KeyError, OSError, IndexError)
HEAD = ("HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "SINUS", "ORBIT", "JAW", "EAR")
"""Values of BodyPartExamined (DICOM PS3.16, Annex L) whose scans show a face."""

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values of tags


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One plane of a series."""

    path: Path
    series: str
    """SeriesInstanceUID: equal for planes of one volume."""
    number: int
    """SeriesNumber, which the scanner counts; 0 where the tag is missing."""
    pixels: Array
    """(rows, columns), rescaled: Hounsfield units for CT."""
    position: Array | None
    """Centre of the first pixel, mm, to the patient's left, back and head, (3,)."""
    directions: Array | None
    """Unit vectors along a row and along a column, (2, 3)."""
    spacing_mm: tuple[float, ...]
    """Between rows, between columns; empty where the tags are missing."""
    place: float | None
    """SliceLocation or InstanceNumber: the order where positions are missing."""
    head: bool
    """Whether the head was scanned, by BodyPartExamined."""


def read(path: Path) -> Image:
    """Read one radiograph as (rows, columns), rescaled, with low values black whatever MONOCHROME1 says.

    Raises BadDataError for colour, several frames, no pixels, and damaged files.
    """
    frames = read_frames(path)
    if len(frames) > 1:
        raise BadDataError(
            f"{path} holds {len(frames)} frames, one image is needed", "give the folder of its series as a volume"
        )
    return Image(frames[0].pixels, frames[0].spacing_mm)


def read_frames(path: Path) -> list[Frame]:
    """Read all planes of one file. Raises BadDataError as `read` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = _header(path)
        planes = _planes(header, path)
        return [_frame(header, plane, number, path) for number, plane in enumerate(planes)]


def frame_count(path: Path) -> int:
    """Return the number of planes of one file by its tag; 1 where the tag is missing, or the file cannot be read."""
    try:
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        return int(header.get("NumberOfFrames") or 1)
    except UNREADABLE:
        return 1  # `read` says what is wrong with it


def _header(path: Path) -> Dataset:
    try:
        header = pydicom.dcmread(path, force=True)  # some archives write no preamble
        known = "SOPClassUID" in header
    except UNREADABLE as error:
        raise BadDataError(f"{path} is not a DICOM file, or its header is damaged", _AGAIN) from error
    if not known:
        raise BadDataError(f"{path} is not a DICOM file, or its header is damaged", _AGAIN)
    if not any(name in header for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadDataError(f"{path} is DICOM without an image (no pixel data)", "leave it out")
    _name_syntax(header)
    return header


def _name_syntax(header: Dataset) -> None:
    """Store the transfer syntax of a file without a preamble, as it was found: decoding needs it."""
    header.ensure_file_meta()
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian


def _planes(header: Dataset, path: Path) -> Array:
    """Decode to (frames, rows, columns)."""
    kind = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind not in GREY or header.get("SamplesPerPixel", 1) != 1:
        raise BadDataError(f"{path} is a colour image ({kind}), a grey one is needed", "leave it out")
    try:
        planes: Array = header.pixel_array
    except UNDECODABLE as error:
        raise BadDataError(
            f"{path} holds pixels that cannot be decoded ({header.file_meta.TransferSyntaxUID.name})",
            "copy it again; where it is whole, unpack it with `gdcmconv --raw`",
        ) from error
    return planes if planes.ndim == 3 else planes[None]


def _frame(header: Dataset, plane: Array, number: int, path: Path) -> Frame:
    groups = list(_groups(header, number))
    position = _numbers(groups, "ImagePositionPatient", 3, path)
    directions = _numbers(groups, "ImageOrientationPatient", 6, path)
    spacing = _numbers(groups, "PixelSpacing", 2, path)
    if spacing is None:
        spacing = _numbers(groups, "ImagerPixelSpacing", 2, path)
    places = (_number(_first(groups, name)) for name in ("SliceLocation", "InstanceNumber"))
    return Frame(
        path=path,
        series=f"{header.get('SeriesInstanceUID', '')}",
        number=int(_number(header.get("SeriesNumber")) or 0),
        pixels=_rescaled(header, groups, plane, path),
        position=position,
        directions=None if directions is None else directions.reshape(2, 3),
        spacing_mm=() if spacing is None else tuple(float(size) for size in spacing),
        place=next((place for place in places if place is not None), None),
        head=str(header.get("BodyPartExamined", "")).upper() in HEAD,
    )


def _groups(header: Dataset, number: int) -> Iterator[Dataset]:
    """Yield where the tags of a frame may be: in its own groups, in those that all frames share, in the file."""
    for name, place in (("PerFrameFunctionalGroupsSequence", number), ("SharedFunctionalGroupsSequence", 0)):
        for element in header.get(name, [])[place : place + 1]:
            yield from (group[0] for group in (item.value for item in element) if group)
    yield header


def _first(groups: Sequence[Dataset], name: str) -> Any:
    return next((group.get(name) for group in groups if group.get(name) not in (None, "")), None)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _numbers(groups: Sequence[Dataset], name: str, count: int, path: Path) -> Array | None:
    value = _first(groups, name)
    if value is None:
        return None
    try:
        numbers = np.array([float(part) for part in value])
    except (TypeError, ValueError):
        numbers = np.array([])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise BadDataError(f"{path} has a damaged tag {name}: {count} numbers are needed", "export it again")
    return numbers


def _rescaled(header: Dataset, groups: Sequence[Dataset], plane: Array, path: Path) -> Array:
    """Return a plane (rows, columns) rescaled, with low values black, and padding at the least value."""
    values = apply_rescale(plane, header) if "ModalityLUTSequence" in header else _scaled(groups, plane, path)
    if str(header.get("PhotometricInterpretation")) == "MONOCHROME1":
        values = values.max() + values.min() - values
    padding = _number(header.get("PixelPaddingValue"))
    outside = None if padding is None else plane == padding
    if outside is not None and outside.any() and not outside.all():
        values[outside] = values[~outside].min()  # scanners pad far below air
    return values


def _scaled(groups: Sequence[Dataset], plane: Array, path: Path) -> Array:
    """Return plane (rows, columns) * slope + intercept, in integers where both are whole.

    16-bit values times a whole slope fit in int32 for slopes up to 32,767.
    """
    slope, intercept = (
        _number(_first(groups, name) if _first(groups, name) is not None else usual)
        for name, usual in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if slope is None or intercept is None or not np.isfinite([slope, intercept]).all():
        raise BadDataError(f"{path} has a damaged tag RescaleSlope or RescaleIntercept", "export it again")
    whole = plane.dtype.kind in "iub" and slope.is_integer() and intercept.is_integer()
    kind = np.dtype(("int32" if plane.itemsize <= 2 else "int64") if whole else "float32")
    scaled: Array = plane.astype(kind) * kind.type(slope) + kind.type(intercept)
    return scaled


_AGAIN = "download or copy the file again"
