"""Make folders in the layouts that people download, from the small real sets in ../shared/data.

    python scripts/make_layouts.py cxr OUT            chest_xray/{train,test}/{NORMAL,PNEUMONIA}/*.jpeg, aside/
    python scripts/make_layouts.py brats OUT          two real cases and twelve phantom patients, BraTS20 layout
    python scripts/make_layouts.py hippocampus OUT    imagesTr/*.nii.gz
    python scripts/make_layouts.py luna OUT           block_000.npz ..., for the data set `folder`

Files keep their content and names. If OUT exists, files are added and none is deleted.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import zipfile
from pathlib import Path

import numpy as np

from benchmark.plugins.registry import find_dataset, load_class

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LUNA_BLOCK = 620
"""Candidates per scan, on average."""
CASES = "MICCAI_BraTS2020_TrainingData"


def make_cxr(out: Path, aside: int) -> int:
    """Unpack the X-rays into the published folders; undecided ones go to train, some patients' into OUT/aside."""
    folder = SHARED / "cxr_kermany_224"
    with (folder / "index.csv").open(newline="") as table:
        rows = {row["file"]: row for row in csv.DictReader(table)}
    apart = _patients_aside(list(rows.values()), aside)
    with zipfile.ZipFile(folder / "cxr_kermany_224.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")]
        for name in names:
            row = rows[Path(name).name]
            group = "test" if row["official_split_reconstructed"] == "test" else "train"
            part = "aside" if row["name_patient_id"] in apart else f"chest_xray/{group}"
            _write(out / part / name, archive.read(name))
    return len(names)


def _patients_aside(rows: list[dict[str, str]], count: int) -> set[str]:
    """Draw patients, of whom no image has a copy among the other patients' images."""
    copied = {row["name_patient_id"] for row in rows if row["exact_dup_group"]}
    patients = sorted({row["name_patient_id"] for row in rows} - copied)
    return set(np.random.default_rng(0).permutation(patients)[:count].tolist())


def make_brats(out: Path, phantoms: int) -> int:
    """Copy the real cases and simulate the others."""
    target = out / CASES
    for case in sorted(path for path in (SHARED / "mr_brats_4ch").iterdir() if path.is_dir()):
        shutil.copytree(case, target / case.name, dirs_exist_ok=True)
    if phantoms:
        simulated = out / "phantoms"
        load_class("datasets", find_dataset("phantom-mr"))(patients=phantoms).create(simulated)
        for case in sorted({file.parent for file in simulated.rglob("*_t1.nii*")}):
            shutil.move(case, target / case.name)
        shutil.rmtree(simulated)
    return sum(path.is_dir() for path in target.iterdir())


def make_hippocampus(out: Path) -> int:
    """Unpack the volumes."""
    with zipfile.ZipFile(SHARED / "mr_hippocampus_msd04" / "mr_hippocampus_msd04.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("images/") and name.endswith(".nii.gz")]
        for name in names:
            _write(out / "imagesTr" / Path(name).name, archive.read(name))
    return len(names)


def make_luna(out: Path) -> int:
    """Write the lung patches, one file for each run of candidates that is about one CT scan long.

    The source names no scan; candidates are listed by scan, 551,065 of 888 scans, so a run of 620 stands in for one.
    """
    out.mkdir(parents=True, exist_ok=True)
    archive = np.load(SHARED / "ct_luna16_patches50" / "ct_luna16_patches50.npz")
    images, order = archive["images"], archive["candidate_index"]
    for block in np.unique(order // LUNA_BLOCK):
        np.savez(out / f"block_{block:03d}.npz", images=images[order // LUNA_BLOCK == block])
    return len(images)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> None:
    """Make one layout and print how many files it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", choices=("cxr", "brats", "hippocampus", "luna"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--aside", type=int, default=0, help="patients whose X-rays go to OUT/aside, for averaged.py")
    parser.add_argument("--phantoms", type=int, default=12, help="simulated patients in addition to the two real ones")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(3, f"{SHARED} is not there: the real data is expected next to the project\n")
    if options.layout == "cxr":
        print(f"{make_cxr(options.out, options.aside)} images under {options.out}")
    elif options.layout == "brats":
        print(f"{make_brats(options.out, options.phantoms)} cases under {options.out}/{CASES}")
    elif options.layout == "luna":
        print(f"{make_luna(options.out)} patches under {options.out}")
    else:
        print(f"{make_hippocampus(options.out)} volumes under {options.out}/imagesTr")


if __name__ == "__main__":
    main()
