from __future__ import annotations

import hashlib
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts.locate import locate
from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, MachineError, MissingDataError, UsageError
from benchmark.datasets.medmnist.dataset import MedMnist
from benchmark.plugins.registry import find_dataset

COUNTS = {"train": 12, "val": 5, "test": 4}


def refusal(read: Any, kind: type[BenchError]) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def publish(path: Path, *shape: int) -> Path:
    """Write a file as MedMNIST publishes them: six arrays, compressed."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in COUNTS.items():
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.integers(0, 2, (count, 1), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The table of the package `medmnist`, with a file of this disk behind the address."""
    file = publish(tmp_path / "published" / "pneumoniamnist_64.npz", 64, 64)
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    facts = {"pneumoniamnist": {"url_64": file.as_uri(), "MD5_64": digest}}
    info = types.ModuleType("medmnist.info")
    info.INFO = facts  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "medmnist", types.ModuleType("medmnist"))
    monkeypatch.setitem(sys.modules, "medmnist.info", info)
    return facts


@pytest.mark.parametrize(
    ("name", "size", "shape", "file"),
    [
        ("pneumoniamnist", 28, (28, 28), "pneumoniamnist.npz"),
        ("pathmnist", 32, (64, 64, 3), "pathmnist_64.npz"),
        ("organmnist3d", 20, (28, 28, 28), "organmnist3d.npz"),
    ],
)
def test_sets_of_all_kinds(tmp_path: Path, name: str, size: int, shape: tuple[int, ...], file: str) -> None:
    publish(tmp_path / file, *shape)
    dataset = MedMnist(set=name, image_size=size)
    dataset.create(tmp_path)
    found = dataset.sources(tmp_path)
    assert [sum(source.group == part for source in found) for part in COUNTS] == list(COUNTS.values())
    items = dataset.read(found[12])
    spatial = (size,) * (3 if name.endswith("3d") else 2)
    assert items.pixels.shape == (1, 3 if name == "pathmnist" else 1, *spatial)
    published = np.load(tmp_path / file)["val_images"][0]
    if size == 28:
        assert np.array_equal(items.pixels[0, 0], published)
    assert abs(items.pixels.mean() - published.mean()) < 3


def test_fetched_and_checked(tmp_path: Path, package: dict[str, Any]) -> None:
    card, dataset = find_dataset("medmnist"), MedMnist()
    root = locate(card, dataset, cache=tmp_path / "cache")
    assert root == tmp_path / "cache" / "embedded" / "medmnist"
    cohort = prepare("medmnist", dataset, root, tmp_path / "cache", split="official", log=lambda text: None)
    assert len(cohort.train) == 12
    assert len(cohort.calibration) + len(cohort.test) == 9


def test_damaged_download(tmp_path: Path, package: dict[str, Any]) -> None:
    package["pneumoniamnist"]["MD5_64"] = "0" * 32
    digest = hashlib.md5((tmp_path / "published" / "pneumoniamnist_64.npz").read_bytes()).hexdigest()
    assert refusal(lambda: MedMnist().create(tmp_path), BadDataError) == (
        f"pneumoniamnist_64.npz has the MD5 sum {digest}, {'0' * 32} is published\n  hint: download it again"
    )
    assert not (tmp_path / "pneumoniamnist_64.npz").exists()


def test_no_network(tmp_path: Path, package: dict[str, Any]) -> None:
    package["pneumoniamnist"]["url_64"] = "file:///nowhere/at/all.npz"
    said = refusal(lambda: MedMnist().create(tmp_path), MachineError)
    assert said.startswith("pneumoniamnist_64.npz could not be downloaded: ")
    assert said.endswith(f"\n  hint: download it by hand, and put it at {tmp_path}/pneumoniamnist_64.npz")


def test_unknown_set(tmp_path: Path, package: dict[str, Any]) -> None:
    assert refusal(lambda: MedMnist(set="kidneymnist").create(tmp_path), UsageError) == (
        "there is no MedMNIST set 'kidneymnist'\n  hint: choose from pneumoniamnist"
    )


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    monkeypatch.setitem(sys.modules, "medmnist.info", None)
    assert refusal(lambda: MedMnist().create(tmp_path), MissingDataError) == (
        "medmnist is not installed; it contains the addresses and checksums of the sets"
        "\n  hint: `pip install --no-deps medmnist` (its torchvision is not needed), or put the .npz file there "
        "yourself"
    )


def test_download_not_wanted(tmp_path: Path, package: dict[str, Any]) -> None:
    assert refusal(lambda: MedMnist(download=False).create(tmp_path), MissingDataError) == (
        f"{tmp_path}/pneumoniamnist_64.npz is not on this disk"
        "\n  hint: download pneumoniamnist_64.npz from https://medmnist.com, or set download=true"
    )


def test_truncated_file(tmp_path: Path) -> None:
    file = publish(tmp_path / "pneumoniamnist_64.npz", 64, 64)
    file.write_bytes(file.read_bytes()[:-100])
    assert refusal(lambda: MedMnist().create(tmp_path), BadDataError) == (
        f"{file} is truncated, damaged or no MedMNIST file\n  hint: delete it: it is fetched again"
    )


def test_other_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pneumoniamnist_64.npz", "w") as archive:
        archive.writestr("images.npy", b"")
    assert refusal(lambda: MedMnist().create(tmp_path), BadDataError) == (
        f"{tmp_path}/pneumoniamnist_64.npz is truncated, damaged or no MedMNIST file"
        "\n  hint: delete it: it is fetched again"
    )


def test_images_of_another_size(tmp_path: Path) -> None:
    publish(tmp_path / "pneumoniamnist_64.npz", 28, 28)
    dataset = MedMnist()
    dataset.create(tmp_path)
    folder = tmp_path / "pneumoniamnist_64"
    assert refusal(lambda: dataset.sources(tmp_path), BadDataError) == (
        f"{folder} holds uint8 images of shape (28, 28), uint8 of (64, 64) are published"
        f"\n  hint: delete it and {folder}.npz, then run the command again"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set": "../x"}, "'../x' is not the name of a MedMNIST set\n  hint: try pneumoniamnist or organmnist3d"),
        (
            {"set": "organmnist3d", "image_size": 128},
            "image_size 128 does not fit organmnist3d\n  hint: choose a size from 8 to 64",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    assert refusal(lambda: MedMnist(**options), UsageError) == message


def empty_volumes(file: Path, part: str, numbers: list[int]) -> None:
    """Make some volumes of a published file constant, as in a release of MedMNIST 3D (MedMNIST/MedMNIST#22)."""
    arrays = dict(np.load(file))
    arrays[f"{part}_images"][numbers] = 0
    np.savez_compressed(file, **arrays)


def test_empty_test_volumes_are_named_and_left_out(tmp_path: Path) -> None:
    """150 equal volumes would be 150 patients of the test split, and one group of duplicates across patients."""
    empty_volumes(publish(tmp_path / "organmnist3d.npz", 28, 28, 28), "test", [1, 2, 3])
    dataset, told = MedMnist(set="organmnist3d", image_size=28), []
    dataset.create(tmp_path)
    cohort = prepare("medmnist", dataset, tmp_path, tmp_path / "cache", split="official", log=told.append)
    assert [len(split) for split in cohort.splits].count(12) == 1
    assert len(cohort.real) == 21 - 3
    assert not {f"test{number:06d}" for number in (1, 2, 3)} & set(cohort.real.items)
    assert "left out, could not be used: 3" in cohort.notes
    reasons = ", ".join(
        f"test{number:06d} (image {number} of test is constant: every pixel is 0)" for number in (1, 2, 3)
    )
    assert f"medmnist: left out, could not be used: {reasons}" in told
    said = refusal(
        lambda: prepare("medmnist", dataset, tmp_path, tmp_path / "cache", strict=True, log=lambda _: None),
        BadDataError,
    )
    assert said.startswith("medmnist: left out, could not be used: test000001 (image 1 of test is constant")


def test_a_file_of_many_images_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "pneumoniamnist.npz", 28, 28)
    dataset, opened = MedMnist(image_size=28), []
    dataset.create(tmp_path)
    digest = hashlib.file_digest
    monkeypatch.setattr("benchmark.core.file_digests.SETTLED_SECONDS", 0)  # files this new may still be changing
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: opened.append(file.name) or digest(file, name))
    prepare("medmnist", dataset, tmp_path, tmp_path / "cache", workers=1, log=lambda _: None)
    sources = [name for name in opened if "cache" not in Path(name).parts]  # not those that the cache is sealed by
    assert len(sources) == len(set(sources)) == 3
