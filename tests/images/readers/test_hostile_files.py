"""Files that are made to block, to fill the memory, or to have other files of this computer read as pixels."""

from __future__ import annotations

import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from odd_files import nifti, npy, refusal

from benchmark.core.errors import BadDataError, UsageError
from benchmark.images.readers import is_dicom, limits, read_image
from benchmark.images.readers.dicom import frame_count
from benchmark.images.readers.dicom_patients import owners

NOISE = np.random.default_rng(0).bytes(400_000)
"""Stored bytes that may unpack to 400 MB, as deflate goes, and of which no image unpacks to 300 MiB."""
AS_IMAGES_DO_NOT = (
    "more than 200 times as many, as images do not\n  hint: leave it out; if it is an image, save it without "
    "compression"
)


@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.npy", "a.h5", "a.mhd", "a.dcm", "a"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a socket"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    """Opening the pipe would block this test, and reading /dev/zero would not end."""
    target = tmp_path / "target"
    if kind == "a pipe":
        os.mkfifo(target)
    elif kind == "a socket":
        monkeypatch.chdir(tmp_path)  # the name of a socket is short
        socket.socket(socket.AF_UNIX).bind("target")
    path = tmp_path / name
    path.symlink_to("/dev/zero" if kind == "a device" else target)
    assert refusal(path) == f"{path} is {kind}, not a file\n  hint: leave it out"
    assert not is_dicom(tmp_path / "a")


@pytest.mark.parametrize("ending", ["mhd", "nhdr", "hdr"])
@pytest.mark.parametrize("through", ["link", "pipe", "link to a device"])
def test_a_header_reads_no_file_outside(tmp_path: Path, ending: str, through: str) -> None:
    outside, inside = tmp_path / "outside.raw", tmp_path / "data"
    inside.mkdir()
    outside.write_bytes(bytes(range(64)))
    voxels = inside / ("a.img" if ending == "hdr" else "a.raw")
    if through == "pipe":
        os.mkfifo(voxels)
    else:
        voxels.symlink_to(outside if through == "link" else "/dev/zero")
    path = header(inside / f"a.{ending}", voxels.name)
    if through == "link":
        assert refusal(path) == (
            f"{path} needs the file {voxels.name}, which is a link out of the data set's folder"
            "\n  hint: copy the file itself there"
        )
    else:
        kind = "a pipe" if through == "pipe" else "a device"
        assert refusal(path) == f"{voxels} is {kind}, not a file\n  hint: leave it out"


def test_links_within_the_data_set_are_read(tmp_path: Path) -> None:
    """As DataLad and git-annex lay them out: header and voxels are links to two folders below the root."""
    (tmp_path / "objects").mkdir()
    (tmp_path / "scans").mkdir()
    (tmp_path / "objects/voxels").write_bytes(bytes(range(64)))
    (tmp_path / "scans/a.raw").symlink_to("../objects/voxels")
    path = header(tmp_path / "scans/a.mhd", "a.raw")
    with limits.below(tmp_path):
        assert read_image(path).pixels.shape == (4, 4, 4)
    with pytest.raises(BadDataError):
        read_image(path)


def test_a_header_that_is_linked_reads_the_voxels_beside_it(tmp_path: Path) -> None:
    """A subset of a data set as links to all of its files."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "subset").mkdir()
    header(tmp_path / "whole/a.mhd", "a.raw")
    (tmp_path / "whole/a.raw").write_bytes(bytes(range(64)))
    for name in ("a.mhd", "a.raw"):
        (tmp_path / "subset" / name).symlink_to(tmp_path / "whole" / name)
    with limits.below(tmp_path / "subset"):
        assert read_image(tmp_path / "subset/a.mhd").pixels.shape == (4, 4, 4)


def header(path: Path, voxels: str) -> Path:
    """Write the header of 4 x 4 x 4 bytes in another file."""
    if path.suffix == ".hdr":
        content = bytearray(nifti(path.with_suffix(".nii"), (4, 4, 2), b"").read_bytes()[:348])
        path.with_suffix(".nii").unlink()
        content[108:112], content[344:348] = struct.pack("<f", 0), b"ni1\0"
        path.write_bytes(content)
    elif path.suffix == ".mhd":
        path.write_text(
            "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
            f"ElementDataFile = {voxels}\n"
        )
    else:
        path.write_text(f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: {voxels}\n")
    return path


@pytest.mark.parametrize("place", ["in a group", "behind a link within the file"])
def test_hdf5_with_hidden_links_to_other_files(tmp_path: Path, place: str) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("group")["far"] = h5py.ExternalLink("other.h5", "image")
        if place != "in a group":
            file["image"] = h5py.SoftLink("/group/far")
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds no pixels: its array group/far is in another file"
        "\n  hint: copy the array itself into this file"
    )


def gzip_volume(path: Path) -> None:
    nifti(path.with_suffix(".nii.gz"), (512, 512, 600), NOISE)


def zipped_array(path: Path) -> None:
    with zipfile.ZipFile(path.with_suffix(".npz"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", npy("(8650, 9090)") + NOISE)


def chunked_array(path: Path) -> None:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        array = file.create_dataset("image", (512, 512, 600), "i2", chunks=(64, 64, 64), compression="gzip")
        array.id.write_direct_chunk((0, 0, 0), NOISE)


@pytest.mark.parametrize("write", [gzip_volume, zipped_array, chunked_array])
def test_compression_that_no_image_has(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """None of it is unpacked: `refusal` measures the memory."""
    write(tmp_path / "a")
    (path,) = tmp_path.iterdir()
    message = refusal(path)
    assert message.startswith(f"{path} unpacks from 4")
    assert message.endswith(AS_IMAGES_DO_NOT)


def test_a_png_of_169_million_pixels_in_a_few_thousand_bytes(tmp_path: Path) -> None:
    side, path = 13_000, tmp_path / "a.png"
    packed = zlib.compress(bytes(2**20), 9)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    assert refusal(path) == (f"{path} unpacks from {path.stat().st_size:,} bytes to 169,000,000, {AS_IMAGES_DO_NOT}")


def test_a_sparse_png_is_not_taken_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 8, 8, 8, 0, 0, 0, 0, 0)
    path.write_bytes(start + struct.pack(">I4s", 2**26, b"IDAT"))
    os.truncate(path, 2**27)
    assert refusal(path) == (
        f"{path} is damaged: the checksum of its pixels is wrong\n  hint: download or copy the file again"
    )


def test_a_sparse_dicom_file_of_a_tebibyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.VARIABLE, "2")
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM")
    os.truncate(path, 2**40)
    assert refusal(path) == (
        f"{path} has 1024.0 GiB; at most 2 GiB per file are read"
        "\n  hint: leave it out, or give more with --max-source-gib"
    )
    assert frame_count(path) == 1
    assert owners([path], str) == ((0, 0, 0),)


def test_a_dicom_file_of_zeros(tmp_path: Path) -> None:
    """pydicom would take them for four million empty tags."""
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM" + bytes(2**21))
    assert refusal(path) == (
        f"{path} is not a DICOM file, or its header is damaged\n  hint: download or copy the file again"
    )


def test_the_limit_comes_from_the_memory_or_from_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    monkeypatch.setattr(limits, "machine_memory", lambda: 24 * 2**30)
    assert limits.limit() == 3 * 2**30
    monkeypatch.setattr(limits, "machine_memory", lambda: 256 * 2**30)
    assert limits.limit() == 8 * 2**30
    monkeypatch.setenv(limits.VARIABLE, "0.5")
    assert (limits.limit(), limits.limit_text()) == (2**29, "0.5 GiB")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "two"])
def test_limits_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(limits.VARIABLE, text)
    with pytest.raises(UsageError) as caught:
        limits.limit()
    assert str(caught.value) == (f"--max-source-gib {text} is no size\n  hint: give a number of GiB above 0, such as 2")
