"""Files that are wrong as a whole: of another format than their name, put together of two, or small and endless."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from scripts.fuzzing.damage import EXTREME, HEADER
from scripts.fuzzing.samples import FORMATS

SINGLE = [name for name, (ending, _) in FORMATS.items() if ending]
"""Formats of one file."""
ZEROS = 2**24
"""Bytes of a block that is packed once and repeated."""


def mixture(folder: Path, rng: np.random.Generator) -> Path:
    """Write a file that is wrong in a way drawn at random, and return its path."""
    return WAYS[int(rng.integers(len(WAYS)))](folder, rng)


def _sample(folder: Path, rng: np.random.Generator, name: str | None = None) -> Path:
    """Write a whole file of this format, or of one drawn at random."""
    ending, write = FORMATS[name or SINGLE[int(rng.integers(len(SINGLE)))]]
    path = folder / f"mixed{ending}"
    write(path, rng)
    return path


def _wrong_ending(folder: Path, rng: np.random.Generator) -> Path:
    return _sample(folder, rng).rename(folder / f"wrong{FORMATS[SINGLE[int(rng.integers(len(SINGLE)))]][0]}")


def _two_formats(folder: Path, rng: np.random.Generator) -> Path:
    """Continue the header of one format with the rest of another."""
    body = _sample(folder, rng).read_bytes()
    path = _sample(folder, rng)
    cut = int(rng.integers(1, HEADER))
    path.write_bytes(path.read_bytes()[:cut] + body[cut:])
    return path


def _swapped_halves(folder: Path, rng: np.random.Generator) -> Path:
    path = _sample(folder, rng)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[middle:] + content[:middle])
    return path


def _lost_tail(folder: Path, rng: np.random.Generator) -> Path:
    """Cut off a few bytes, as of a checksum."""
    path = _sample(folder, rng)
    path.write_bytes(path.read_bytes()[: -int(rng.integers(1, 33))])
    return path


def _more_tail(folder: Path, rng: np.random.Generator) -> Path:
    path = _sample(folder, rng)
    path.write_bytes(path.read_bytes() + bytes([int(rng.choice([0, 255]))]) * int(rng.integers(1, 5000)))
    return path


def _gzip_bomb(folder: Path, rng: np.random.Generator) -> Path:
    """Follow a volume with 1.5 GiB of zeros."""
    path = _sample(folder, rng, "NIfTI, gzip")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(ZEROS), 9) * 96)
    return path


def _zip_bomb(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "mixed.npz"
    rows = int(rng.integers(1, 2**31))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 1024), }}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", b"\x93NUMPY\1\0\x76\0" + header.encode() + bytes(ZEROS))
    return path


def _png_bomb(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "mixed.png"
    width, height = (int(size) for size in rng.integers(2**10, 2**17, 2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", _packed()), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@cache
def _packed() -> bytes:
    return zlib.compress(bytes(ZEROS), 9)


def _chunk_bomb(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "mixed.h5"
    size = int(rng.integers(64, 1024))
    with h5py.File(path, "w") as file:
        whole = (None, None, None)
        chunk = (size, size, size)
        file.create_dataset("image", (8, 8, 8), "i2", chunks=chunk, maxshape=whole, compression="gzip", fillvalue=3)
    return path


def _nested_sequences(folder: Path, rng: np.random.Generator) -> Path:
    """Put sequences of undefined length into each other before the pixels of a DICOM file."""
    path = _sample(folder, rng, "DICOM")
    content, depth = path.read_bytes(), int(rng.integers(1, 20_000))
    start = 144 + int.from_bytes(content[140:144], "little")
    opened = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    path.write_bytes(content[:start] + opened + closed + content[start:])
    return path


def _deflated_dicom(folder: Path, rng: np.random.Generator) -> Path:
    """Deflate a DICOM file with a private tag of up to 160 MiB of zeros."""
    path = _sample(folder, rng, "DICOM")
    content, blocks = path.read_bytes(), int(rng.integers(1, 11))
    start = 144 + int.from_bytes(content[140:144], "little")
    head = content[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    growth = len(head) - start
    head = head[:140] + (start - 144 + growth).to_bytes(4, "little") + head[144:]
    place = head.index(b"1.2.840.10008.1.2.1.99")
    head = head[: place - 2] + (22).to_bytes(2, "little") + head[place:]
    tag = b"\xfe\x7f\x10\x10OB\0\0" + (ZEROS * blocks).to_bytes(4, "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content[start:] + tag)
    path.write_bytes(head + packed + b"".join(packer.compress(bytes(ZEROS)) for _ in range(blocks)) + packer.flush())
    return path


def _nifti_offset(folder: Path, rng: np.random.Generator) -> Path:
    """Write an extreme size or place of extensions into the header of a NIfTI file."""
    path = _sample(folder, rng, "NIfTI")
    content = bytearray(path.read_bytes())
    offset = [*EXTREME, *(struct.pack("<f", size) for size in (1e9, -352, 351.5, 348))]
    content[108:112] = offset[int(rng.integers(len(offset)))].ljust(4, b"\0")
    content[348:356] = b"\1\0\0\0" + EXTREME[int(rng.integers(len(EXTREME)))].ljust(4, b"\0")
    path.write_bytes(content)
    return path


Way = Callable[[Path, np.random.Generator], Path]
WAYS: tuple[Way, ...] = (
    *(_wrong_ending, _two_formats, _swapped_halves, _lost_tail, _more_tail) * 3,
    _gzip_bomb, _zip_bomb, _png_bomb, _chunk_bomb, _nested_sequences, _deflated_dicom, _nifti_offset,
)  # fmt: skip
