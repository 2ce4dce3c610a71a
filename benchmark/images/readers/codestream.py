"""What a compressed frame says of itself: GDCM ends the whole process where it contradicts the tags of its file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

if TYPE_CHECKING:
    from pydicom import Dataset

START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87) that state the size; C4, C8 and CC are other markers."""
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
START_OF_SCAN = 0xDA
LOSSLESS = 0xC3
APPLICATION_0 = 0xE0
JPEG2000_START = b"\xff\x4f\xff\x51"
"""Markers SOC and SIZ (ITU-T T.800, Annex A)."""


class Stated(NamedTuple):
    """What the header of a compressed frame states."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits per value."""


def streams_fit(header: Dataset) -> bool:
    """Return whether every JPEG, JPEG-LS or JPEG 2000 frame has the size of the tags, and values that they can hold.

    Frames of other encodings fit. Raises ValueError, KeyError or AttributeError for damaged tags and fragments.
    """
    syntax = header.file_meta.TransferSyntaxUID
    if syntax in JPEG2000TransferSyntaxes:
        read = stated_by_jpeg2000
    elif syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        read = stated_by_jpeg
    else:
        return True
    frames = generate_frames(header.PixelData, number_of_frames=int(header.get("NumberOfFrames") or 1))
    return all(_fits(read(frame), header) for frame in frames)


def stated_by_jpeg(stream: bytes) -> Stated | None:
    """Return what the frame header of a JPEG or JPEG-LS stream states; None where its headers are damaged.

    A lossless scan names one of seven predictors (T.81, table H.1), and all versions of JFIF begin with 1: GDCM ends
    the process at the warning that libjpeg has for another one.
    """
    stated, lossless = None, False
    for marker, content in _segments(stream):
        if marker == APPLICATION_0 and content.startswith(b"JFIF\0") and content[5:6] != b"\1":
            return None
        if marker in START_OF_FRAME and len(content) >= 6:
            precision, rows, columns, components = struct.unpack_from(">BHHB", content)
            stated, lossless = Stated(rows, columns, components, precision), marker == LOSSLESS
        if marker == START_OF_SCAN and content:
            predictor = content[1 + 2 * content[0]] if len(content) > 1 + 2 * content[0] else 0
            return stated if not lossless or 1 <= predictor <= 7 else None
    return None


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG stream with their contents, up to what is no marker."""
    place = 2
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in WITHOUT_LENGTH:
            place += 2
        else:
            end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
            yield marker, stream[place + 4 : end]
            place = end


def stated_by_jpeg2000(stream: bytes) -> Stated | None:
    """Return what the header of a JPEG 2000 codestream states, with or without the boxes of a JP2 file around it."""
    place = stream.find(JPEG2000_START)
    if place < 0 or place + 45 > len(stream):
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stream, place + 8)
    components, depth = struct.unpack_from(">HB", stream, place + 40)
    return Stated(bottom - top, right - left, components, (depth & 0x7F) + 1)  # the highest bit is the sign


def _fits(stated: Stated | None, header: Dataset) -> bool:
    if stated is None:
        return False
    size = (header.Rows, header.Columns, header.get("SamplesPerPixel") or 1)
    return stated[:3] == size and 2 <= stated.precision <= header.BitsAllocated
