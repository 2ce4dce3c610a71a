"""Models that come trained, sampled on a device: the CPU's images, as their noise is drawn there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_monai_bundle import bundle

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.types import Budget
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.models.monai_bundle.adapter import Bundle
from scripts.gpu_checks.same import no_tf32


def unconditional(folder: Path) -> Path:
    """A tiny pipeline that was never trained."""
    import torch
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(folder)
    return folder


def drawn(model: Any, folder: Path, device: str) -> np.ndarray:
    model.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device=device)
    with no_tf32():
        return np.concatenate(list(model.sample(3, seed=1)))


@pytest.mark.parametrize("kind", ["diffusers", "monai-bundle"])
def test_samples_are_the_cpu_s(device: str, kind: str, tmp_path: Path) -> None:
    place = tmp_path / "model"
    place = unconditional(place) if kind == "diffusers" else bundle(place)
    ours, theirs = (
        drawn(
            Pipeline(str(place), steps=2) if kind == "diffusers" else Bundle(str(place), steps=2, range="signed"),
            tmp_path,
            where,
        )
        for where in (device, "cpu")
    )
    assert ours.shape == (3, 1, 16, 16)
    assert ours.std() > 0.01
    assert np.abs(ours - theirs).max() < 1e-2
