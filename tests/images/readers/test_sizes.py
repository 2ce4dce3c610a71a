"""No header makes a reader take memory that its file cannot fill, and no small file fills the memory."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import PIL.Image
import pydicom
import pytest
import SimpleITK
from dicom_files import write_slice
from odd_files import nifti, npy, refusal
from pydicom.uid import DeflatedExplicitVRLittleEndian

from benchmark.core.errors import BadDataError
from benchmark.images.readers import limits, read_image
from benchmark.images.readers.dicom import frame_count
from benchmark.images.readers.dicom_tags import modality

AGAIN = "\n  hint: download or copy the file again"
SMALLER = "\n  hint: crop or resample it, save it with fewer bytes per pixel, or give more with --max-source-gib"
NOT_NUMPY = "{} is truncated, damaged or not a numpy file\n  hint: save it again with numpy.save or numpy.savez"
VOLUME = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def test_nifti_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", (3000, 3000, 3000), bytes(120))
    assert refusal(path) == (
        f"{path} is truncated or damaged: its header declares 3000 x 3000 x 3000 pixels, 54,000,000,000 bytes, "
        f"more than its 472 bytes can hold{AGAIN}"
    )


def test_compressed_nifti_that_declares_more_than_it_can_hold(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", (3000, 3000, 3000), bytes(120))
    assert refusal(path) == (
        f"{path} is truncated or damaged: its header declares 3000 x 3000 x 3000 pixels, 54,000,000,000 bytes, "
        f"more than its {path.stat().st_size} bytes can hold{AGAIN}"
    )


def test_compressed_nifti_that_ends_early(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", (3, 4, 5), bytes(100))
    assert refusal(path) == (f"{path} is truncated or damaged: its header declares 472 bytes, it unpacks to 452{AGAIN}")


def test_what_follows_the_voxels_is_not_kept(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", (3, 4, 5), VOLUME.tobytes(order="F") + bytes(20 * 2**20))
    tracemalloc.start()
    try:
        assert np.array_equal(read_image(path).pixels, VOLUME)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", (3, 4, 5), bytes(70 * 2**20))
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    assert str(caught.value) == f"{path} is damaged: its header declares 472 bytes, and it unpacks to more{AGAIN}"


def test_gzip_of_several_members(tmp_path: Path) -> None:
    content = nifti(tmp_path / "a.nii", (3, 4, 5), VOLUME.tobytes(order="F")).read_bytes()
    members = [gzip.compress(content[start : start + 100]) for start in range(0, len(content), 100)]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(members) + bytes(10))  # gzip allows zeros at the end
    assert np.array_equal(read_image(tmp_path / "a.nii.gz").pixels, VOLUME)
    (tmp_path / "a.nii.gz").write_bytes(b"".join(members) + b"text")
    assert refusal(tmp_path / "a.nii.gz") == (
        f"{tmp_path}/a.nii.gz is truncated or damaged: it cannot be unpacked{AGAIN}"
    )


def test_npy_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy("(100000, 100000)") + bytes(100))
    assert refusal(tmp_path / "a.npy") == (
        f"{tmp_path}/a.npy is truncated or damaged: its header declares 100000 x 100000 pixels, 40,000,000,000 bytes, "
        f"more than its 228 bytes can hold{AGAIN}"
    )


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_that_declares_more_than_it_holds(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
        archive.writestr("image.npy", npy("(100000, 100000)") + bytes(100))
        held = archive.infolist()[0].compress_size
    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path}/a.npz is truncated or damaged: its header declares 100000 x 100000 pixels, 40,000,000,000 bytes, "
        f"more than its {held} bytes can hold{AGAIN}"
    )


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_npy_and_npz_are_told_by_their_first_bytes(tmp_path: Path, name: str) -> None:
    content = io.BytesIO()
    np.savez(content, image=VOLUME) if name == "a.npy" else np.save(content, VOLUME)
    (tmp_path / name).write_bytes(content.getvalue())
    assert np.array_equal(read_image(tmp_path / name).pixels, VOLUME)


def test_npz_that_holds_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "text")
    assert refusal(tmp_path / "a.npz") == NOT_NUMPY.format(tmp_path / "a.npz")


def test_npz_packed_in_a_way_that_numpy_does_not_use(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("image.npy", npy("(1, 1)") + bytes(4))
    assert refusal(tmp_path / "a.npz") == NOT_NUMPY.format(tmp_path / "a.npz")


@pytest.mark.parametrize("spacing", [[1.0, 0.0], [1.0, np.nan], [-1.0, 1.0]])
def test_spacing_of_npz(tmp_path: Path, spacing: list[float]) -> None:
    np.savez(tmp_path / "a.npz", image=VOLUME, spacing_mm=spacing)
    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path}/a.npz has spacing_mm {spacing[0]:g}, {spacing[1]:g}: a size is above 0"
        "\n  hint: save the millimetres between pixels, or leave spacing_mm out"
    )


def test_hdf5_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", (100_000, 100_000), np.float32, chunks=(100, 100))[0, 0] = 1.0
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 is truncated or damaged: its header declares 100000 x 100000 pixels, 40,000,000,000 bytes, "
        f"more than its 40,000 bytes can hold{AGAIN}"
    )


@pytest.mark.parametrize("kind", ["link", "raw data", "virtual"])
def test_hdf5_may_not_open_other_files(tmp_path: Path, kind: str) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = VOLUME
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if kind == "link":
            file["image"] = h5py.ExternalLink("other.h5", "image")
        elif kind == "raw data":
            file.create_dataset("image", (3, 4), "u1", external=[(str(tmp_path / "other.h5"), 0, 12)])
        else:
            layout = h5py.VirtualLayout((3, 4, 5), "i2")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "image", shape=(3, 4, 5))
            file.create_virtual_dataset("image", layout)
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds no pixels: its array image is in another file"
        "\n  hint: copy the array itself into this file"
    )


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_itk_that_declares_more_than_it_holds(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(path))
    name = b"DimSize = " if ending == "mha" else b"sizes: "
    path.write_bytes(path.read_bytes().replace(name + b"5 4 3", name + b"5000 4000 3000"))
    assert refusal(path) == (
        f"{path} is truncated or damaged: its header declares 5000 x 4000 x 3000 pixels, 120,000,000,000 bytes, "
        f"more than its {path.stat().st_size} bytes can hold{AGAIN}"
    )


@pytest.mark.parametrize("write", [
    lambda path: np.save(path.with_suffix(".npy"), VOLUME),
    lambda path: np.savez_compressed(path.with_suffix(".npz"), VOLUME),
    lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path.with_suffix(".nii")),
    lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path.with_suffix(".nii.gz")),
    lambda path: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(path.with_suffix(".nrrd"))),
])  # fmt: skip
def test_the_limit_holds_for_whole_files(
    tmp_path: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a")
    (path,) = tmp_path.iterdir()
    monkeypatch.setenv(limits.VARIABLE, str(119 / 2**30))
    shape = "5 x 4 x 3" if path.suffix == ".nrrd" else "3 x 4 x 5"
    assert refusal(path) == (
        f"{path} holds {shape} pixels, which take 0.0 GiB; at most 1.11e-07 GiB per file are read{SMALLER}"
    )
    monkeypatch.setenv(limits.VARIABLE, str(120 / 2**30))
    read_image(path)


def test_a_ct_of_1200_planes_is_within_the_limit() -> None:
    limits.require_size(Path("ct.nii"), (512, 512, 1200), 2, 512 * 512 * 1200 * 2)
    limits.require_size(Path("ct.nii"), (512, 512, 1200), 4, 512 * 512 * 1200 * 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (8000, "holds 10000 x 8000 pixels, which take 0.9 GiB; at most 0.5 GiB per file are read" + SMALLER),
        (20_000, "holds too many pixels: Image size (200000000 pixels)\n  hint: crop or resample it"),
    ],
)
def test_a_raster_of_too_many_pixels(
    tmp_path: Path, columns: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limits.VARIABLE, "0.5")  # Pillow has a limit of its own, 2 GiB
    sizes = {256: columns, 257: 10_000, 258: 1, 259: 1, 262: 1, 273: 8, 279: 1}  # width, height, ..., place and length
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sizes.items())
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(sizes)) + entries + bytes(4))
    assert refusal(path) == f"{path} {message}"


def test_a_png_whose_pixels_declare_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    content = path.read_bytes()
    place = content.index(b"IDAT")
    path.write_bytes(content[: place - 4] + b"\x7f\xff\xff\xff" + content[place:])
    assert refusal(path) == f"{path} is truncated or damaged: its pixels cannot be read{AGAIN}"


def test_an_hdf5_chunk_that_is_larger_than_its_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        whole = (None, None, None)
        file.create_dataset("image", (3, 4, 5), "i2", chunks=(512, 512, 512), maxshape=whole, compression="lzf")
    assert "its header declares 512 x 512 x 512 pixels, 268,435,456 bytes" in refusal(tmp_path / "a.h5")


def test_a_deflated_dicom_file_that_unpacks_without_end(tmp_path: Path) -> None:
    """It has an image, and half a gigabyte of zeros in a private tag, in half a megabyte."""
    path = write_slice(tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8))
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.save_as(path)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(zlib.decompress(whole[start:], -15) + b"\xfe\x7f\x10\x10OB\0\0\0\0\0\x20")
    packed += b"".join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    assert read_image(path).pixels.shape == (8, 8)
    path.write_bytes(whole[:start] + packed)
    size = path.stat().st_size
    assert refusal(path) == (
        f"{path} is damaged: its {size:,} bytes unpack to more than {64 * 2**20 + 200 * size:,}"
        "\n  hint: download or copy the file again"
    )
    assert frame_count(path) == 1
    assert modality(path) == ""
