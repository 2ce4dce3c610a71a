from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.cohorts.ingest import prepare_items
from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.datasets.brats20.dataset import Brats20

FOUR = ("t1", "t2", "flair", "t1ce")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(file: Path, volume: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume, LPS), file)


def head(shape: tuple[int, int, int] = (240, 240, 6)) -> np.ndarray:
    """Slices 1 to 4 hold a bright block of 120 x 120 (21 % of 256 x 256), the others nothing."""
    volume = np.zeros(shape, np.int16)
    volume[60:180, 40:160, 1:5] = 900
    volume[100, 100, 2] = 1000
    volume[0, 0, 0] = -50
    return volume


def labels() -> np.ndarray:
    volume = np.zeros((240, 240, 6), np.uint8)
    volume[70:110, 70:110, 2] = 1
    volume[80:90, 80:90, 2] = 2
    volume[84:86, 84:86, 2] = 4
    return volume


def make_case(root: Path, name: str, channels: tuple[str, ...] = (*FOUR, "seg"), ending: str = "nii") -> Path:
    for channel in channels:
        save(root / name / f"{name}_{channel}.{ending}", labels() if channel == "seg" else head())
    return root / name


def read_all(root: Path, dataset: Brats20) -> None:
    for source in dataset.sources(root):
        dataset.read(source)


def refusal(root: Path, dataset: Brats20) -> str:
    with pytest.raises(BadDataError) as caught:
        read_all(root, dataset)
    return str(caught.value)


def test_recipe(tmp_path: Path) -> None:
    make_case(tmp_path, "BraTS20_Training_001")
    dataset = Brats20()
    (source,) = dataset.sources(tmp_path)
    items = dataset.read(source)
    assert items.names == ("z001", "z002", "z003", "z004")
    assert items.pixels.shape == (4, 5, 256, 256)
    assert items.pixels.dtype == np.uint8
    assert items.spacing_mm == (1.0, 1.0)
    # LPS files are stored as the picture is seen: rows are the second axis, columns the first, 8 pixels of padding
    assert np.all(items.pixels[0, :4, 8 + 40 : 8 + 160, 8 + 60 : 8 + 180] == 230)  # 229.5 rounds up
    assert items.pixels[0, 0].sum() == 230 * 120 * 120
    assert items.pixels[1, 0, 108, 108] == 255
    assert sorted(np.unique(items.pixels[1, 4])) == [0, 51, 102, 204]


def test_slice_rule_counts_the_padded_plane(tmp_path: Path) -> None:
    make_case(tmp_path, "a", FOUR)
    (source,) = Brats20(channels=FOUR).sources(tmp_path)
    share = 120 * 120 / 256**2
    assert len(Brats20(channels=FOUR, content=share - 1e-6).read(source).names) == 4
    assert len(Brats20(channels=FOUR, content=share).read(source).names) == 0
    assert len(Brats20(channels=FOUR, threshold=229.4).read(source).names) == 4
    assert len(Brats20(channels=FOUR, threshold=229.6).read(source).names) == 0


def test_channels_in_any_order_need_t1_for_the_rule_only(tmp_path: Path) -> None:
    make_case(tmp_path, "a")
    dataset = Brats20(channels=("seg", "t2"))
    (source,) = dataset.sources(tmp_path)
    full = Brats20().read(Brats20().sources(tmp_path)[0]).pixels
    assert dataset.channels == ("seg", "t2")
    assert np.array_equal(dataset.read(source).pixels, full[:, [4, 1]])


def test_smaller_items_are_area_means_and_labels_stay_labels(tmp_path: Path) -> None:
    make_case(tmp_path, "a")
    full, small = (Brats20(image_size=size).read(Brats20().sources(tmp_path)[0]) for size in (256, 64))
    means = full.pixels[:, :4].reshape(4, 4, 64, 4, 64, 4).mean(axis=(3, 5))
    assert np.array_equal(small.pixels[:, :4], np.floor(means + 0.5))
    assert set(np.unique(small.pixels[:, 4])) <= {0, 51, 102, 204}
    assert small.spacing_mm == (4.0, 4.0)


@pytest.mark.parametrize("inside", ["", "MICCAI_BraTS2020_TrainingData", "data/MICCAI_BraTS2020_TrainingData"])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_layouts(tmp_path: Path, inside: str, ending: str) -> None:
    for name in ("BraTS20_Training_002", "BraTS20_Training_001"):
        folder = tmp_path / inside / name
        folder.mkdir(parents=True)
        for channel in (*FOUR, "seg"):
            (folder / f"{name}_{channel}.{ending}").touch()
        (folder / f"._{name}_t1.{ending}").touch()
    sources = Brats20().sources(tmp_path)
    assert [source.subject for source in sources] == ["BraTS20_Training_001", "BraTS20_Training_002"]
    assert [Path(file).name for file in sources[0].files] == [
        f"BraTS20_Training_001_{channel}.{ending}" for channel in ("t1", *FOUR, "seg")
    ]


def test_names_of_2023_and_of_case_355(tmp_path: Path) -> None:
    for name in ("t1n", "t2w", "t2f", "t1c", "seg"):
        save(tmp_path / "BraTS-GLI-00000-000" / f"BraTS-GLI-00000-000-{name}.nii.gz", head())
    case = make_case(tmp_path, "BraTS20_Training_355", FOUR)
    save(case / "W39_1998.09.19_Segm.nii", labels())
    sources = Brats20().sources(tmp_path)
    assert [source.name for source in sources] == ["BraTS-GLI-00000-000", "BraTS20_Training_355"]
    assert sources[1].files[-1].endswith("W39_1998.09.19_Segm.nii")


def test_case_without_a_channel_is_left_out_and_named(tmp_path: Path) -> None:
    make_case(tmp_path, "whole")
    make_case(tmp_path, "unlabelled", FOUR)
    make_case(tmp_path, "poor", ("t2",))
    dataset = Brats20(channels=("t1", "t2", "seg"))
    assert [source.name for source in dataset.sources(tmp_path)] == ["whole"]
    assert dataset.remarks(tmp_path) == {
        "left out, no t1 and no seg": ["poor"],
        "left out, no seg": ["unlabelled"],
    }


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    make_case(tmp_path / "root", "whole")
    make_case(tmp_path / "root", "unlabelled", FOUR)
    said: list[str] = []
    prepare_items("brats20", Brats20(image_size=64), tmp_path / "root", tmp_path / "cache", log=said.append)
    assert said == ["brats20: prepared, 4 items of 1 patients", "brats20: left out, no seg: unlabelled"]


def test_no_case_is_complete(tmp_path: Path) -> None:
    make_case(tmp_path, "a", FOUR)
    assert refusal(tmp_path, Brats20()) == (
        f"none of the 1 cases under {tmp_path} is complete: a has no seg"
        "\n  hint: choose from the channels that are there, such as --channels t1,t2,flair,t1ce"
    )


def test_no_case(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        Brats20().sources(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no BraTS case: no folder with CASE_t1.nii.gz or CASE_t1.nii"
        "\n  hint: give the folder that holds MICCAI_BraTS2020_TrainingData, or one with one folder per case"
    )


def test_two_cases_of_one_name(tmp_path: Path) -> None:
    make_case(tmp_path / "one", "a", ("t1",))
    make_case(tmp_path / "two", "a", ("t1",))
    assert refusal(tmp_path, Brats20(channels=("t1",))) == (
        f"two folders under {tmp_path} are named a\n  hint: give the folder of one release, or rename one"
    )


def test_unknown_channel() -> None:
    with pytest.raises(UsageError) as caught:
        Brats20(channels=("t1", "flare"))
    assert str(caught.value) == (
        "BraTS has no channel 'flare'\n  hint: did you mean 'flair'? choose from t1, t2, flair, t1ce, seg"
    )


@pytest.mark.parametrize("channels", [(), ("t1", "t1")])
def test_channels_none_or_twice(channels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        Brats20(channels=channels)
    assert str(caught.value) == (
        f"channels {','.join(channels)!r} must name at least one channel, and none twice"
        "\n  hint: choose from t1, t2, flair, t1ce, seg"
    )


@pytest.mark.parametrize("size", [4, 512])
def test_size_that_does_not_fit(size: int) -> None:
    with pytest.raises(UsageError) as caught:
        Brats20(image_size=size)
    assert str(caught.value) == (
        f"image_size {size} does not fit: a BraTS slice has 256 pixels per side\n  hint: choose a size from 8 to 256"
    )


def test_mixed_shapes_in_one_case(tmp_path: Path) -> None:
    case = make_case(tmp_path, "a")
    save(case / "a_t2.nii", head((240, 240, 7)))
    assert refusal(tmp_path, Brats20()) == (
        f"{case}/a_t2.nii has shape (240, 240, 7), but the T1 of its case has (240, 240, 6)"
        "\n  hint: register the modalities of this case to one grid, or leave it out"
    )


def test_wrong_labels(tmp_path: Path) -> None:
    case = make_case(tmp_path, "a")
    save(case / "a_seg.nii", labels() * 3)
    assert refusal(tmp_path, Brats20()) == (
        f"{case}/a_seg.nii is not a BraTS segmentation: it holds values other than whole labels from 0 to 5"
        "\n  hint: give the file with the tumour labels 0, 1, 2, 4, or leave seg out of the channels"
    )


def test_empty_segmentation_is_fine_but_an_empty_modality_is_not(tmp_path: Path) -> None:
    case = make_case(tmp_path, "a")
    save(case / "a_seg.nii", np.zeros((240, 240, 6), np.uint8))
    assert Brats20().read(Brats20().sources(tmp_path)[0]).pixels[:, 4].max() == 0
    save(case / "a_flair.nii", np.zeros((240, 240, 6), np.int16))
    assert refusal(tmp_path, Brats20()) == (
        f"{case}/a_flair.nii is constant: every pixel is 0\n  hint: export it again, or leave it out"
    )


def test_no_positive_voxel(tmp_path: Path) -> None:
    case = make_case(tmp_path, "a")
    save(case / "a_t1.nii", head() - 1001)
    assert refusal(tmp_path, Brats20()) == (
        f"{case}/a_t1.nii has no voxel above 0\n  hint: export it again, or leave this case out"
    )


def test_one_bright_voxel_leaves_no_slice_and_is_said(tmp_path: Path) -> None:
    make_case(tmp_path / "root", "a")
    bright = head()
    bright[0, 0, 0] = 32000
    save(make_case(tmp_path / "root", "b") / "b_t1.nii", bright)
    said: list[str] = []
    prepare_items("brats20", Brats20(image_size=64), tmp_path / "root", tmp_path / "cache", log=said.append)
    assert said[1:] == ["brats20: left out, no item passes the recipe: b"]


def test_real_cases_keep_these_slices(real_data: Callable[[str], Path]) -> None:
    dataset = Brats20(channels=FOUR)
    kept = {}
    for source in dataset.sources(real_data("mr_brats_4ch")):
        items = dataset.read(source)
        kept[source.name] = (len(items.names), items.names[0], items.names[-1])
        assert items.pixels.min() == 0
        assert items.spacing_mm == (1.0, 1.0)
    assert kept == {"BraTS-GLI-00001-000": (79, "z045", "z123"), "TCGA-DU-7294": (65, "z045", "z109")}


def test_real_case_equals_the_recipe_written_out(real_data: Callable[[str], Path]) -> None:
    folder = real_data("mr_brats_4ch") / "TCGA-DU-7294"
    dataset = Brats20(channels=("t2",))
    source = next(source for source in dataset.sources(folder.parent) if source.name == folder.name)
    items = dataset.read(source)
    t1, t2 = (
        np.asarray(nibabel.load(folder / f"{folder.name}_{channel}.nii.gz").dataobj, float) for channel in ("t1", "t2")
    )
    for at, name in enumerate(items.names):
        z = int(name[1:])
        assert (t1[:, :, z] / t1.max() * 255 > 50).sum() > 0.15 * 256 * 256
        expected = np.floor(np.clip(t2[:, :, z].T / t2.max() * 255, 0, None) + 0.5)
        assert np.abs(items.pixels[at, 0, 8:-8, 8:-8] - expected).max() <= 1
        assert np.mean(items.pixels[at, 0, 8:-8, 8:-8] != expected) < 1e-4


def test_automatic_segmentation_is_used_and_named(real_data: Callable[[str], Path]) -> None:
    root = real_data("mr_brats_4ch")
    assert [source.name for source in Brats20().sources(root)] == ["TCGA-DU-7294"]
    assert Brats20().remarks(root) == {
        "left out, no seg": ["BraTS-GLI-00001-000"],
        "automatic segmentation used as seg": ["TCGA-DU-7294"],
    }


def test_ras_copy_of_a_real_case_gives_identical_slices(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    original = real_data("mr_brats_4ch") / "TCGA-DU-7294"
    shutil.copytree(original, tmp_path / "lps" / original.name)
    for file in original.glob("*.nii.gz"):
        turned = nibabel.as_closest_canonical(nibabel.load(file))
        assert nibabel.aff2axcodes(turned.affine) == ("R", "A", "S")
        (tmp_path / "ras" / original.name).mkdir(parents=True, exist_ok=True)
        nibabel.save(turned, tmp_path / "ras" / original.name / file.name.removesuffix(".gz"))
    lps, ras = (Brats20().read(Brats20().sources(tmp_path / form)[0]) for form in ("lps", "ras"))
    assert lps.names == ras.names
    assert np.array_equal(lps.pixels, ras.pixels)
