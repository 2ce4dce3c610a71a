"""A small simulated X-ray folder, and a run that is over in seconds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PATIENTS = 60

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


def smooth(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """A random field that changes over size / cells pixels, about -1 to 1."""
    field = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC))


def films(seed: int, size: int = 48) -> list[np.ndarray]:
    """Two films of one patient: shared anatomy, the patient's own shape, each film's own texture."""
    shared, own = smooth(np.random.default_rng(10**6), size, 6), np.random.default_rng(seed)
    patient = smooth(own, size, 8)
    pictures = [128 + 45 * shared + 40 * patient + 15 * smooth(own, size, 16) for _ in range(2)]
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in pictures]


@pytest.fixture(scope="session")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 patients with two films each in the Kaggle layout."""
    root = tmp_path_factory.mktemp("xrays")
    for patient in range(PATIENTS):
        folder = root / "chest_xray" / "train" / ("NORMAL" if patient % 2 else "PNEUMONIA")
        folder.mkdir(parents=True, exist_ok=True)
        for film, picture in enumerate(films(patient)):
            stem = f"IM-{patient:04d}-{film:04d}" if patient % 2 else f"person{patient}_virus_{film}"
            Image.fromarray(picture).save(folder / f"{stem}.jpeg", quality=95)
    return root


@pytest.fixture
def run(bench: Bench, xrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Run copycat on the films, other options as given; the cohort and its detector are made once a session."""
    cache = tmp_path_factory.getbasetemp() / "cache"

    def call(*arguments: object, model: str = "copycat") -> subprocess.CompletedProcess[str]:
        common = ("--model", model, "--data", "cxr-pneumonia", "--root", xrays, "--image-size", 32, "--cache", cache)
        return bench("run", *common, *arguments)

    return call
