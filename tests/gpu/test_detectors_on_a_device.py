"""Detectors on a device: their rows against the CPU's, and trainings that a seed decides."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.devices import pick_device
from benchmark.detectors.copy import Options as CopyOptions
from benchmark.detectors.dar2025 import Options as DarOptions
from benchmark.detectors.frozen import Options as FrozenOptions
from benchmark.detectors.random_conv import random_features
from scripts.gpu_checks.same import no_tf32

COPY = CopyOptions(steps=4, batch_size=8, width=4)
DAR = DarOptions(epochs=1, batch_size=5, width=4)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("options", [COPY, replace(COPY, rotate90=True), DAR], ids=["copy", "copy-turns", "dar2025"])
def test_rows_are_the_cpu_s(device: str, options: CopyOptions | DarOptions, dims: int, tmp_path: Path) -> None:
    real = toy_split(2, dims)
    detector = options.fit(real, folder=tmp_path, key="toy", device=device)
    images = real.images()
    with no_tf32():
        rows = detector.embed(images)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    detector.encoder.to("cpu")
    assert np.abs(replace(detector, device=torch.device("cpu")).embed(images) - rows).max() < 1e-3


@pytest.mark.parametrize("options", [COPY, DAR], ids=["copy", "dar2025"])
def test_one_seed_gives_one_detector(device: str, options: CopyOptions | DarOptions, tmp_path: Path) -> None:
    real = toy_split(1, 2)
    first, second = (
        options.fit(real, folder=tmp_path / name, key="toy", device=device).embed(real.images())
        for name in ("one", "other")
    )
    assert np.array_equal(first, second)
    other = replace(options, seed=1).fit(real, folder=tmp_path / "third", key="toy", device=device)
    assert not np.array_equal(first, other.embed(real.images()))


@pytest.mark.parametrize("dims", [2, 3])
def test_random_features_are_the_cpu_s(device: str, dims: int) -> None:
    images = toy_split(2, dims).images()
    with no_tf32():
        ours = random_features(images, device=str(pick_device(device)))
    theirs = random_features(images, device="cpu")
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()


def test_a_frozen_encoder_of_a_file_gives_the_cpu_s_rows(device: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Flatten(), torch.nn.Linear(8 * 64, 6))
    place = tmp_path / "encoder.pt"
    torch.jit.script(network).save(str(place))
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    real, options = toy_split(2, 2), FrozenOptions(source=str(place), tag="toy", size=32, sha256=digest)
    with no_tf32():
        ours, theirs = (
            options.fit(real, folder=tmp_path, key="toy", device=where).embed(real.images())
            for where in (device, "cpu")
        )
    assert np.abs(ours - theirs).max() < 1e-3
