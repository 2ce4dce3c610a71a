"""Damaged DICOM files that once ended in a stack trace, in 4 GiB, on the terminal or with the process."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from dicom_files import compress, write_slice
from pydicom.encaps import get_frame

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from benchmark.images.readers.codestream import Stated, stated_by_jpeg, streams_fit
from benchmark.images.readers.terminal import codec_messages

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
DAMAGED = " is not a DICOM file, or its header is damaged\n  hint: download or copy the file again"
UNDECODED = (
    " holds pixels that cannot be decoded ({})"
    "\n  hint: copy it again; where it is whole, unpack it with `gdcmconv --raw`"
)


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value).removeprefix(str(path))


def plane(path: Path) -> Path:
    return write_slice(path, np.arange(4096, dtype=np.uint16).reshape(64, 64), PixelSpacing=[1.0, 1.0])


def changed(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


def test_a_length_of_four_gigabytes(tmp_path: Path) -> None:
    """A tag before the pixels claims almost 4 GiB: none of it may be reserved, and the pixels are lost in it."""
    path = plane(tmp_path / "a.dcm")
    content = path.read_bytes()
    start = content.index(b"\x28\x00\x30\x00DS")  # PixelSpacing, here as unknown bytes
    path.write_bytes(content[: start + 4] + b"UN\0\0" + struct.pack("<I", 0xFFFFFFF0) + content[start + 8 :])
    tracemalloc.start()
    assert refusal(path) == (" is DICOM without an image (no pixel data)\n  hint: copy it again, or leave it out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26, "64 MiB"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x28\x00\x30\x00DS", b"\x28\x00\x30\x00D\x13"),
        (b"\x28\x00\x30\x00DS", b"\x28\x00\x30\x00Ds"),
        (b"\x02\x00\x00\x00UL\x04\x00", b"\x02\x00\x00\x00UL\x05\x00"),
    ],
    ids=["no type", "type in small letters", "a number of 5 bytes"],
)
def test_tags_of_unknown_types_and_wrong_lengths(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert refusal(changed(plane(tmp_path / "a.dcm"), old, new)) == DAMAGED


def test_a_jpeg_stream_that_ends_early(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Libjpeg fills the rest with one value, and says so on the terminal only."""
    path = plane(tmp_path / "a.dcm")
    compress(path, "jpeg")
    file = pydicom.dcmread(path)
    half = len(file.PixelData) // 2
    file.PixelData = file.PixelData[:half] + b"\xff\xd9" + file.PixelData[half + 2 :]  # the marker of the end
    file.save_as(path)
    assert refusal(path) == UNDECODED.format(file.file_meta.TransferSyntaxUID.name)
    assert capfd.readouterr() == ("", "")


STREAMS = {
    "JPEG-LS, precision": ("MR_small_jpeg_ls_lossless.dcm", b"\xff\xf7\x00\x0b\x10", b"\xff\xf7\x00\x0b\x1e"),
    "JPEG-LS, rows": (
        "MR_small_jpeg_ls_lossless.dcm",
        b"\xff\xf7\x00\x0b\x10\x00\x40",
        b"\xff\xf7\x00\x0b\x10\xff\x40",
    ),
    "JPEG 2000, precision": ("MR_small_jp2klossless.dcm", b"\x00\x01\x8f\x01\x01", b"\x00\x01\xc8\x01\x01"),
    "JPEG 2000, columns": ("MR_small_jp2klossless.dcm", b"\0\0\0\x00\x40\0\0\0\x40", b"\0\0\x10\x00\x40\0\0\0\x40"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_that_contradict_their_tags(tmp_path: Path, name: str) -> None:
    """GDCM would end the process for the first of each."""
    source, old, new = STREAMS[name]
    path = tmp_path / "a.dcm"
    path.write_bytes((TEST_FILES / source).read_bytes())
    assert streams_fit(pydicom.dcmread(path))
    assert not streams_fit(pydicom.dcmread(changed(path, old, new)))
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
    assert refusal(path) == UNDECODED.format(syntax)


SCAN = b"\xff\xda\x00\x08\x01\x01\x00"
FRAME = b"\xff\xc3\x00\x0b"


@pytest.mark.parametrize(
    ("old", "new"),
    [(SCAN + b"\x01", SCAN + b"\x09"), (FRAME + b"\x10", FRAME + b"\x9a"), (FRAME, b"\0\0" + FRAME[2:])],
    ids=["predictor", "precision", "no marker"],
)
def test_lossless_jpeg_headers(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = plane(tmp_path / "a.dcm")
    compress(path, "jpeg")
    assert streams_fit(pydicom.dcmread(path))
    assert not streams_fit(pydicom.dcmread(changed(path, old, new)))
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
    assert refusal(path) == UNDECODED.format(syntax)


def test_versions_of_jfif(tmp_path: Path) -> None:
    """Libjpeg warns of a version that does not begin with 1, and GDCM ends the process for the warning."""
    path = plane(tmp_path / "a.dcm")
    compress(path, "jpeg")
    stream = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    with_version = {
        version: stream[:2] + b"\xff\xe0\x00\x10JFIF\0" + bytes([version, 2, 0, 0, 1, 0, 1, 0, 0]) + stream[2:]
        for version in (1, 127)
    }
    assert stated_by_jpeg(stream) == Stated(rows=64, columns=64, components=1, precision=16)
    assert stated_by_jpeg(with_version[1]) == stated_by_jpeg(stream)
    assert stated_by_jpeg(with_version[127]) is None


def test_fewer_frames_than_declared(tmp_path: Path) -> None:
    path = plane(tmp_path / "a.dcm")
    compress(path, "rle")
    file = pydicom.dcmread(path)
    file.NumberOfFrames = 3
    file.save_as(path)
    assert refusal(path) == UNDECODED.format("RLE Lossless")


def test_other_text_on_the_terminal_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with codec_messages() as complaints:
        os.write(2, b"50 % of the files\n")
    assert (complaints, capfd.readouterr().err) == ([], "50 % of the files\n")
    with codec_messages() as complaints:
        os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
    assert (complaints, capfd.readouterr().err) == ([b"Corrupt JPEG data: premature end of data segment"], "")


def test_a_process_without_a_terminal(tmp_path: Path) -> None:
    path = plane(tmp_path / "a.dcm")
    compress(path, "jpeg")
    script = (
        "import os; os.close(2); from benchmark.images.readers import read_image; "
        f"print(read_image({str(path)!r}).pixels.shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    assert done.stdout == "(64, 64)\n"
