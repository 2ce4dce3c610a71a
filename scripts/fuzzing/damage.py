"""Ways in which a file is damaged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HEADER = 700
"""Bytes at the beginning of a file in which formats keep their sizes and offsets."""
EXTREME = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"\x80\0\0\0",
    b"\0\0\xc0\x7f",  # NaN, little endian
    b"\0\0\x80\x7f",  # infinity
    b"\xff\x7f\xff\x7f",
    b"9999",
    b"-1\0\0",
)
"""Values that are out of range for a size, an offset, a type or a spacing."""


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's bytes damaged in one way drawn at random."""
    return KINDS[int(rng.integers(len(KINDS)))](bytearray(content), rng)


def _flip_anywhere(content: bytearray, rng: np.random.Generator) -> bytes:
    return _flip(content, rng, len(content))


def _flip_header(content: bytearray, rng: np.random.Generator) -> bytes:
    return _flip(content, rng, min(len(content), HEADER))


def _flip(content: bytearray, rng: np.random.Generator, below: int) -> bytes:
    for _ in range(int(rng.integers(1, 9))):
        content[int(rng.integers(below))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def _cut(content: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(content[: int(rng.integers(len(content)))])


def _double(content: bytearray, rng: np.random.Generator) -> bytes:
    """Repeat the whole file, or a part of it where it stands."""
    if rng.random() < 0.3:
        return bytes(content + content)
    start, stop = sorted(int(place) for place in rng.integers(len(content), size=2))
    return bytes(content[:stop] + content[start:])


def _extreme(content: bytearray, rng: np.random.Generator) -> bytes:
    """Write an extreme value over one to three fields of the header."""
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(min(len(content), HEADER)))
        value = EXTREME[int(rng.integers(len(EXTREME)))]
        value = value[: int(rng.choice([2, 4]))]
        content[start : start + len(value)] = value
    return bytes(content)


def _digits(content: bytearray, rng: np.random.Generator) -> bytes:
    """Replace a digit of a header written as text by others: sizes of MetaImage, NRRD, npy and of DICOM's text tags."""
    places = [place for place in range(min(len(content), HEADER)) if chr(content[place]).isdigit()]
    if not places:
        return _extreme(content, rng)
    place = places[int(rng.integers(len(places)))]
    text = [b"", b"-", b"99999999", b"0", b"e9", b"nan", b"7"][int(rng.integers(7))]
    return bytes(content[:place] + text + content[place + int(rng.integers(2)) :])


def _blank(content: bytearray, rng: np.random.Generator) -> bytes:
    """Overwrite a block with one value, as a lost sector of a disk."""
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 513))
    block = content[start : start + length]
    content[start : start + length] = bytes([int(rng.choice([0, 255]))]) * len(block)
    return bytes(content)


def _insert(content: bytearray, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(content)))
    return bytes(content[:place] + rng.bytes(int(rng.integers(1, 64))) + content[place:])


Kind = Callable[[bytearray, np.random.Generator], bytes]
KINDS: tuple[Kind, ...] = (_flip_anywhere, _flip_header, _cut, _double, _extreme, _digits, _blank, _insert)
