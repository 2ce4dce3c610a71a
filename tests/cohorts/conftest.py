from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmark.core.types import Items, Source
from benchmark.images.readers import read_image


@dataclass(frozen=True)
class Arrays:
    """PATIENT_NAME.npy or GROUP/PATIENT_NAME.npy: one 2D uint8 item a file."""

    shift: int = 0

    channels: ClassVar[tuple[str, ...]] = ("grey",)

    def sources(self, root: Path) -> Sequence[Source]:
        return [
            Source(
                subject=file.name.split("_")[0],
                name=file.relative_to(root).with_suffix("").as_posix(),
                files=(str(file),),
                group=file.parent.name if file.parent != root else "",
            )
            for file in sorted(root.rglob("*.npy"))
        ]

    def read(self, source: Source) -> Items:
        return Items(pixels=read_image(source.files[0]).pixels[None, None] + np.uint8(self.shift), names=("",))


@pytest.fixture
def arrays() -> Arrays:
    return Arrays()


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of patients with noise images; returns it."""

    def make(patients: int = 10, images: int = 2, side: int = 4) -> Path:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for patient in range(patients):
            for image in range(images):
                np.save(root / f"p{patient:03d}_{image}.npy", rng.integers(0, 256, (side, side), dtype=np.uint8))
        return root

    return make


@pytest.fixture
def quiet() -> Callable[[str], None]:
    return lambda text: None
