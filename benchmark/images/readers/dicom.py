"""DICOM files: one radiograph, or the frames that `series` stacks into volumes.

Tags are read to place and scale pixels, and go no further: no name, date or number of a patient leaves this module.
`dicom_patients` compares those of patients, and returns none.
"""

from __future__ import annotations

import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from benchmark.core.errors import BadDataError
from benchmark.images.readers.beginning import beginning
from benchmark.images.readers.codestream import streams_fit
from benchmark.images.readers.deflated import START, SYNTAX, require_bounded
from benchmark.images.readers.dicom_kinds import FILM, Kind, class_kind, colour, has_pixels, image_type, plane_kind
from benchmark.images.readers.dicom_values import decoded, rescaled
from benchmark.images.readers.frame_tags import first, frame_groups, number, numbers, value_of
from benchmark.images.readers.image import Image
from benchmark.images.readers.limits import MOST_COMPRESSED, require_bytes, require_limit
from benchmark.images.readers.siemens_mosaic import MOSAIC, mosaic_count, unpack_mosaic
from benchmark.images.readers.terminal import codec_messages

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.core.types import Array

UNREADABLE = (
    InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError,
    NotImplementedError, IndexError, RecursionError, OverflowError, MemoryError, zlib.error, struct.error,
)  # fmt: skip
UNDECODABLE = (
    RuntimeError, NotImplementedError, ValueError, AttributeError, TypeError, KeyError, OSError, IndexError,
    OverflowError, MemoryError, StopIteration, struct.error, BytesLengthException,
)  # fmt: skip
HEAD = ("HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "SINUS", "ORBIT", "JAW", "EAR")
"""Values of BodyPartExamined (DICOM PS3.16, Annex L) whose scans show a face."""
LARGEST_SPACING_MM = 1000.0
"""No detector has pixels of a metre: a larger value is a damaged tag."""
ANY_RATIO_BYTES = 64 * 2**20
"""Up to so many decoded bytes, files may be compressed by more than MOST_COMPRESSED, as planes of one value are."""

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values of tags


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One plane of a series."""

    path: Path
    index: int
    """Its place in a file of several frames, from 0."""
    uid: str
    """SOPInstanceUID: equal for files that are copies of each other; empty where the tag is missing."""
    series: str
    """SeriesInstanceUID: equal for planes of one volume."""
    number: int
    """SeriesNumber, which the scanner counts; 0 where the tag is missing."""
    pixels: Array
    """(rows, columns), rescaled: Hounsfield units for CT."""
    position: Array | None
    """Centre of the first pixel, mm, to the patient's left, back and head, (3,)."""
    directions: Array | None
    """Along a row and along a column, (2, 3), as the file has them."""
    spacing_mm: tuple[float, ...]
    """Between rows, between columns, as the file has them; empty where the tags are missing."""
    location: float | None
    """SliceLocation: the order where positions are missing."""
    instance: float | None
    """InstanceNumber, by which the scanner counts planes: the order where both are missing."""
    derived: bool
    """Whether ImageType calls it derived, such as a reformatted plane or a page of results."""
    spare: bool
    """Whether it is used only because a folder holds nothing else: a secondary capture, or an unknown class."""
    head: bool
    """Whether the head was scanned, by BodyPartExamined."""


def read(path: Path) -> Image:
    """Read one radiograph as (rows, columns), rescaled, with low values black whatever MONOCHROME1 says.

    A spacing of 0, below 0 or above LARGEST_SPACING_MM is unknown. Raises BadDataError for objects that are no image,
    colour, several frames, no pixels, and damaged files.
    """
    with _reading(path):
        header = read_header(path)
        kind = class_kind(header)
        if kind and not kind.alone:
            raise BadDataError(f"{path} is no image of a patient, but a {kind.one}", "leave it out")
        frames = _frames(header, path, alone=True)
    if len(frames) > 1:
        raise BadDataError(f"{path} holds {len(frames)} frames, one image is needed", _several_hint(header))
    usable = not bad_spacing(frames[0].spacing_mm)
    return Image(frames[0].pixels, frames[0].spacing_mm if usable else ())


def read_planes(path: Path, *, alone: bool = False) -> tuple[Kind | None, list[Frame]]:
    """Read a file of a series: its planes, or what it is instead of planes of a scan.

    `alone` admits the kinds that are read where a folder holds nothing else. Raises BadDataError for damaged files.
    """
    with _reading(path):
        header = read_header(path)
        kind = plane_kind(header)
        spare = alone and kind is not None and kind.alone
        if kind and not spare:
            return kind, []
        return (FILM, []) if is_film(header) else (None, _frames(header, path, spare=spare))


def frame_count(path: Path) -> int:
    """Return the number of planes of one file by its tags; 1 where they are missing, or the file cannot be read."""
    try:
        require_deflated_size(path)
        header = read_tags(path)
        return mosaic_count(header) or int(header.get("NumberOfFrames") or 1)
    except (*UNREADABLE, BadDataError):
        return 1  # `read` says what is wrong with it


def read_tags(path: Path, names: list[str] | None = None) -> Dataset:
    """Read the tags before the pixels, or those with these names, of the file's beginning. Raises UNREADABLE."""
    with path.open("rb") as file:
        start = file.read(START)
        if _is_blank(start):
            raise InvalidDicomError(f"{path.name} begins with zeros")
        return pydicom.dcmread(beginning(file), force=True, stop_before_pixels=True, specific_tags=names)


def _is_blank(content: bytes) -> bool:
    """Return whether a file has zeros in place of its first tag: pydicom would read all of them as empty tags."""
    first = 132 if content[128:132] == b"DICM" else 0
    return content[first : first + 4] == bytes(4)


def is_film(header: Dataset) -> bool:
    """Return whether an object holds frames that nothing places in the patient: ultrasound, fluoroscopy, cine."""
    frames = number(value_of(header, "NumberOfFrames")) or 1
    return frames > 1 and not value_of(header, "PerFrameFunctionalGroupsSequence")


def bad_spacing(spacing: Iterable[float]) -> bool:
    """Return whether a known spacing in mm is 0, negative or absurd."""
    return any(not 0 < size <= LARGEST_SPACING_MM for size in spacing)


def read_header(path: Path) -> Dataset:
    """Read a file without decoding its pixels. Raises BadDataError for what is no DICOM."""
    require_bytes(path)
    content = path.read_bytes()
    require_deflated_size(path, content[:START])
    if _is_blank(content):
        raise BadDataError(f"{path} is not a DICOM file, or its header is damaged", _AGAIN)
    # From memory: asked for the length that a damaged tag states, a file would reserve up to 4 GiB first.
    header = pydicom.dcmread(BytesIO(content), force=True)  # some archives write no preamble
    header.ensure_file_meta()
    # A text read by force gives tags that nothing names. Objects whose class an anonymiser removed have pixels, or a
    # modality.
    if not (value_of(header, "SOPClassUID") or has_pixels(header) or class_kind(header) is not None):
        raise BadDataError(f"{path} is not a DICOM file, or its header is damaged", _AGAIN)
    _name_syntax(header)
    return header


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name a file whose header is damaged: pydicom converts a tag when it is asked for, and any of them may fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UNREADABLE as error:
            raise BadDataError(f"{path} is not a DICOM file, or its header is damaged", _AGAIN) from error


def _name_syntax(header: Dataset) -> None:
    """Store the transfer syntax of a file without a preamble, as it was found: decoding needs it."""
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian


def _frames(header: Dataset, path: Path, *, spare: bool = False, alone: bool = False) -> list[Frame]:
    """Decode all planes of an image; `alone` where it is a radiograph. Raises BadDataError as `read` does."""
    if not has_pixels(header):
        raise BadDataError(f"{path} is DICOM without an image (no pixel data)", "copy it again, or leave it out")
    _require_grey(header, path)
    planes = _planes(header, path)
    types = image_type(header)
    placed: Iterable[tuple[Array, Array | None]] = zip(planes, repeat(None), strict=False)
    if MOSAIC in types:
        placed = unpack_mosaic(header, planes[0], path)
    shared = {
        "path": path,
        "uid": f"{value_of(header, 'SOPInstanceUID') or ''}",
        "series": f"{value_of(header, 'SeriesInstanceUID') or ''}",
        "number": int(number(value_of(header, "SeriesNumber")) or 0),
        "derived": "DERIVED" in types,
        "spare": spare,
        "head": str(value_of(header, "BodyPartExamined") or "").upper() in HEAD,
    }
    frames = []
    for index, (plane, position) in enumerate(placed):
        groups = list(frame_groups(header, index))
        pixels = rescaled(header, groups, plane, path, alone=alone)
        frames.append(_frame(groups, index, pixels, position, shared))
    return frames


def _require_grey(header: Dataset, path: Path) -> None:
    kind = colour(header)
    if kind:
        raise BadDataError(f"{path} is a colour image ({kind}), a grey one is needed", "leave it out")


def _planes(header: Dataset, path: Path) -> Array:
    """Decode to (frames, rows, columns)."""
    _require_plausible_size(header, path)
    syntax = header.file_meta.TransferSyntaxUID
    complaints = None
    try:
        fits = streams_fit(header)
        if fits:
            with codec_messages() if syntax.is_encapsulated else nullcontext() as complaints:
                planes = decoded(header)
    except UNDECODABLE as error:
        raise _undecodable(header, path) from error
    if not fits or complaints:
        raise _undecodable(header, path)
    return planes if planes.ndim == 3 else planes[None]


def _undecodable(header: Dataset, path: Path) -> BadDataError:
    return BadDataError(
        f"{path} holds pixels that cannot be decoded ({header.file_meta.TransferSyntaxUID.name})",
        "copy it again; where it is whole, unpack it with `gdcmconv --raw`",
    )


def require_deflated_size(path: Path, start: bytes | None = None) -> None:
    """Raise BadDataError where a deflated file unpacks to far more than it can hold of images; OSError, zlib.error.

    `start` is the file's first START bytes, where they have been read.
    """
    if start is None:
        with path.open("rb") as file:
            start = file.read(START)
    if SYNTAX in start:
        require_bounded(path, ANY_RATIO_BYTES + MOST_COMPRESSED * path.stat().st_size)


def _require_plausible_size(header: Dataset, path: Path) -> None:
    """Refuse, before memory is taken, a size that the bytes of a file cannot hold."""
    names = ("NumberOfFrames", "Rows", "Columns", "BitsAllocated")
    sizes = [number(value_of(header, name)) for name in names]
    frames, rows, columns, bits = (1.0 if size is None else size for size in sizes)
    declared = max(frames, 1.0) * rows * columns * max(bits, 1.0) / 8
    if declared <= ANY_RATIO_BYTES:
        return
    stored = path.stat().st_size
    if declared > MOST_COMPRESSED * stored:
        raise BadDataError(
            f"{path} declares {max(frames, 1):.0f} x {rows:.0f} x {columns:.0f} pixels, more than its "
            f"{stored:,} bytes can hold",
            _AGAIN,
        )
    require_limit(path, [int(size) for size in (max(frames, 1.0), rows, columns)], math.ceil(bits / 8))


def _frame(
    groups: Sequence[Dataset], index: int, pixels: Array, position: Array | None, shared: Mapping[str, Any]
) -> Frame:
    path = shared["path"]
    if position is None:
        position = numbers(groups, "ImagePositionPatient", 3, path)
    directions = numbers(groups, "ImageOrientationPatient", 6, path)
    spacing = numbers(groups, "PixelSpacing", 2, path)
    if spacing is None or bad_spacing(spacing):
        detector = numbers(groups, "ImagerPixelSpacing", 2, path)
        spacing = spacing if detector is None else detector
    return Frame(
        **shared,
        index=index,
        pixels=pixels,
        position=position,
        directions=None if directions is None else directions.reshape(2, 3),
        spacing_mm=() if spacing is None else tuple(float(size) for size in spacing),
        location=number(first(groups, "SliceLocation")),
        instance=number(first(groups, "InstanceNumber")),
    )


def _several_hint(header: Dataset) -> str:
    if is_film(header):
        return "save its frames as single images, or leave it out"
    return "give the folder of its series as a volume"


_AGAIN = "download or copy the file again"
