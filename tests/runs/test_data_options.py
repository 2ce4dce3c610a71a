"""Options of the data: --split, --exclude, --strict, --group-pattern, and `bench datasets check`."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import Bench, films
from PIL import Image

from benchmark.records.record import Record


def record_of(root: Path) -> Record:
    (path,) = root.glob("runs/*/*/seed-0/record.json")
    return Record.read(path)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Twenty patients with two films each, P03 saved again, brighter, as P17; names as a hospital would give them."""
    root = tmp_path / "mine"
    root.mkdir()
    for patient in range(20):
        for film, picture in enumerate(films(3 if patient == 17 else patient)):
            brighter = np.clip(picture * 0.9 + 12, 0, 255).astype(np.uint8) if patient == 17 else picture
            Image.fromarray(brighter).save(root / f"scan_P{patient:02d}_{film}.png")
    return root


def check(bench: Bench, mine: Path, *more: object) -> tuple[int, str, str]:
    done = bench("datasets", "check", "folder", "--root", mine, "--group-pattern", "P[0-9]+", "--image-size", 32, *more)
    return done.returncode, done.stdout, done.stderr


def leaking_seed(bench: Bench, mine: Path) -> int:
    return next(seed for seed in range(12) if check(bench, mine, "--split-seed", seed)[0] == 4)


def test_a_leak_is_found_fixed_and_gone(bench: Bench, mine: Path, tmp_path: Path) -> None:
    seed = leaking_seed(bench, mine)
    code, out, err = check(bench, mine, "--split-seed", seed, "--fix")
    assert (code, err) == (4, "folder: cached, 40 items of 20 patients\n")
    assert "P03 = P17: 2" in out
    (listed,) = tmp_path.glob("checks/*/exclude.csv")
    code, out, _ = check(bench, mine, "--split-seed", seed, "--exclude", listed)
    assert code == 0
    found = json.loads(max(tmp_path.glob("checks/*/check.json"), key=lambda path: path.stat().st_mtime_ns).read_text())
    assert found["ok"]
    assert (found["items"], found["patients"]) == (40, 20)


def test_broken_files_are_left_out_or_refused(bench: Bench, mine: Path) -> None:
    (mine / "scan_P05_1.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    code, out, err = check(bench, mine)
    assert code in (0, 4)
    said = (
        f"folder: left out, could not be used: scan_P05_1 ({mine}/scan_P05_1.png is not an image, or its header is "
        "damaged)"
    )
    assert said in err
    code, out, err = check(bench, mine, "--strict")
    assert (code, out) == (4, "")
    assert err.endswith(f"error: {said}\n  hint: repair or remove these, or leave --strict out: the rest is used\n")


def test_images_as_patients_mark_the_record(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 40, "--split", "images")
    assert done.returncode == 0, done.stderr
    record = record_of(tmp_path)
    assert (record.protocol, record.spec.split) == ("custom", "images")


def test_excluded_items_are_counted_in_the_record(run: Bench, tmp_path: Path) -> None:
    listed = tmp_path / "out.csv"
    listed.write_text("item\ntrain/NORMAL/IM-0001-0000\ntrain/NORMAL/IM-0003-0001\n")
    done = run("--samples", 40, "--exclude", listed)
    assert done.returncode == 0, done.stderr
    record = record_of(tmp_path)
    assert "items excluded by a list: 2" in record.cohort.notes
    assert record.protocol == "p2"
    assert len(record.hashes["files"]) == 16


def test_items_of_a_data_set_decide_what_a_model_must_take(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "volumes"
    root.mkdir()
    for patient in range(4):
        voxels = np.random.default_rng(patient).integers(0, 255, (16, 16, 16)).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), root / f"P{patient}.nii.gz")
    common = ("run", "--data", "folder", "--root", root, "--model", "styled-gan")
    done = bench(*common, "--set-data", "items=volumes")
    assert (done.returncode, done.stderr) == (
        2,
        (
            "error: styled-gan takes 2D items, folder has 3D items\n"
            "  hint: choose another model: `bench models` lists their dimensions\n"
        ),
    )


def test_no_name_reaches_the_record(bench: Bench, mine: Path, tmp_path: Path) -> None:
    table = tmp_path / "patients-of-ward-7.csv"
    rows = [f"{path.name},{path.name[5:8]}" for path in sorted(mine.iterdir())]
    table.write_text("\n".join(["file,patient", *rows]) + "\n")
    done = bench(
        "run", "--model", "copycat", "--data", "folder", "--root", mine, "--set-data", f"table={table}",
        "--image-size", 32, "--samples", 40,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("runs/*/*/seed-0/record.json")
    for private in ("scan_", "P03", str(mine), "ward-7"):
        assert private not in path.read_text()
