from __future__ import annotations

import bz2
import os
import re
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

AGAIN = "\n  hint: download or copy the file again"


def volume() -> np.ndarray:
    return np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value)


def itk_image(direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(volume().transpose(2, 1, 0))
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((-10.0, 20.0, 5.0))
    image.SetDirection(direction)
    return image


@pytest.mark.parametrize("ending", ["mhd", "mha", "nrrd", "nhdr", "nii.gz"])
def test_itk_formats_and_nifti_agree(tmp_path: Path, ending: str) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / f"a.{ending}"))
    image = read_image(tmp_path / f"a.{ending}")
    assert np.array_equal(image.pixels, volume()[::-1, ::-1])
    assert image.spacing_mm == (1.0, 2.0, 3.0)
    assert image.orientation == "LPS"
    assert image.affine is not None
    assert image.affine @ [1, 2, 0, 1] == pytest.approx([10, -20, 5, 1])


def test_itk_direction_is_followed(tmp_path: Path) -> None:
    SimpleITK.WriteImage(itk_image((0, 1, 0, 1, 0, 0, 0, 0, -1)), str(tmp_path / "a.mha"))
    image = read_image(tmp_path / "a.mha")
    assert image.pixels.shape == (3, 2, 4)
    assert image.orientation == "PLI"
    assert np.array_equal(image.pixels, volume().transpose(1, 0, 2)[::-1, ::-1, ::-1])


def test_itk_plane(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(volume()[0])
    image.SetSpacing((1.5, 2.5))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    read = read_image(tmp_path / "a.mha")
    assert np.array_equal(read.pixels, volume()[0])
    assert read.spacing_mm == (2.5, 1.5)


def test_missing_raw_file(tmp_path: Path) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").unlink()
    assert refusal(tmp_path / "a.mhd") == (
        f"{tmp_path}/a.mhd is a header, and its file a.raw is missing\n  hint: copy header and voxels again"
    )


def test_colours_in_itk(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4, 4, 3)), isVector=True), str(tmp_path / "a.mha"))
    assert refusal(tmp_path / "a.mha") == (
        f"{tmp_path}/a.mha holds 3 dimensions and 3 values per voxel, one grey volume is needed"
        "\n  hint: split it into one file per volume"
    )


def test_nifti_in_ras_and_lps_are_one(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume()[::-1, ::-1], np.diag([1, 2, 3, 1])), tmp_path / "a.nii")
    SimpleITK.WriteImage(itk_image(), str(tmp_path / "b.nii"))
    assert np.array_equal(read_image(tmp_path / "a.nii").pixels, read_image(tmp_path / "b.nii").pixels)


@pytest.mark.parametrize(
    "kind", [np.dtype("complex64"), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])], ids=["complex", "colour"]
)
def test_nifti_of_other_than_real_numbers(tmp_path: Path, kind: np.dtype) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), kind), np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == (
        f"{tmp_path}/a.nii holds {kind} values, one real number per pixel is needed\n  hint: save magnitudes in grey"
    )


def test_nifti_with_an_unknown_unit(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(volume(), np.diag([1, 2, 3, 1]))
    image.header["xyzt_units"] = 5
    nibabel.save(image, tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").spacing_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("name", ["anything", "reconstruction_rss", "image"])
def test_hdf5(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = volume()
        if name != "anything":
            file["kspace"] = np.zeros((2, 2))
    assert np.array_equal(read_image(tmp_path / "a.h5").pixels, volume())


def test_hdf5_of_raw_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.zeros((2, 2), complex)
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds complex128 values, real numbers are needed\n  hint: save magnitudes, not raw data"
    )


def test_hdf5_of_many(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = volume(), volume()
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds 2 arrays (x, y) and none is named reconstruction_rss, reconstruction_esc, image"
        "\n  hint: save one image per file, named image"
    )


def test_truncated_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.zeros((100, 100))
    os.truncate(tmp_path / "a.h5", 3000)
    assert refusal(tmp_path / "a.h5") == f"{tmp_path}/a.h5 is truncated, damaged or not HDF5" + AGAIN


def header_with(tmp_path: Path, ending: str, old: str, new: str) -> Path:
    """Write a volume, and replace a part of its header."""
    path = tmp_path / f"a.{ending}"
    SimpleITK.WriteImage(itk_image(), str(path))
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd", "nhdr"])
@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "float32", "float64", "int64"])
def test_itk_number_types(tmp_path: Path, kind: str, ending: str, packed: bool) -> None:
    image = SimpleITK.GetImageFromArray(volume().transpose(2, 1, 0).astype(kind))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{ending}"), useCompression=packed)
    read = read_image(tmp_path / f"a.{ending}").pixels
    assert np.array_equal(read, volume())
    assert read.dtype == kind


def test_metaimage_in_the_other_byte_order(tmp_path: Path) -> None:
    path = header_with(tmp_path, "mha", "BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True")
    assert np.array_equal(read_image(path).pixels, volume()[::-1, ::-1].byteswap())


@pytest.mark.parametrize("skipped", ["7", "-1"])
def test_metaimage_with_a_header_in_its_voxel_file(tmp_path: Path, skipped: str) -> None:
    path = header_with(tmp_path, "mhd", "NDims = 3\n", f"NDims = 3\nHeaderSize = {skipped}\n")
    (tmp_path / "a.raw").write_bytes(b"7 bytes" + (tmp_path / "a.raw").read_bytes())
    assert np.array_equal(read_image(path).pixels, volume()[::-1, ::-1])


def test_metaimage_in_text(tmp_path: Path) -> None:
    header = "NDims = 3\nBinaryData = False\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    voxels = " ".join(map(str, volume().ravel(order="F")))
    (tmp_path / "a.mha").write_text(f"{header}{voxels}\n")
    assert np.array_equal(read_image(tmp_path / "a.mha").pixels, volume()[::-1, ::-1])


@pytest.mark.parametrize("listed", ["LIST", "a%02d.raw 1 4 1"])
def test_metaimage_with_one_file_per_plane(tmp_path: Path, listed: str) -> None:
    names = [f"a{number:02d}.raw" for number in range(1, 5)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(volume()[..., number].tobytes(order="F"))
    header = f"NDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = {listed}\n"
    (tmp_path / "a.mhd").write_text(header + ("\n".join(names) + "\n" if listed == "LIST" else ""))
    assert np.array_equal(read_image(tmp_path / "a.mhd").pixels, volume()[::-1, ::-1])


@pytest.mark.parametrize("size", ["0", "nan", "-1", "inf"])
def test_metaimage_of_impossible_spacing(tmp_path: Path, size: str) -> None:
    path = header_with(tmp_path, "mha", "ElementSpacing = 1 2 3", f"ElementSpacing = {size} 2 3")
    assert refusal(path) == (
        f"{path} has voxels of {size} x 2 x 3 mm: a size is above 0"
        "\n  hint: convert the original again, or leave it out"
    )


@pytest.mark.parametrize("row", ["1 0.5 0", "2 0 0", "0 1 0"])
def test_metaimage_whose_axes_are_not_at_right_angles(tmp_path: Path, row: str) -> None:
    path = header_with(tmp_path, "mha", "TransformMatrix = 1 0 0", f"TransformMatrix = {row}")
    assert refusal(path) == (
        f"{path} has axes that are not at right angles, or directions that are not of length 1"
        "\n  hint: convert the original DICOM series again, or leave it out"
    )


def test_itk_of_four_dimensions(tmp_path: Path) -> None:
    stacked = SimpleITK.JoinSeries([itk_image(), itk_image()])
    for ending in ("mha", "nrrd"):
        SimpleITK.WriteImage(stacked, str(tmp_path / f"a.{ending}"))
        assert refusal(tmp_path / f"a.{ending}") == (
            f"{tmp_path}/a.{ending} holds 4 dimensions and 1 values per voxel, one grey volume is needed"
            "\n  hint: split it into one file per volume"
        )


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_metaimage(tmp_path: Path, packed: bool, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 99, (8, 8, 8)).astype(np.int16)
    path = tmp_path / "a.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noise), str(path), useCompression=packed)
    os.truncate(path, path.stat().st_size - 50)
    assert refusal(path) == f"{path} is truncated or damaged: its header or its voxels cannot be read{AGAIN}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["changed", "cut"])
def test_the_checksum_of_compressed_metaimages_is_verified(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mha"
    SimpleITK.WriteImage(itk_image(), str(path), useCompression=True)
    content = path.read_bytes()
    path.write_bytes(content[:-2] if kind == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    assert refusal(path) == f"{path} is truncated or damaged: its header or its voxels cannot be read{AGAIN}"


@pytest.mark.parametrize("line", ["NDims = 3", "DimSize = 2 3 4", "ElementType = MET_SHORT", "ElementDataFile = LOCAL"])
def test_metaimage_without_a_line_of_its_header(tmp_path: Path, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = header_with(tmp_path, "mha", line + "\n", "")
    assert refusal(path) == f"{path} is truncated or damaged: its header or its voxels cannot be read{AGAIN}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["/etc/passwd", "../b.raw", "below/../../b.raw", "C:\\b.raw", "..\\b.raw"])
@pytest.mark.parametrize("ending", ["mhd", "nhdr"])
def test_headers_may_not_name_files_elsewhere(tmp_path: Path, ending: str, name: str) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / f"a.{ending}"))
    path = header_with(tmp_path, ending, "a.raw", name)
    assert refusal(path) == (
        f"{path} names the file {name}, which is not in its folder\n  hint: copy it there, and write its name only"
    )


def test_nrrd_without_its_voxels(tmp_path: Path) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / "a.nhdr"))
    (tmp_path / "a.raw").unlink()
    assert refusal(tmp_path / "a.nhdr") == (
        f"{tmp_path}/a.nhdr is a header, and its file a.raw is missing\n  hint: copy header and voxels again"
    )


@pytest.mark.parametrize(("space", "code"), [("right", "RAS"), ("left", "LAS")])
def test_nrrd_in_other_spaces(tmp_path: Path, space: str, code: str) -> None:
    path = header_with(tmp_path, "nrrd", "left-posterior-superior", f"{space}-anterior-superior")
    image = read_image(path)
    assert image.orientation == code
    assert np.array_equal(image.pixels, volume() if code == "RAS" else volume()[::-1])


@pytest.mark.parametrize(("unit", "factor"), [("m", 1000), ("cm", 10), ("mm", 1), ("um", 0.001)])
def test_nrrd_units(tmp_path: Path, unit: str, factor: float) -> None:
    path = header_with(tmp_path, "nrrd", "encoding:", f'space units: "{unit}" "{unit}" "{unit}"\nencoding:')
    assert read_image(path).spacing_mm == pytest.approx((factor, 2 * factor, 3 * factor))


@pytest.mark.parametrize("units", ['"mm" "mm" "cm"', '"s" "s" "s"'])
def test_nrrd_units_that_are_no_length(tmp_path: Path, units: str) -> None:
    path = header_with(tmp_path, "nrrd", "encoding:", f"space units: {units}\nencoding:")
    assert refusal(path) == (
        f"{path} has the space units {units}, a length in m, cm, mm or um is needed"
        "\n  hint: write the same unit for all axes, such as mm"
    )


def test_nrrd_axis_without_a_direction(tmp_path: Path) -> None:
    path = header_with(tmp_path, "nrrd", "(1,0,0) (0,2,0)", "none (0,2,0)")
    assert refusal(path) == (
        f"{path} has an axis without a direction in space (none (0,2,0) (0,0,3)), one grey volume is needed"
        "\n  hint: split it into one file per volume"
    )


@pytest.mark.parametrize("size", ["0", "nan"])
def test_nrrd_of_impossible_spacing(tmp_path: Path, size: str) -> None:
    path = header_with(tmp_path, "nrrd", "encoding:", f"spacings: {size} 2 3\nencoding:")
    assert refusal(path) == (
        f"{path} has voxels of {size} x 2 x 3 mm: a size is above 0"
        "\n  hint: convert the original again, or leave it out"
    )


def test_nrrd_that_does_not_name_the_axes_of_the_patient(tmp_path: Path) -> None:
    path = header_with(tmp_path, "nrrd", "left-posterior-superior", "3D-right-handed")
    image = read_image(path)
    assert np.array_equal(image.pixels, volume())
    assert (image.spacing_mm, image.affine, image.orientation) == ((1, 2, 3), None, "")
    assert image.remarks == (("in doubt, no orientation in the file: axes were kept as stored", ""),)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_voxels_whose_size_the_header_does_not_give(tmp_path: Path, ending: str) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / f"a.{ending}"))
    content = (tmp_path / f"a.{ending}").read_bytes()
    # NRRD has directions and sizes in one line, and the lines about space go together.
    for line in (rb"ElementSpacing = .*\n",) if ending == "mha" else (rb"space.*: .*\n",) * 3:
        content = re.sub(line, b"", content, count=1)
    (tmp_path / f"a.{ending}").write_bytes(content)
    image = read_image(tmp_path / f"a.{ending}")
    assert (image.spacing_mm, image.affine) == ((), None)
    assert np.array_equal(image.pixels, volume()[::-1, ::-1] if ending == "mha" else volume())


def test_metaimage_of_scaled_intensities(tmp_path: Path) -> None:
    new = "ElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = -3\nDimSize"
    read = read_image(header_with(tmp_path, "mha", "DimSize", new))
    assert np.array_equal(read.pixels, volume()[::-1, ::-1] * 0.5 - 3)


@pytest.mark.parametrize("slope", ["0", "nan", "x"])
def test_metaimage_of_a_damaged_scale(tmp_path: Path, slope: str) -> None:
    path = header_with(tmp_path, "mha", "DimSize", f"ElementToIntensityFunctionSlope = {slope}\nDimSize")
    assert refusal(path) == f"{path} is truncated or damaged: its header or its voxels cannot be read{AGAIN}"


@pytest.mark.parametrize(("axes", "doubted"), [("RAI", False), ("LPS", False), ("???", True), ("ASL", True)])
def test_metaimage_without_directions(tmp_path: Path, axes: str, doubted: bool) -> None:
    path = header_with(tmp_path, "mha", "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", "")
    path.write_bytes(
        path.read_bytes().replace(b"AnatomicalOrientation = RAI", f"AnatomicalOrientation = {axes}".encode())
    )
    read = read_image(path)
    assert np.array_equal(read.pixels, volume()[::-1, ::-1])
    said = "in doubt, no directions in the file: axes run to the left, the back and the head, as ITK assumes"
    assert read.remarks == (((said, ""),) if doubted else ())


def nrrd(path: Path, fields: str, voxels: bytes | None = None) -> Path:
    head = "NRRD0005\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\n"
    path.write_bytes(f"{head}{fields}\n\n".encode() + (voxels or volume().tobytes(order="F")))
    return path


def test_nrrd_with_the_unit_of_each_axis(tmp_path: Path) -> None:
    read = read_image(nrrd(tmp_path / "a.nrrd", 'encoding: raw\nspacings: 0.1 0.2 0.3\nunits: "cm" "cm" "cm"'))
    assert read.spacing_mm == pytest.approx((1.0, 2.0, 3.0))
    assert np.array_equal(read.pixels, volume())


@pytest.mark.parametrize(("fields", "message"), [
    ("encoding: raw\nkinds: domain domain list", "has an axis of kind list, one grey volume is needed"),
    ("encoding: raw\nkinds: RGB-color domain domain", "has an axis of kind RGB-color, one grey volume is needed"),
])  # fmt: skip
def test_nrrd_of_several_images(tmp_path: Path, fields: str, message: str) -> None:
    path = nrrd(tmp_path / "a.nrrd", fields)
    assert refusal(path) == f"{path} {message}\n  hint: split it into one file per volume"


def test_nrrd_of_bzip2(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", "encoding: bzip2", bz2.compress(volume().tobytes(order="F")))
    assert refusal(path) == f"{path} is packed with bzip2, which is not read\n  hint: save it with gzip, or unpacked"


@pytest.mark.parametrize("name", ["entry/data/counts", "entry/image"])
def test_hdf5_in_groups(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = volume()
        file["entry/again"] = file["entry"]  # a circle
        file["nowhere"] = h5py.SoftLink("/lost")
        if name.endswith("image"):
            file["entry/mask"] = volume() > 3
    assert np.array_equal(read_image(tmp_path / "a.h5").pixels, volume())


def test_hdf5_without_an_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("entry")
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds no array\n  hint: save one image per file, named image"
    )


@pytest.mark.parametrize("options", [
    {"compression": "lzf"}, {"scaleoffset": 0}, {"compression": "gzip", "shuffle": True, "fletcher32": True},
])  # fmt: skip
def test_hdf5_filters(tmp_path: Path, options: dict[str, object]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=volume(), chunks=(1, 2, 3), **options)
    assert np.array_equal(read_image(tmp_path / "a.h5").pixels, volume())


def test_hdf5_of_a_filter_that_is_not_installed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        packing = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        packing.set_chunk((2, 3, 4))
        packing.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((2, 3, 4))
        array = h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_INT16, space, packing)
        h5py.Dataset(array).id.write_direct_chunk((0, 0, 0), volume().tobytes())
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 is packed with the HDF5 filter 32001, which is not installed"
        "\n  hint: save it again with gzip (h5repack -f GZIP=4)"
    )


def test_hdf5_parts_that_are_not_written_have_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("image", (4, 3, 4), "i2", chunks=(2, 3, 4), fillvalue=-1000)
        array[:2] = volume()
    pixels = read_image(tmp_path / "a.h5").pixels
    assert np.array_equal(pixels[:2], volume())
    assert (pixels[2:] == -1000).all()


def test_an_nrrd_header_that_goes_over_into_pixels(tmp_path: Path) -> None:
    """It ended the process: found by `scripts/fuzz_files.py --format mixtures --first 40578 --count 1`."""
    path = tmp_path / "a.nrrd"
    path.write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspace direc\x00\x01\xff\x80" + bytes(range(256))
    )
    with pytest.raises(BadDataError) as refused:
        read_image(path)
    assert str(refused.value) == (
        f"{path} is truncated or damaged: its header or its voxels cannot be read\n"
        "  hint: download or copy the file again"
    )
