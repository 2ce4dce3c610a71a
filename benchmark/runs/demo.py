"""A demonstration of an audit: simulated patients in three folders, and a generator that copied some of them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write, private_folder
from benchmark.core.processes import run_in_processes
from benchmark.plugins.registry import find_dataset, load_class

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from benchmark.runs.audit import Audit

PATIENTS = 60
"""In each of train/ and heldout/; synthetic/ has as many images."""
COPIES = 15
"""How many synthetic images are copies. An audit of 60 patients sees 7 with 95 % power: twice as many are planted."""
ALTERED = {
    "exact": ("exact", ""),
    "flipped": ("flip", "left-right"),
    "rotated": ("rotate", "5 deg"),
    "darker": ("contrast", "gamma 1.4"),
    "blurred": ("blur", "1.0 px"),
}
"""What the generator does to the images that it copies, in turn: names in `planted_copies.STRENGTHS`."""
HEIGHTS = (10, 16)
"""Planes of each real patient, mm above the commissures: two images by which patients are recognised from names."""
APART = 10**4
"""Numbers of patients between the seeds of two demonstrations: they share no patient."""
COPIES_FILE = "copies.csv"


@dataclass(frozen=True)
class Copy:
    """A synthetic image that is a copy, and of what."""

    file: str
    train_file: str
    alteration: str
    """A key of ALTERED."""


@dataclass(frozen=True)
class NamedCopies:
    """What an audit named of the copies that were planted."""

    planted: dict[str, int]
    """Copies by alteration."""
    named: dict[str, int]
    """How many of them are in the list to withhold, next to the training image that they are copies of."""
    others: int
    """Images in the list that are no copies."""


def require_new(out: Path) -> None:
    """Raise UsageError where the folder of the demonstration is a file or holds files: nothing is replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    what = "is not empty" if out.is_dir() else "is no folder"
    raise UsageError(f"--out {out} {what}", "give a new folder: --out FOLDER")


def write_folders(out: Path, seed: int) -> list[Copy]:
    """Simulate patients and write out/train, out/heldout and out/synthetic, and out/copies.csv: which are copies.

    Raises MachineError where the folder may not be written, before anything is simulated.
    """
    private_folder(out)
    patients, others = 2 * PATIENTS, PATIENTS - COPIES
    images = simulated([seed * APART + number for number in range(patients + others)])
    train, heldout, new = images[:PATIENTS], images[PATIENTS:patients], images[patients:]
    _write_patients(out / "train", train, 1)
    _write_patients(out / "heldout", heldout, 1 + PATIENTS)
    copies = _write_synthetic(out / "synthetic", train, new, np.random.default_rng([seed, 24]))
    with atomic_write(out / COPIES_FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Copy)])
        table.writeheader()
        table.writerows(map(asdict, copies))
    return copies


def simulated(seeds: list[int]) -> NDArray[np.uint8]:
    """Return the images of simulated patients, (len(seeds), len(HEIGHTS), rows, columns), one process per core."""
    return np.stack(run_in_processes(_patient, [(seed,) for seed in seeds], label="simulating patients"))


def _patient(seed: int) -> NDArray[np.uint8]:
    images: NDArray[np.uint8] = load_class("datasets", find_dataset("phantom-mr")).images(seed, HEIGHTS)
    return images


def _write_patients(folder: Path, patients: NDArray[np.uint8], first: int) -> None:
    folder.mkdir()
    for number, images in enumerate(patients, first):
        for plane, image in enumerate(images, 1):
            PIL.Image.fromarray(image).save(folder / _name(number, plane))


def _name(patient: int, plane: int) -> str:
    return f"P{patient:03d}_{plane}.png"


def _write_synthetic(
    folder: Path, train: NDArray[np.uint8], new: NDArray[np.uint8], rng: np.random.Generator
) -> list[Copy]:
    """Write what the generator made, in random order: altered training images, and images of new patients."""
    folder.mkdir()
    patients = rng.permutation(len(train))[:COPIES]
    planes = rng.integers(len(HEIGHTS), size=PATIENTS)
    places = rng.permutation(PATIENTS)
    for place, images, plane in zip(places[COPIES:], new, planes[COPIES:], strict=True):
        PIL.Image.fromarray(images[plane]).save(folder / f"{place + 1:03d}.png")
    copies = []
    for number, (place, patient, plane) in enumerate(zip(places[:COPIES], patients, planes[:COPIES], strict=True)):
        alteration = list(ALTERED)[number % len(ALTERED)]
        name = f"{place + 1:03d}.png"
        PIL.Image.fromarray(altered(train[patient, plane], alteration)).save(folder / name)
        copies.append(Copy(name, _name(int(patient) + 1, int(plane) + 1), alteration))
    return sorted(copies, key=lambda copy: copy.file)


def altered(image: NDArray[np.uint8], alteration: str) -> NDArray[np.uint8]:
    """Return a copy of an image, (rows, columns), altered as a key of ALTERED says."""
    import torch

    from benchmark.images.planted_copies import STRENGTHS

    kind, strength = ALTERED[alteration]
    given = torch.from_numpy(image.astype(np.float32) / 127.5 - 1)[None, None]
    made = STRENGTHS[kind][strength](given)[0, 0].numpy()
    return np.rint(np.clip((made + 1) * 127.5, 0, 255)).astype(np.uint8)


def named_copies(copies: list[Copy], listed: pd.DataFrame) -> NamedCopies:
    """Compare the copies that were planted with an audit's list to withhold (`audit_files.withhold_list`)."""
    named = dict(zip(listed["file"], listed["train_file"], strict=True))
    return NamedCopies(
        planted=_counted(copies),
        named=_counted([copy for copy in copies if named.get(copy.file) == copy.train_file]),
        others=len(set(named) - {copy.file for copy in copies}),
    )


def _counted(copies: list[Copy]) -> dict[str, int]:
    counts = Counter(copy.alteration for copy in copies)
    return {name: counts[name] for name in ALTERED if counts[name]}


def for_machines(told: NamedCopies, audit: Audit) -> dict[str, Any]:
    """Return what `bench demo --json` adds to the summary of its audit."""
    return {
        "planted": sum(told.planted.values()),
        "named": sum(told.named.values()),
        "others": told.others,
        "by_alteration": {
            name: {"planted": count, "named": told.named.get(name, 0)} for name, count in told.planted.items()
        },
        "audit_exit_code": audit.verdict.exit_code,
    }
