from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from benchmark.cohorts.check.export import manifest, write_dossier
from benchmark.cohorts.check.near_duplicates import find_near
from benchmark.cohorts.check.outliers import far_off
from benchmark.cohorts.check.report import check
from benchmark.cohorts.check.text import render
from benchmark.datasets.folder.dataset import Folder

MakeRoot = Callable[..., Path]


@pytest.fixture
def root(make_root: MakeRoot) -> Path:
    """Ten patients; p000 and p001 share an image, p002 has one twice."""
    root = make_root()
    np.save(root / "p001_0.npy", np.load(root / "p000_0.npy"))
    np.save(root / "p002_1.npy", np.load(root / "p002_0.npy"))
    return root


def report(arrays: Any, root: Path, quiet: Any, **options: Any) -> Any:
    return check("toy", arrays, root, root.parent / "cache", log=quiet, **options)[0]


def test_report(arrays: Any, root: Path, quiet: Any) -> None:
    found = report(arrays, root, quiet)
    pixels = np.stack([np.load(path) for path in sorted(root.glob("*.npy"))])
    assert (found.items, found.patients, found.shape, found.ok) == (20, 10, (1, 4, 4), True)
    assert sum(items for items, _ in found.splits.values()) == 20
    assert found.within == (("p002_0", "p002_1"),)
    assert found.across == (("p000_0", "p001_0"),)
    (grey,) = found.pixels.intensity
    assert (grey.least, grey.greatest) == (pixels.min(), pixels.max())
    assert grey.mean == pytest.approx(pixels.mean())


def test_a_split_by_name_alone_would_leak_for_some_seed(arrays: Any, root: Path, quiet: Any) -> None:
    reports = [report(arrays, root, quiet, split_seed=seed) for seed in range(8)]
    assert {found.groups_joined for found in reports} == {0, 1}
    assert all(found.leaks == () for found in reports)


def test_render(arrays: Any, root: Path, quiet: Any) -> None:
    rows = render(report(arrays, root, quiet))
    assert rows[0] == ("items", "20 of 10 patients")
    assert ("exact duplicates", "groups within a patient: 1, across patients: 1") in rows
    assert ("  across", "p000_0, p001_0") in rows
    assert rows[-1] == ("leaks between splits", "0")


def textured(patient: int) -> np.ndarray:
    """A smooth picture of its own for each patient, 32 x 32."""
    rng = np.random.default_rng(100 + patient)
    coarse = rng.integers(20, 220, (8, 8)).astype(np.uint8)
    return np.kron(coarse, np.ones((4, 4), np.uint8))


@pytest.fixture
def torn(make_root: MakeRoot) -> Path:
    """Twelve patients of one image; p003 was brightened and saved again as p007; p006 is nearly empty."""
    root = make_root(0)
    for patient in range(12):
        np.save(root / f"p{patient:03d}_0.npy", textured(patient))
    np.save(root / "p007_0.npy", (textured(3) * 0.9 + 15).astype(np.uint8))
    np.save(root / "p006_0.npy", np.pad(np.full((2, 2), 200, np.uint8), 15))
    return root


def seed_that_tears(arrays: Any, root: Path, quiet: Any) -> int:
    for seed in range(20):
        if report(arrays, root, quiet, split_seed=seed).leaks:
            return seed
    raise AssertionError("no seed puts the near duplicates on two sides")


def test_near_duplicates_are_one_person_under_two_names(arrays: Any, torn: Path, quiet: Any) -> None:
    found = report(arrays, torn, quiet)
    ((first, second, correlation),) = found.near
    assert (first, second) == ("p003_0", "p007_0")
    assert correlation > 0.99
    assert found.same_patient == {"p003 = p007": 1}
    assert found.across == ()


def test_near_duplicates_on_two_sides_are_a_leak(arrays: Any, torn: Path, quiet: Any) -> None:
    seed = seed_that_tears(arrays, torn, quiet)
    found = report(arrays, torn, quiet, split_seed=seed)
    assert not found.ok
    (leak,) = found.leaks
    assert leak.startswith("near duplicates (")
    assert "p003_0 in " in leak
    assert "p007_0 in " in leak


def test_fix_leaves_out_the_side_that_was_held_out(arrays: Any, torn: Path, quiet: Any, tmp_path: Path) -> None:
    seed = seed_that_tears(arrays, torn, quiet)
    found, stored, cohort = check("toy", arrays, torn, torn.parent / "cache", log=quiet, split_seed=seed)
    paths = write_dossier(tmp_path / "dossier", found, stored, cohort, fix=True)
    assert [path.name for path in paths] == ["check.json", "manifest.json", "contact.png", "exclude.csv"]
    listed = pd.read_csv(paths[3])
    assert set(listed["item"]) <= {"p003_0", "p007_0"}
    assert set(listed["item"]) < set(cohort.calibration.items) | set(cohort.test.items)
    again = report(arrays, torn, quiet, split_seed=seed, exclude=paths[3])
    assert again.ok
    assert again.near == ()


def test_empty_and_unusual_items(arrays: Any, torn: Path, quiet: Any) -> None:
    found = report(arrays, torn, quiet)
    assert found.pixels.empty == ("p006_0",)
    assert found.pixels.outliers == ("p006_0",)


def test_far_off_is_told_from_the_others() -> None:
    means = np.r_[np.random.default_rng(0).normal(100, 5, 50), 190.0][:, None]
    assert far_off(means).nonzero()[0].tolist() == [50]
    assert not far_off(np.full((9, 2), 3.0)).any(), "nothing is unusual where all are one"


def test_manifest_names_every_file_and_split(arrays: Any, torn: Path, quiet: Any) -> None:
    _, stored, cohort = check("toy", arrays, torn, torn.parent / "cache", log=quiet)
    found: Any = manifest(stored, cohort)
    assert len(found["files"]) == 12
    assert found["files"][0]["sha256"] == hashlib.sha256((torn / "p000_0.npy").read_bytes()).hexdigest()
    assert sum(len(part["items"]) for part in found["splits"].values()) == 12
    other = check("toy", arrays, torn, torn.parent / "cache", log=quiet, split_seed=1)[2]
    assert found["splits"]["train"]["sha256"] != manifest(stored, other)["splits"]["train"]["sha256"]  # type: ignore[index]


def test_reports_are_counted_never_shown(arrays: Any, torn: Path, quiet: Any) -> None:
    class WithReports(type(arrays)):  # type: ignore[misc]
        def reports(self, root: Path) -> dict[str, str]:
            return {"p000_0": "No finding.", "p001_0": " No finding.", "p002_0": "Effusion of ___.", "p003_0": ""}

    found = report(WithReports(), torn, quiet)
    assert found.reports == (3, 2)
    assert ("reports", "3, 2 with the text of another") in render(found)
    assert "Effusion" not in repr(found)


def test_sources_by_orientation_and_spacing(make_root: MakeRoot, quiet: Any, tmp_path: Path) -> None:
    root = make_root(0)
    for number in range(5):
        voxels = np.random.default_rng(number).integers(0, 255, (16, 16, 9)).astype(np.uint8)
        sizes = [1, 1, 3] if number else [-2, -2, 3]
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([*sizes, 1])), root / f"{number}.nii.gz")
    found = check("folder", Folder(image_size=16, group_pattern="none"), root, tmp_path / "cache", log=quiet)[0]
    assert found.spacing_mm == {"1 x 1": 4, "2 x 2": 1}
    assert found.orientation == {"RAS": 4, "LPS": 1}
    assert ("orientation of files", "RAS: 4, LPS: 1") in render(found)


def test_near_pairs_of_volumes() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (6, 1, 12, 12, 12)).astype(np.uint8)
    pixels[4] = np.clip(pixels[1].astype(int) + rng.integers(-3, 4, pixels[1].shape), 0, 255)
    table = pd.DataFrame({"subject": list("abcdef"), "sha": [str(row) for row in range(6)]})
    assert [(pair.first, pair.second) for pair in find_near(pixels, table)] == [(1, 4)]
    one = table.assign(subject="a")
    assert find_near(pixels, one) == (), "neighbours within a patient are no news"
