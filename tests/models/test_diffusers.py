"""Pipelines of diffusers, made here and read from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

from benchmark.conformance import check_adapter
from benchmark.contracts import Budget
from benchmark.errors import BenchError
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.registry import find_model
from benchmark.trials import toy_split


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline that was never trained."""
    folder = tmp_path_factory.mktemp("pipeline")
    unet = UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(folder)
    return folder


def opened(folder: Path, channels: int = 1) -> Pipeline:
    adapter = Pipeline(str(folder), steps=2)
    adapter.fit(toy_split(channels, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def test_it_conforms_to_planes_of_its_shape(pipeline: Path) -> None:
    findings = check_adapter(find_model("diffusers"), {"path": str(pipeline), "steps": 2})
    assert [finding for finding in findings if finding.status == "fault"] == []
    assert {finding.status for finding in findings if finding.on == "2D, 1 channel"} == {"ok", "not applicable"}
    assert {finding.status for finding in findings if finding.on != "2D, 1 channel"} == {"refused"}


def test_images_do_not_depend_on_the_batch(pipeline: Path) -> None:
    adapter = opened(pipeline)
    once = np.concatenate(list(adapter.sample(5, seed=1)))
    adapter.sampling_batch = 2
    np.testing.assert_allclose(np.concatenate(list(adapter.sample(5, seed=1))), once, atol=1e-4)


def test_other_shapes_and_folders_are_refused(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as error:
        opened(pipeline, channels=3)
    assert str(error.value) == (
        f"{pipeline} makes images of shape (1, 16, 16), the cohort's items are (3, 16, 16)\n"
        "  hint: give --image-size 16 and as many channels"
    )
    with pytest.raises(BenchError) as error:
        opened(tmp_path)
    assert error.value.message.startswith(f"{tmp_path} is no pipeline that diffusers can load: ")


def test_a_hub_id_needs_its_commit() -> None:
    with pytest.raises(BenchError) as error:
        Pipeline("google/ddpm-cat-256")
    assert str(error.value) == (
        "google/ddpm-cat-256 is no folder on this disk, and a hub id needs the commit of its files\n"
        "  hint: give --set path=FOLDER, or add --set revision=COMMIT"
    )
