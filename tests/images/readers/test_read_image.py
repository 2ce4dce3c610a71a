import gzip
import pickle
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

AGAIN = "\n  hint: download or copy the file again"
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6)


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value)


def save_nifti(path: Path, volume: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine), path)
    return path


def volume() -> np.ndarray:
    return np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_rasters_keep_their_values(tmp_path: Path, ending: str, kind: type) -> None:
    pixels = RAMP.astype(kind) * (257 if kind is np.uint16 else 1)
    PIL.Image.fromarray(pixels).save(tmp_path / f"a.{ending}")
    read = read_image(tmp_path / f"a.{ending}").pixels
    assert read.dtype == kind
    assert np.array_equal(read, pixels)


def test_grey_stored_as_rgb_is_grey(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.stack([RAMP] * 3, -1)).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, RAMP)


def test_grey_palette_is_grey(tmp_path: Path) -> None:
    PIL.Image.fromarray(RAMP).convert("P").save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, RAMP)


def test_jpeg_channels_may_differ_a_little(tmp_path: Path) -> None:
    colours = np.stack([np.tile(RAMP * 5, (8, 8))] * 3, -1)
    colours[..., 0] += 1
    PIL.Image.fromarray(colours).save(tmp_path / "a.jpg", quality=95)
    assert read_image(tmp_path / "a.jpg").pixels.shape == (32, 48)


def test_colour_is_refused(tmp_path: Path) -> None:
    colours = np.stack([RAMP, RAMP, RAMP + 7], -1)
    PIL.Image.fromarray(colours).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png is a colour image (its channels differ by up to 7 levels), a grey image is needed"
        "\n  hint: convert it to grey, or leave it out"
    )


def test_transparency_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.stack([RAMP] * 4, -1), "RGBA").save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png has transparent pixels, an opaque grey image is needed\n  hint: save it as grey"
    )


def test_pages_are_refused(tmp_path: Path) -> None:
    page = PIL.Image.fromarray(RAMP)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    assert refusal(tmp_path / "a.tif") == (
        f"{tmp_path}/a.tif holds 2 pages, one image is needed\n  hint: save each page as its own file"
    )


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png does not exist\n  hint: check the path, or copy the file again"
    )


def test_folder_instead_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png cannot be opened: Is a directory\n  hint: check that it is a file, and its permissions"
    )


@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.npy", "a.npz", "a.nii", "a.jpeg"])
def test_zero_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert refusal(tmp_path / name) == f"{tmp_path}/{name} is empty (0 bytes){AGAIN}"


@pytest.mark.parametrize("name", ["a.png", "a.jpeg", "a.tif"])
def test_text_named_as_an_image(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>404</html>")
    assert refusal(tmp_path / name) == f"{tmp_path}/{name} is not an image, or its header is damaged{AGAIN}"


def test_text_named_as_nifti(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("<html>404</html>")
    assert refusal(tmp_path / "a.nii") == f"{tmp_path}/a.nii is not a NIfTI file, or its header is damaged{AGAIN}"
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"<html>404</html>"))
    assert refusal(tmp_path / "b.nii.gz") == (
        f"{tmp_path}/b.nii.gz is not a NIfTI file, or its header is damaged{AGAIN}"
    )


def test_text_named_as_packed_nifti(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_text("<html>404</html>")
    assert refusal(tmp_path / "a.nii.gz") == (
        f"{tmp_path}/a.nii.gz is not a NIfTI file, or its header is damaged{AGAIN}"
    )


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_text_named_as_numpy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>404</html>")
    assert refusal(tmp_path / name) == (
        f"{tmp_path}/{name} is truncated, damaged or not a numpy file"
        "\n  hint: save it again with numpy.save or numpy.savez"
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpeg"])
def test_truncated_raster(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path / name) == (f"{tmp_path}/{name} is truncated or damaged: its pixels cannot be read{AGAIN}")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.nii", "its header declares 16 x 16 x 16 pixels, 8,192 bytes, more than its 4,272 bytes can hold"),
        ("a.nii.gz", "it cannot be unpacked"),
    ],
)
def test_truncated_nifti(tmp_path: Path, name: str, what: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 16)).astype(np.int16)
    content = save_nifti(tmp_path / name, noise).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path / name) == f"{tmp_path}/{name} is truncated or damaged: {what}{AGAIN}"


def test_gzip_cut_in_its_trailer(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", volume())
    path.write_bytes(path.read_bytes()[:-6])
    assert refusal(path) == f"{path} is truncated or damaged: it cannot be unpacked{AGAIN}"


def test_gzip_with_flipped_bits(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(save_nifti(tmp_path / "a.nii", volume()).read_bytes(), 0))
    packed[-20] ^= 0xFF
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bytes(packed))
    assert refusal(path) == f"{path} is truncated or damaged: it cannot be unpacked{AGAIN}"


def test_nifti_of_the_second_version(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(volume(), np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(read_image(tmp_path / "a.nii.gz").pixels, volume())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["a.npy", "a.nii.gz", "a.tif"])
def test_not_finite(tmp_path: Path, bad: float, name: str) -> None:
    pixels = np.ones((4, 4) if name != "a.nii.gz" else (4, 4, 4), np.float32)
    pixels[0, 0] = bad
    if name == "a.npy":
        np.save(tmp_path / name, pixels)
    elif name == "a.tif":
        PIL.Image.fromarray(pixels).save(tmp_path / name)
    else:
        save_nifti(tmp_path / name, pixels)
    count = 4 if name == "a.nii.gz" else 1
    assert refusal(tmp_path / name) == (
        f"{tmp_path}/{name} holds {count} pixels that are {'NaN' if np.isnan(bad) else 'infinite'}"
        "\n  hint: replace them with finite values, or leave it out"
    )


def test_constant(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((4, 4), 9, np.uint8)).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png is constant: every pixel is 9\n  hint: export it again, or leave it out"
    )
    assert read_image(tmp_path / "a.png", constant_ok=True).pixels.max() == 9


def test_array_without_pixels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    assert refusal(tmp_path / "a.npy") == (
        f"{tmp_path}/a.npy holds an image without pixels, shape (0, 4)\n  hint: export the file again"
    )


def test_unknown_format(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.bmp") == (
        f"{tmp_path}/a.bmp is not an image format that can be read"
        "\n  hint: convert it to one of .nii, .nii.gz, .hdr, .dcm, .dicom, .ima, .mhd, .mha, .nrrd, .nhdr, "
        ".h5, .hdf5, .npy, .npz, .png, .jpg, .jpeg, .tif, .tiff"
    )


def test_pickle_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
    assert refusal(tmp_path / "a.pkl") == (
        f"{tmp_path}/a.pkl is a pickle, and opening a pickle can run any code hidden in it"
        "\n  hint: save the array with numpy.save and give the .npy file"
    )


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickle_inside_numpy(tmp_path: Path, name: str) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / name, objects) if name == "a.npy" else np.savez(tmp_path / name, image=objects)
    assert refusal(tmp_path / name) == (
        f"{tmp_path}/{name} holds pickled Python objects, and opening a pickle can run any code hidden in it"
        "\n  hint: save plain numbers: numpy.save(path, array.astype('float32'))"
    )


def test_text_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["x", "y"]))
    assert refusal(tmp_path / "a.npy") == (
        f"{tmp_path}/a.npy holds <U1 values, real numbers are needed\n  hint: save plain numbers"
    )


def test_npz_takes_its_only_or_named_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", anything=RAMP, spacing_mm=[2.0, 3.0])
    read = read_image(tmp_path / "a.npz")
    assert np.array_equal(read.pixels, RAMP)
    assert read.spacing_mm == (2.0, 3.0)
    np.savez(tmp_path / "b.npz", image=RAMP, mask=RAMP > 3)
    assert np.array_equal(read_image(tmp_path / "b.npz").pixels, RAMP)


def test_npz_of_many(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", left=RAMP, right=RAMP)
    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path}/a.npz holds 2 arrays (left, right) and none is named image, images, pixels"
        "\n  hint: save one image per file, named image"
    )


def test_nifti_orientations_give_one_array(tmp_path: Path) -> None:
    ras = read_image(save_nifti(tmp_path / "ras.nii", volume(), np.diag([1.0, 2.0, 3.0, 1.0])))
    flipped = volume()[::-1, ::-1]
    lps = read_image(save_nifti(tmp_path / "lps.nii", flipped, np.diag([-1.0, -2.0, 3.0, 1.0])))
    rotated = np.array([[0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]]) * [[1], [2], [3], [1]]
    ari = read_image(save_nifti(tmp_path / "rotated.nii", np.moveaxis(volume(), 0, 2), rotated))
    for other in (lps, ari):
        assert np.array_equal(other.pixels, ras.pixels)
        assert other.spacing_mm == ras.spacing_mm == (1.0, 2.0, 3.0)


def test_nifti_units(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(volume(), np.diag([500.0, 500.0, 500.0, 1.0]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").spacing_mm == (0.5, 0.5, 0.5)


def test_nifti_of_many_volumes(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", np.stack([volume()] * 2, -1))
    assert refusal(tmp_path / "a.nii") == (
        f"{tmp_path}/a.nii holds 4 dimensions (2, 3, 4, 2), one 3D volume is needed"
        "\n  hint: split it into one file per volume; data sets of volumes also take --set-data part=0"
    )


def test_nifti_with_one_volume_in_four_dimensions(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", volume()[..., None])
    assert read_image(tmp_path / "a.nii").pixels.shape == (2, 3, 4)


def test_nifti_without_orientation(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", volume())
    content = bytearray(path.read_bytes())
    content[280:328] = bytes(48)
    path.write_bytes(bytes(content))
    assert refusal(path) == (
        f"{path} does not say how its axes are oriented in the patient (its affine is singular or not finite)"
        "\n  hint: convert the original DICOM series again, or leave it out"
    )
