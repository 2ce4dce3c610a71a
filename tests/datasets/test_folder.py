from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import PIL.Image
import pytest
import SimpleITK
from dicom_files import enhanced, write_series, write_slice

from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, MissingDataError, UsageError
from benchmark.datasets.folder.dataset import Folder

EACH = "each image counts as a patient of its own: group_pattern is none"


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def refusal(read: Callable[[], object], kind: type[BenchError] = BadDataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def png(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(noise(20, 30, seed=seed)).save(path)
    return path


def subjects(dataset: Folder, root: Path) -> list[tuple[str, str]]:
    return [(source.subject, source.name) for source in dataset.sources(root)]


def read_all(dataset: Folder, root: Path) -> list[tuple[int, ...]]:
    return [dataset.read(source).pixels.shape for source in dataset.sources(root)]


def test_topmost_folder_is_the_patient(tmp_path: Path) -> None:
    for name in ("anna/day1/a.png", "anna/day2/a.png", "bert/a.png", "carl/b.png"):
        png(tmp_path / name)
    assert subjects(Folder(), tmp_path) == [
        ("anna", "anna/day1/a"), ("anna", "anna/day2/a"), ("bert", "bert/a"), ("carl", "carl/b"),
    ]  # fmt: skip
    assert Folder().remarks(tmp_path) == {
        "patients, from the folders, one each (another rule: --group-pattern)": ["anna", "bert", "carl"]
    }


@pytest.mark.parametrize(
    ("pattern", "patients"),
    [
        ("none", ["anna/day1/a", "anna/day2/a", "bert/day1/a"]),
        ("folder", ["anna", "anna", "bert"]),
        ("folder:1", ["anna", "anna", "bert"]),
        ("folder:2", ["day1", "day2", "day1"]),
        ("folder:-1", ["day1", "day2", "day1"]),
        ("^[^/]+/[^/]+", ["anna/day1", "anna/day2", "bert/day1"]),
    ],
)
def test_levels_of_folders_and_single_files_can_be_patients(tmp_path: Path, pattern: str, patients: list[str]) -> None:
    for name in ("anna/day1/a.png", "anna/day2/a.png", "bert/day1/a.png"):
        png(tmp_path / name)
    assert [subject for subject, _ in subjects(Folder(group_pattern=pattern), tmp_path)] == patients


def test_folders_of_series_count_as_levels(tmp_path: Path) -> None:
    for number in range(3):
        write_series(tmp_path / "all" / f"p{number}", noise(5, 8, 8, seed=number).astype(np.int16))
    assert subjects(Folder(), tmp_path) == [(f"p{number}", f"all/p{number}") for number in range(3)]
    for pattern in ("folder:2", "folder:-1"):
        found = subjects(Folder(group_pattern=pattern), tmp_path)
        assert found == [(f"p{number}", f"all/p{number}") for number in range(3)]


def test_wrong_levels(tmp_path: Path) -> None:
    png(tmp_path / "anna" / "a.png")
    assert refusal(lambda: Folder(group_pattern="folder:2").sources(tmp_path)) == (
        "group_pattern folder:2 finds no folder for anna/a.png, which is in 1 folders"
        "\n  hint: choose another level, or choose --set-data ending"
    )
    assert refusal(lambda: Folder(group_pattern="folder:0"), UsageError) == (
        "group_pattern 'folder:0' counts no folder\n  hint: write folder:1 for the topmost, folder:-1 for the innermost"
    )


@pytest.mark.parametrize(
    ("pattern", "remarks"),
    [
        ("none", [EACH]),
        ("P", ["group_pattern finds one patient for all images"]),
        ("P[0-9]+", ["group_pattern finds another patient for each image"]),
        ("P[0-2]", []),
    ],
)
def test_patterns_that_join_all_or_nothing_get_a_remark(tmp_path: Path, pattern: str, remarks: list[str]) -> None:
    for name in ("P10.png", "P11.png", "P20.png"):
        png(tmp_path / name)
    assert list(Folder(group_pattern=pattern).remarks(tmp_path)) == remarks


@pytest.mark.parametrize("pattern", ["P[0-9]+", "_(P[0-9]+)_"])
def test_pattern_finds_the_patient(tmp_path: Path, pattern: str) -> None:
    for name in ("x_P01_1.png", "x_P01_2.png", "x_P02_1.png"):
        png(tmp_path / name)
    dataset = Folder(group_pattern=pattern)
    assert [subject for subject, _ in subjects(dataset, tmp_path)] == ["P01", "P01", "P02"]
    assert dataset.remarks(tmp_path) == {}


def test_pattern_that_misses_one(tmp_path: Path) -> None:
    for name in ("P01.png", "other.png"):
        png(tmp_path / name)
    assert refusal(lambda: Folder(group_pattern="P[0-9]+").sources(tmp_path)) == (
        "group_pattern 'P[0-9]+' finds no patient in other.png\n  hint: widen it, or choose --set-data ending"
    )


def test_pattern_that_is_none() -> None:
    assert refusal(lambda: Folder(group_pattern="(P"), UsageError) == (
        "group_pattern '(P' is no regular expression: missing ), unterminated subpattern at position 0"
        "\n  hint: write such as '(P[0-9]+)_'"
    )


def test_table(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for number in range(3):
        png(root / "a" / f"{number}.png", number)
    table = tmp_path / "patients.csv"
    table.write_text("file,patient,label,split\na/0.png,P1,sick,train\na/1.png,P2,well,test\n")
    dataset = Folder(table=str(table))
    found = dataset.sources(root)
    assert [(source.subject, source.label, source.group) for source in found] == [
        ("P1", "sick", "train"),
        ("P2", "well", "test"),
    ]
    assert dataset.remarks(root) == {"left out, not in the table": ["a/2.png"]}


MISSING = (
    "{} has no column file and no patient; it has name"
    "\n  hint: name the columns so in the first line, with commas, semicolons, tabs or | between them; or "
    "say which they are: --columns patient=COLUMN,file=COLUMN"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.png\n", MISSING),
        (
            "file,patient\na.png,\n",
            (
                "{} has no id in column patient of line 2"
                "\n  hint: fill it in, or leave the row out; nan, NA, none, unknown and - count as empty"
            ),
        ),
        (
            "file,patient\na.png,1\na.png,2\n",
            (
                "{} lists a.png in lines 2 and 3 with different cells in column patient"
                "\n  hint: keep one row per file"
            ),
        ),
        ("file,patient\n", "{} has no rows\n  hint: save the table again, as CSV UTF-8"),
    ],
)  # fmt: skip
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    png(tmp_path / "images" / "a.png")
    table = tmp_path / "t.csv"
    table.write_text(text)
    assert refusal(lambda: Folder(table=str(table)).sources(tmp_path / "images")) == message.format(table)


def test_a_moved_table_is_the_same_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, keys = tmp_path / "images", []
    for number in range(4):
        png(root / f"{number}.png", number)
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        table = tmp_path / place / "patients.csv"
        table.write_text("file,patient\n" + "".join(f"{number}.png,P{number}\n" for number in range(4)))
        monkeypatch.chdir(table.parent)
        for name in (str(table), "patients.csv"):
            dataset = Folder(table=name, image_size=16)
            keys.append(prepare("folder", dataset, root, tmp_path / "cache", log=lambda text: None).key)
    assert len(set(keys)) == 1


def test_table_of_other_files(tmp_path: Path) -> None:
    png(tmp_path / "images" / "a.png")
    (tmp_path / "t.csv").write_text("file,patient\nb.png,1\n")
    dataset = Folder(table=str(tmp_path / "t.csv"))
    assert refusal(lambda: dataset.sources(tmp_path / "images"), MissingDataError) == (
        f"{tmp_path}/images holds none of the 1 files of {tmp_path}/t.csv"
        "\n  hint: give paths below the folder in the column file, such as a.png"
    )


def test_table_that_is_not_there() -> None:
    assert refusal(lambda: Folder(table="/nowhere.csv"), UsageError) == (
        "table names /nowhere.csv, which is no file\n  hint: give the path of a CSV file"
    )


def test_flat_images_of_all_kinds(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    PIL.Image.fromarray(noise(20, 30).astype(np.uint16) * 200).save(tmp_path / "b.png")
    PIL.Image.fromarray(noise(40, 30)).save(tmp_path / "c.jpg")
    PIL.Image.fromarray(noise(20, 30).astype(np.float32)).save(tmp_path / "d.tif")
    assert read_all(Folder(image_size=16, group_pattern="none"), tmp_path) == [(1, 1, 16, 16)] * 4


def test_radiographs_in_dicom(tmp_path: Path) -> None:
    for number in range(3):
        stored = noise(30, 20, seed=number).astype(np.uint16) * 16
        write_slice(tmp_path / f"p{number}" / "IM0001", stored, PhotometricInterpretation="MONOCHROME1")
    assert subjects(Folder(), tmp_path)[0] == ("p0", "p0/IM0001")
    assert read_all(Folder(image_size=16), tmp_path) == [(1, 1, 16, 16)] * 3


def test_arrays_hold_planes_of_one_patient(tmp_path: Path) -> None:
    planes = noise(5, 16, 16)
    np.savez(tmp_path / "anna.npz", images=planes)
    np.save(tmp_path / "bert.npy", planes[0])
    dataset = Folder(image_size=16)
    first, second = (dataset.read(source) for source in dataset.sources(tmp_path))
    assert np.array_equal(first.pixels[:, 0], planes)
    assert first.names == ("00000", "00001", "00002", "00003", "00004")
    assert second.names == ("",)


def test_arrays_of_other_numbers_need_no_window_but_may_have_one(tmp_path: Path) -> None:
    np.save(tmp_path / "ct.npy", np.linspace(-1000, 400, 256).reshape(16, 16))
    dataset = Folder(image_size=16, window="-1000,400")
    pixels = dataset.read(dataset.sources(tmp_path)[0]).pixels
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_arrays_can_be_volumes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(16, 16, 16))
    dataset = Folder(image_size=16, items="volumes")
    assert dataset.dimensions == 3
    assert read_all(dataset, tmp_path) == [(1, 1, 16, 16, 16)]


def test_flat_images_are_no_volumes(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    dataset = Folder(image_size=16, items="volumes")
    assert refusal(lambda: read_all(dataset, tmp_path)) == (
        f"{tmp_path}/a.png holds an array of shape (20, 30), one 3D volume is needed"
        "\n  hint: give volumes, one a file or one a DICOM folder"
    )


def test_volumes_of_all_formats_are_one_cohort(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(3):
        voxels = noise(12, 16, 10, seed=number)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), root / f"n{number}.nii.gz")
        SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(noise(10, 16, 12, seed=9 + number)), str(root / f"m{number}.mha")
        )
    with h5py.File(root / "h.h5", "w") as file:
        file["image"] = noise(12, 16, 10, seed=30)
    dataset = Folder(image_size=16, group_pattern="none")
    cohort = prepare("folder", dataset, root, tmp_path / "cache", log=lambda text: None)
    assert sum(map(len, (cohort.train, cohort.calibration, cohort.test))) == 70
    assert EACH in cohort.notes


def test_dicom_series_by_folder(tmp_path: Path) -> None:
    for number in range(3):
        hu = np.random.default_rng(number).integers(-1000, 400, (6, 20, 20))
        write_series(tmp_path / f"p{number}" / "study" / "ct", hu, names="I{:03d}")
    assert subjects(Folder(), tmp_path)[0] == ("p0", "p0/study/ct")
    assert read_all(Folder(image_size=20, window="lung"), tmp_path) == [(6, 1, 20, 20)] * 3


def test_enhanced_dicom_is_a_volume_in_one_file(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"p{number}").mkdir()
        enhanced(tmp_path / f"p{number}" / "vol.dcm", np.random.default_rng(number).integers(-1000, 400, (6, 20, 20)))
    assert read_all(Folder(image_size=20, window="lung"), tmp_path) == [(6, 1, 20, 20)] * 3


def test_mixed_kinds(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", noise(8, 8))
    (tmp_path / "notes.txt").write_text("mine")
    assert refusal(lambda: Folder().sources(tmp_path)) == (
        f"{tmp_path} mixes kinds of files: 1 flat images, 1 arrays\n  hint: choose one: --set-data ending=.png or "
        "--set-data ending=.npy"
    )
    assert subjects(Folder(ending=".npy"), tmp_path) == [("b", "b")]


def test_the_answer_for_mixed_kinds_fits_what_is_there(tmp_path: Path) -> None:
    for number in range(3):
        write_series(tmp_path / f"p{number}", noise(5, 8, 8, seed=number).astype(np.int16), names="I{:03d}")
        np.save(tmp_path / f"p{number}" / "x.npy", noise(8, 8))
        (tmp_path / f"p{number}" / "y.nii.gz").touch()
        (tmp_path / f"p{number}" / "z.nii.gz").touch()
    assert refusal(lambda: Folder().sources(tmp_path)) == (
        f"{tmp_path} mixes kinds of files: 3 DICOM series, 3 arrays, 6 volumes"
        "\n  hint: choose one: --set-data ending=dicom or --set-data ending=.npy or --set-data ending=.nii.gz"
    )
    assert [subject for subject, _ in subjects(Folder(ending="dicom"), tmp_path)] == ["p0", "p1", "p2"]


ENDINGS = (
    ".nii, .nii.gz, .hdr, .dcm, .dicom, .ima, .mhd, .mha, .nrrd, .nhdr, .h5, .hdf5, .npy, .npz, .png, .jpg, .jpeg, "
    ".tif, .tiff, or DICOM folders"
)


@pytest.mark.parametrize("ending", ["", ".mha"])
def test_no_images(tmp_path: Path, ending: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "brain.mgz").write_text("FreeSurfer's")
    assert refusal(lambda: Folder(ending=ending).sources(tmp_path), MissingDataError) == (
        f"{tmp_path} holds no image{' that ends in .mha' if ending else ''}; skipped, not images: 1 (.txt 1); "
        f"skipped, in formats that cannot be read: 1 (.mgz 1)\n  hint: put files there that end in {ENDINGS}"
    )


def test_array_of_four_dimensions(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(2, 2, 8, 8))
    assert refusal(lambda: read_all(Folder(), tmp_path)) == (
        f"{tmp_path}/a.npy holds an array of shape (2, 2, 8, 8)\n  hint: save planes as (n, rows, columns)"
    )


OPTION = "(--set-data nan=background takes them for background)"


def damaged(kind: str, root: Path) -> str:
    """Break one file of a folder of volumes, and return what must be said of it."""
    path = root / "odd.nii.gz"
    whole = nibabel.Nifti1Image(noise(16, 16, 10, seed=99), np.eye(4))
    nibabel.save(whole, path)
    content: dict[str, Any] = {
        "truncated": (path.read_bytes()[:-200], "is truncated or damaged: it cannot be unpacked"),
        "empty": (b"", "is empty (0 bytes)"),
        "text": (b"not a volume", "is not a NIfTI file, or its header is damaged"),
    }
    if kind in content:
        path.write_bytes(content[kind][0])
        return f"{path} {content[kind][1]}"
    voxels: dict[str, Any] = {
        "nan": (np.where(noise(16, 16, 10) > 250, np.nan, 1.0).astype(np.float32), None),
        "constant": (np.ones((16, 16, 10), np.uint8), "is constant: every pixel is 1"),
        "four dimensions": (noise(8, 8, 8, 3), "holds 4 dimensions (8, 8, 8, 3), one 3D volume is needed"),
    }
    if kind in voxels:
        array, said = voxels[kind]
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        return f"{path} {said or f'holds {int(np.isnan(array).sum())} pixels that are NaN {OPTION}'}"
    assert kind == "no orientation"
    whole.set_sform(np.zeros((4, 4)), code=1)
    nibabel.save(whole, path)
    return f"{path} does not say how its axes are oriented in the patient (its affine is singular or not finite)"


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "nan", "constant", "four dimensions", "no orientation"])
def test_one_broken_volume_is_named_and_the_rest_is_used(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(4):
        nibabel.save(nibabel.Nifti1Image(noise(16, 16, 10, seed=number), np.eye(4)), root / f"n{number}.nii.gz")
    said: list[str] = []
    expected = damaged(kind, root)
    dataset = Folder(image_size=16, group_pattern="none")
    cohort = prepare("folder", dataset, root, tmp_path / "cache", log=said.append)
    assert f"folder: left out, could not be used: odd ({expected})" in said
    assert sum(map(len, (cohort.train, cohort.calibration, cohort.test))) == 40
    strict = refusal(lambda: prepare("folder", dataset, root, tmp_path / "cache", strict=True))
    assert strict == (
        f"folder: left out, could not be used: odd ({expected})"
        "\n  hint: repair or remove these, or leave --strict out: the rest is used"
    )


def test_scans_of_the_head_warn_of_faces(tmp_path: Path) -> None:
    for number in range(3):
        hu = np.random.default_rng(number).integers(-1000, 400, (6, 20, 20))
        write_series(tmp_path / "root" / f"p{number}", hu, BodyPartExamined="HEAD" if number else "CHEST")
    said: list[str] = []
    prepare("folder", Folder(image_size=20), tmp_path / "root", tmp_path / "cache", log=said.append)
    warning = "a face can be rebuilt from them, so remove faces before anything leaves the house"
    assert f"folder: scans of the head: {warning}: p1, p2" in said
