"""Simulated X-rays and a small copy detector, with which a cell of a sweep is over in seconds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.detectors import copy as contrastive
from benchmark.evaluation import suspects

PATIENTS = 60
NAMED = ("--data", "cxr-pneumonia", "--image-size", "32")


@dataclass(frozen=True)
class SmallDetector(contrastive.Options):
    """The copy detector's options, small: it trains in seconds."""

    size: int = 32
    width: int = 8
    steps: int = 60
    batch_size: int = 32


def use_small_detector() -> None:
    """Replace the options of the detector `copy`; a process of a sweep has to call this when it is imported."""
    contrastive.Options = SmallDetector  # type: ignore[misc]
    suspects.ALIGNED = 12


def run_bench(arguments: list[str]) -> None:
    """Be `bench` with these arguments."""
    from benchmark.cli.start import main as bench

    sys.argv[1:] = arguments
    bench()


def write_films(root: Path) -> None:
    """Write two films of each of 60 patients in the layout of `cxr-pneumonia`."""
    for patient in range(PATIENTS):
        kind, stem = ("NORMAL", f"IM-{patient:04d}-") if patient % 2 else ("PNEUMONIA", f"person{patient}_virus_")
        folder = root / "chest_xray" / "train" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for film, pixels in enumerate(_films(patient)):
            Image.fromarray(pixels).save(folder / f"{stem}{film:04d}.jpeg", quality=95)


def _films(patient: int, size: int = 48) -> list[np.ndarray]:
    """Return two films: anatomy that all share, the patient's own shape, and each film's own texture."""
    shared, own = _smooth(np.random.default_rng(10**6), size, 6), np.random.default_rng(patient)
    shape = _smooth(own, size, 8)
    films = [128 + 45 * shared + 40 * shape + 15 * _smooth(own, size, 16) for _ in range(2)]
    return [np.clip(film, 0, 255).astype(np.uint8) for film in films]


def _smooth(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return a random field that changes over size / cells pixels, about -1 to 1."""
    field = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC))
