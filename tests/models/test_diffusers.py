"""Pipelines of diffusers, made here and read from a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from tiny_pipeline import CAPTIONS, save_tiny

from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.errors import BenchError
from benchmark.core.seeding import derive_seed
from benchmark.core.types import Budget, takes_prompts
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.plugins.registry import find_model
from benchmark.text2image.guided import embed_with_empty, guidance_norms, prompt_noise
from benchmark.text2image.loading import open_model


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
    assert {finding.status for finding in findings if finding.cohort == "2D, 1 channel"} == {"ok", "not applicable"}
    assert {finding.status for finding in findings if finding.cohort != "2D, 1 channel"} == {"refused"}


def test_images_do_not_depend_on_the_batch(pipeline: Path) -> None:
    adapter = opened(pipeline)
    once = np.concatenate(list(adapter.sample(5, seed=1)))
    adapter.sampling_batch = 2
    np.testing.assert_allclose(np.concatenate(list(adapter.sample(5, seed=1))), once, atol=1e-4)


def test_other_shapes_and_folders_are_refused(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as error:
        opened(pipeline, channels=3)
    assert str(error.value) == (
        f"{pipeline} generates images of shape (1, 16, 16), the cohort's items are (3, 16, 16)\n"
        "  hint: give --image-size 16 and as many channels"
    )
    with pytest.raises(BenchError) as error:
        opened(tmp_path)
    assert str(error.value) == f"{tmp_path} is empty\n  hint: give a folder that save_pretrained wrote"


def test_a_hub_id_needs_its_commit() -> None:
    with pytest.raises(BenchError) as error:
        Pipeline("google/ddpm-cat-256")
    assert str(error.value) == (
        "google/ddpm-cat-256 is no folder on this disk, and a hub id needs the commit of its files\n"
        "  hint: give --set path=FOLDER, or add --set revision=COMMIT"
    )


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny text-to-image pipeline that was never trained."""
    return save_tiny(tmp_path_factory.mktemp("prompted") / "tiny")


def test_pipelines_with_prompts_conform(prompted: Path) -> None:
    findings = check_adapter(find_model("diffusers"), {"path": str(prompted), "steps": 2})
    assert [finding for finding in findings if finding.status == "fault"] == []
    assert {finding.status for finding in findings if finding.cohort == "2D, 1 channel"} == {"ok", "not applicable"}


def test_prompts_are_sampled_as_the_pipeline_does(prompted: Path) -> None:
    adapter = opened(prompted)
    assert takes_prompts(adapter)
    (found,) = adapter.sample(2, seed=3, prompts=CAPTIONS[:2])
    generators = [torch.Generator().manual_seed(derive_seed(3, number)) for number in range(2)]
    made = adapter.pipeline(
        list(CAPTIONS[:2]), guidance_scale=7.5, num_inference_steps=2, generator=generators, output_type="np"
    )
    np.testing.assert_allclose(found, np.moveaxis(made.images, -1, 1) * 2 - 1, atol=1e-6)


def test_prompts_that_are_cut_are_not_quoted(prompted: Path, capfd: pytest.CaptureFixture[str]) -> None:
    next(opened(prompted).sample(1, seed=0, prompts=["secretword " * 1000]))
    printed = capfd.readouterr()
    assert "secretword" not in printed.out + printed.err


def test_pipelines_without_prompts_say_so(pipeline: Path) -> None:
    adapter = opened(pipeline)
    assert not takes_prompts(adapter)
    with pytest.raises(BenchError) as error:
        next(adapter.sample(1, seed=0, prompts=["a lung"]))
    assert str(error.value) == ("diffusers takes no prompts\n  hint: leave them out, or choose a text-to-image model")


def radedit(prompted: Path, **given: object) -> Pipeline:
    parts = {"parts": "radedit", "vae": str(prompted / "vae"), "text_encoder": str(prompted / "both"), **given}
    adapter = Pipeline(str(prompted), steps=2, **parts)  # type: ignore[arg-type]
    adapter.fit(toy_split(1, 2), folder=prompted, budget=Budget(), seed=0, device="cpu")
    return adapter


def test_radedit_is_put_together_from_its_parts(prompted: Path) -> None:
    """Parts of ours in place of the gated ones: unet, vae and text encoder from three folders, the card's scheduler."""
    shutil.copytree(prompted / "text_encoder", prompted / "both", dirs_exist_ok=True)
    shutil.copytree(prompted / "tokenizer", prompted / "both", dirs_exist_ok=True)
    adapter = radedit(prompted)
    config = adapter.pipeline.scheduler.config
    assert {name: config[name] for name in ("beta_schedule", "clip_sample", "timestep_spacing", "steps_offset")} == {
        "beta_schedule": "linear", "clip_sample": False, "timestep_spacing": "trailing", "steps_offset": 1,
    }  # fmt: skip
    assert adapter.pipeline.safety_checker is None
    assert find_model("diffusers").presets["radedit"].set["path"] == "microsoft/radedit"


def test_radedit_is_asked_by_its_preset(prompted: Path) -> None:
    """As `bench prompts diffusers --preset radedit --set ...`: no cohort is needed."""
    shutil.copytree(prompted / "text_encoder", prompted / "both", dirs_exist_ok=True)
    shutil.copytree(prompted / "tokenizer", prompted / "both", dirs_exist_ok=True)
    places = {"path": str(prompted), "vae": str(prompted / "vae"), "text_encoder": str(prompted / "both")}
    opened = open_model("diffusers", "cpu", preset="radedit", settings=places)
    assert opened.name == "diffusers-radedit"
    assert opened.pipeline.scheduler.config["timestep_spacing"] == "trailing"
    pipeline = opened.pipeline
    pipeline.tokenizer.model_max_length = 16  # of the toy encoder; RadEdit's takes the 128 that it is given
    text = embed_with_empty(pipeline, CAPTIONS[:1])
    norms, _ = guidance_norms(pipeline, text, prompt_noise(pipeline, CAPTIONS[:1], [0]), steps=2, guidance=7.5)
    assert (norms > 0).all()
    before = opened.identity
    (prompted / "vae" / "note").touch()
    again = open_model("diffusers", "cpu", preset="radedit", settings=places)
    assert again.identity != before, "every part's files count"


def test_radedit_wants_its_parts(prompted: Path) -> None:
    with pytest.raises(BenchError) as error:
        radedit(prompted, vae="stabilityai/sdxl-vae")
    assert str(error.value) == (
        "the preset radedit needs its vae from another place, and 'stabilityai/sdxl-vae' is not one\n"
        "  hint: give --set vae=FOLDER or --set vae=ID@COMMIT: docs/models.md shows the whole command"
    )
    with pytest.raises(BenchError) as error:
        radedit(prompted, text_encoder=str(prompted / "unet"))
    assert error.value.message.startswith(
        f"{prompted}, {prompted / 'vae'} and {prompted / 'unet'} are not parts of RadEdit "
    )
    assert error.value.hint == "log in to the hub, or give folders of all three"


def test_pipelines_that_change_an_image_are_named(prompted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prompted, tmp_path / "changes"))
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionImg2ImgPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BenchError) as error:
        next(opened(folder).sample(1, seed=0, prompts=["a lung"]))
    assert str(error.value) == (
        f"{folder} is a StableDiffusionImg2ImgPipeline, which needs an image: it does not generate images from noise, "
        "or from a prompt alone\n"
        "  hint: give a pipeline that does, such as StableDiffusionPipeline.from_pretrained(DIR).save_pretrained(NEW) "
        "of one that changes images"
    )


def test_pipelines_that_need_a_class_are_named() -> None:
    class Classes:
        def __call__(self, class_labels: list[int], steps: int = 2) -> None: ...

    adapter = Pipeline("x", revision="0" * 40)
    adapter._pipeline = Classes()
    with pytest.raises(BenchError) as error:
        adapter._require_no_input()
    assert str(error.value).startswith("x is a Classes, which needs class_labels: it does not generate images from")
