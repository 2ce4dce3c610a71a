"""Make three folders for `bench audit` from the real X-rays of ../shared/data, with a known number of copies.

    python scripts/make_audit.py OUT --copies 20
    python scripts/make_audit.py OUT --copies 200 --identical

OUT/train and OUT/heldout hold X-rays of different patients, OUT/synthetic averages of three X-rays of patients that are
in neither, blurred (they copy nobody), and altered training images in their midst; OUT/copies.csv lists which they are.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from make_layouts import SHARED, make_cxr
from scipy.ndimage import gaussian_filter, rotate

Plane = np.ndarray[Any, Any]


PATIENT = re.compile("person[0-9]+|(NORMAL2-)?IM-[0-9]+")


def _crop(plane: Plane) -> Plane:
    rows, columns = (size // 20 for size in plane.shape)
    inner = PIL.Image.fromarray(plane[rows:-rows, columns:-columns])
    return np.asarray(inner.resize(plane.shape[::-1], PIL.Image.Resampling.BICUBIC))


ALTERED = {
    "flip": lambda plane: plane[:, ::-1],
    "rotate5": lambda plane: rotate(plane, 5, reshape=False, order=1, mode="nearest"),
    "contrast": lambda plane: np.round(255 * (plane / 255.0) ** 1.4).astype(np.uint8),
    "crop": _crop,
    "blur": lambda plane: gaussian_filter(plane, 1.5),
}


def patient(file: Path) -> str:
    """Return the patient of an X-ray by its name: person12_virus_34.jpeg, NORMAL2-IM-1274-0001.jpeg."""
    found = PATIENT.match(file.name)
    assert found, f"{file.name} names no patient"
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--heldout", type=int, default=300)
    parser.add_argument("--synthetic", type=int, default=200)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--identical", action="store_true", help="copy training images as they are")
    parser.add_argument("--mixed", action="store_true", help="copy held-out images, too: the model has seen both")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(3, f"{SHARED} is not there: the real data is expected next to the project\n")
    rng = np.random.default_rng(0)
    make_cxr(options.out / "all", aside=0)
    by_patient: dict[str, list[Path]] = {}
    for file in sorted((options.out / "all").rglob("*.jpeg")):
        by_patient.setdefault(patient(file), []).append(file)
    order = [by_patient[name] for name in rng.permutation(sorted(by_patient))]
    parts = {}
    for side, count in (("train", options.train), ("heldout", options.heldout), ("other", 3 * options.synthetic)):
        parts[side] = _take(order, count)
    for side in ("train", "heldout"):
        (options.out / side).mkdir(parents=True)
        for file in parts[side]:
            file.rename(options.out / side / file.name)
        parts[side] = sorted((options.out / side).iterdir())
    _write_synthetic(options, parts, rng)


def _take(order: list[list[Path]], count: int) -> list[Path]:
    taken: list[Path] = []
    while len(taken) < count:
        taken += order.pop()
    return taken[:count]


def _write_synthetic(options: argparse.Namespace, parts: dict[str, list[Path]], rng: np.random.Generator) -> None:
    folder = options.out / "synthetic"
    folder.mkdir()
    sources = parts["train"] + (parts["heldout"] if options.mixed else [])
    copied = [sources[place] for place in rng.permutation(len(sources))[: options.copies]]
    numbers = rng.permutation(options.synthetic)[: options.copies]
    rows = []
    for number in range(options.synthetic):
        three = [_read(parts["other"][3 * number + k]) for k in range(3)]
        size = three[0].shape[::-1]
        plane = np.mean([PIL.Image.fromarray(one).resize(size) for one in three], axis=0)
        PIL.Image.fromarray(gaussian_filter(plane, 1).astype(np.uint8)).save(folder / f"{number:04d}.png")
    for k, (number, file) in enumerate(zip(numbers, copied, strict=True)):
        name = "identical" if options.identical else list(ALTERED)[k % len(ALTERED)]
        plane = _read(file)
        made = plane if options.identical else ALTERED[name](plane)
        PIL.Image.fromarray(np.ascontiguousarray(made)).save(folder / f"{number:04d}.png")
        rows.append((f"{number:04d}.png", file.name, name))
    with (options.out / "copies.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "train_file", "altered"), *sorted(rows)])
    print(f"{options.synthetic} synthetic images, {len(rows)} of them copies, under {options.out}")


def _read(file: Path) -> Plane:
    return np.asarray(PIL.Image.open(file).convert("L"))


if __name__ == "__main__":
    main()
