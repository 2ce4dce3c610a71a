"""Files whose headers declare what they do not hold, and how much memory it takes to refuse them."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

MOST = 2**22
"""Bytes of memory that a refusal may take."""


def refusal(path: Path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(BadDataError) as caught:
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    return str(caught.value)


def nifti(path: Path, shape: tuple[int, int, int], voxels: bytes) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    content = header.binaryblock + bytes(4) + voxels
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
