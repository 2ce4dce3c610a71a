"""Folders that people have: variants, shards, one level deeper, and what is no pipeline, named for what it is."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core import model_files
from benchmark.core.errors import BenchError
from benchmark.core.model_files import read_header
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.runs.run_record import found_settings
from benchmark.text2image.folders import find_pipeline
from benchmark.text2image.loading import open_model
from benchmark.text2image.not_pipelines import (
    INVERSION,
    INVERSION_HINT,
    LFS_HINT,
    LORA,
    LORA_HINT,
    SINGLE_HINT,
    TRAINING_HINT,
)

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
UNET = "unet/diffusion_pytorch_model"


def refusal(place: Path, variant: str = "") -> str:
    with pytest.raises(BenchError) as error:
        find_pipeline(place, variant)
    return str(error.value)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A pipeline that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "pipe"))


def as_variant(folder: Path, name: str, dtype: torch.dtype, *, keep: bool = False) -> Path:
    """Write the weights of all parts as a variant, in place of the plain ones, or next to them."""
    for path in [path for path in folder.rglob("*.safetensors") if path.name.count(".") == 1]:
        tensors = {key: value.to(dtype) for key, value in load_file(path).items()}
        save_file(tensors, path.with_name(f"{path.stem}.{name}.safetensors"), metadata={"format": "pt"})
        if not keep:
            path.unlink()
    return folder


# Variants


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), ("non_ema", torch.float32)]
)
def test_a_variant_alone_is_found_and_computed_in_float32(
    copy: Path, name: str, dtype: torch.dtype, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "_said", set())
    expected = open_model(str(copy), "cpu").pipeline.unet.conv_in.weight
    as_variant(copy, name, dtype)
    loaded = open_model(str(copy), "cpu")
    assert loaded.facts == (("variant", name),)
    parts = (loaded.pipeline.unet, loaded.pipeline.vae, loaded.pipeline.text_encoder)
    assert {value.dtype for part in parts for value in part.parameters()} == {torch.float32}
    assert torch.equal(loaded.pipeline.unet.conv_in.weight, expected.to(dtype).float())
    resolved: Any = SimpleNamespace(adapter=Pipeline(str(copy)))
    assert found_settings(resolved) == {"variant": name}, "for the record of a run"
    said = f"note: pipe has weights of the variant {name}, which are computed with in float32\n"
    assert capfd.readouterr().err.count(said) == 1


def test_the_text_encoder_is_computed_in_float32_whatever_is_stored(copy: Path) -> None:
    path = copy / "text_encoder" / "model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
    config = path.with_name("config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float16"}))
    assert open_model(str(copy), "cpu").pipeline.text_encoder.dtype == torch.float32


def test_plain_weights_come_first_then_the_most_precise_variant(copy: Path) -> None:
    as_variant(copy, "bf16", torch.bfloat16, keep=True)
    assert find_pipeline(copy).variant == ""
    assert find_pipeline(copy, "bf16").variant == "bf16"
    as_variant(copy, "fp16", torch.float16)
    assert find_pipeline(copy).variant == "fp16", "its significand has 11 bits, that of bf16 8"
    assert find_pipeline(copy, "bf16").variant == "bf16"
    assert refusal(copy, "ema") == (
        f"{copy} has no weights of the variant ema for all parts\n"
        "  hint: it has: text_encoder bf16, fp16; unet bf16, fp16; vae bf16, fp16"
    )


def test_variants_that_are_equally_precise_are_asked_about(copy: Path) -> None:
    as_variant(copy, "ema", torch.float32, keep=True)
    as_variant(copy, "non_ema", torch.float32)
    assert refusal(copy) == (
        f"{copy} has 2 variants of the weights that are equally precise: ema, non_ema\n"
        "  hint: choose one: --set variant=ema"
    )
    assert open_model("diffusers", "cpu", settings={"path": str(copy), "variant": "ema"}).facts == (("variant", "ema"),)


def test_a_variant_of_the_unet_goes_with_plain_parts(copy: Path) -> None:
    as_variant(copy / "unet", "fp16", torch.float16)
    assert open_model(str(copy), "cpu").facts == (("variant", "fp16"),)
    as_variant(copy / "vae", "bf16", torch.bfloat16)
    assert refusal(copy) == (
        f"{copy} has no variant of weights that all parts have: text_encoder plain; unet fp16; vae bf16\n"
        "  hint: save it again"
    )


def in_shards(folder: Path, variant: str = "") -> Path:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    pipeline.save_pretrained(folder.parent / "shards", max_shard_size="60KB", variant=variant or None)
    return folder.parent / "shards"


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_shards_and_their_variants_are_read(copy: Path, variant: str) -> None:
    place = in_shards(copy, variant)
    assert len(find_pipeline(place).parts["unet"].files) > 1
    found, expected = (open_model(str(folder), "cpu").pipeline.unet.state_dict() for folder in (place, copy))
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    index = next((place / "unet").glob("*.index*.json"))
    shard = sorted((place / "unet").glob("*.safetensors"))[1]
    shard.unlink()
    count = len(list((place / "unet").glob("*.safetensors")))
    assert refusal(place) == (
        f"{place / 'unet'} holds {count} shards and lacks {shard.name}\n  hint: download or copy the folder again"
    )
    index.unlink()
    assert refusal(place) == (
        f"{place / 'unet'} holds weights in shards and no index of them\n"
        f"  hint: copy the file that ends in {index.name.partition('model')[2]}"
    )


# Weights that are none


def test_pointers_and_damaged_files_are_named(copy: Path) -> None:
    path = copy / f"{UNET}.safetensors"
    content = path.read_bytes()
    path.write_text(POINTER)
    assert refusal(copy) == (
        f"{path} is a pointer of git-lfs in place of the weights\n"
        "  hint: run `git lfs install` and `git lfs pull` there"
    )
    path.write_bytes(content[:-1])
    assert refusal(copy) == (
        f"{path} is cut off: it has {len(content) - 1} of {len(content)} bytes\n  hint: download or copy it again"
    )
    path.write_bytes(b"<html>not found</html>")
    assert refusal(copy) == f"{path} is not a safetensors file, or it is damaged\n  hint: download or copy it again"
    path.write_bytes(b"")
    assert refusal(copy) == f"{path} is empty\n  hint: download or copy it again"
    path.unlink()
    path.symlink_to(copy / "blob")
    assert refusal(copy) == (
        f"{path} is a link to a file that is not on this disk\n"
        "  hint: download the model again, or copy it with its links"
    )


def test_pickled_weights_are_not_read(copy: Path) -> None:
    path = copy / f"{UNET}.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    assert refusal(copy) == (
        f"{copy / 'unet'} has weights only as diffusion_pytorch_model.bin, a pickle, which can hold code and is not "
        "read\n"
        "  hint: load the pipeline where you trust it, and write it again: "
        "DiffusionPipeline.from_pretrained(DIR).save_pretrained(NEW)"
    )
    path.with_suffix(".bin").unlink()
    assert refusal(copy) == (
        f"{copy / 'unet'} has no weights as .safetensors\n  hint: download or copy the folder again"
    )
    shutil.rmtree(copy / "unet")
    assert refusal(copy).startswith(f"{copy / 'model_index.json'} names a part unet, and there is no folder ")


def test_weights_that_lack_tensors_are_not_filled_up_at_random(copy: Path) -> None:
    """As a checkpoint of DDP whose names begin with `module.` is, put into a pipeline's folder."""
    path = copy / f"{UNET}.safetensors"
    tensors = load_file(path)
    save_file({f"module.{name}": value for name, value in tensors.items()}, path, metadata={"format": "pt"})
    with pytest.raises(BenchError) as error:
        open_model(str(copy), "cpu")
    assert str(error.value) == (
        f"the weights of {copy / 'unet'} lack {len(tensors)} tensors of the network, such as conv_in.weight: it would "
        "be sampled with random numbers in their place\n"
        "  hint: check that weights and config.json belong together, and save the pipeline again"
    )


def test_a_text_encoder_that_lacks_a_tensor_is_refused(copy: Path) -> None:
    path = copy / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    tensors.popitem()
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BenchError) as error:
        open_model(str(copy), "cpu")
    assert error.value.message.startswith(f"the weights of {copy / 'text_encoder'} lack 1 tensors of the network")


# Where the pipeline is


def test_one_pipeline_below_is_used_and_said(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "_said", set())
    assert find_pipeline(tmp_path).path == copy
    assert capfd.readouterr().err == f"note: the pipeline is in pipe of the folder {tmp_path.name}\n"
    assert open_model(str(tmp_path), "cpu").pipeline.unet.config["sample_size"] == 8
    shutil.copytree(copy, tmp_path / "other")
    assert refusal(tmp_path) == (
        f"{tmp_path} holds 2 pipelines: other, pipe\n  hint: give one of them, such as {tmp_path / 'other'}"
    )


def test_a_cache_of_the_hub_is_found(copy: Path, tmp_path: Path) -> None:
    model = tmp_path / "hub" / "models--org--name"
    shutil.copytree(copy, model / "snapshots" / "0a")
    shutil.move(copy, model / "snapshots" / "1b")
    assert refusal(model).startswith(f"{model} holds 2 pipelines: snapshots/0a, snapshots/1b\n")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("1b")
    for place in (tmp_path / "hub", model, model / "snapshots" / "1b"):
        assert find_pipeline(place).path == model / "snapshots" / "1b"


def test_a_pipeline_whose_parts_share_its_folder_is_read(tmp_path: Path) -> None:
    """As google/ddpm-cat-256 and other early pipelines are."""
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(tmp_path)
    for part in ("unet", "scheduler"):
        for path in (tmp_path / part).iterdir():
            path.rename(tmp_path / path.name)
        (tmp_path / part).rmdir()
    assert list(find_pipeline(tmp_path).parts) == ["unet"]
    assert torch.equal(Pipeline(str(tmp_path)).assemble("cpu").unet.conv_in.weight, unet.conv_in.weight)


# What is no pipeline


def touched(place: Path, *names: str) -> Path:
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"_class_name": "UNet2DConditionModel"}' if name.endswith("config.json") else "x")
    return place


def stored(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(2) for name in names}, path)
    return path


@pytest.mark.parametrize(
    ("names", "what", "hint"),
    [
        (["pytorch_lora_weights.safetensors"], LORA, LORA_HINT),
        (["adapter_model.safetensors", "adapter_config.json", "README.md"], LORA, LORA_HINT),
        (["learned_embeds.bin"], INVERSION, INVERSION_HINT),
        (
            ["unet/config.json", "unet/diffusion_pytorch_model.safetensors", "random_states_0.pkl", "optimizer.bin"],
            "is a checkpoint of a training of unet, with which it resumes, and no pipeline",
            TRAINING_HINT,
        ),
        (
            ["model.safetensors", "random_states_0.pkl", "scheduler.bin"],
            "is a checkpoint of a training, with which it resumes, and no pipeline",
            TRAINING_HINT,
        ),
        (
            ["checkpoint-500/unet/config.json", "checkpoint-1000/unet/config.json", "logs/x"],
            "holds checkpoints of a training (checkpoint-1000, checkpoint-500) and no pipeline",
            TRAINING_HINT,
        ),
        (
            ["unet/config.json", "vae/config.json"],
            "holds only parts of a pipeline (unet, vae): there is no model_index.json in it",
            "copy the whole folder, or give a folder that save_pretrained wrote",
        ),
        (
            ["config.json", "diffusion_pytorch_model.safetensors"],
            "holds one network, UNet2DConditionModel, and no pipeline",
            "give the folder above it, where model_index.json is, or save the whole pipeline",
        ),
        (
            ["checkpoints/sd15.safetensors", "loras/x.safetensors", "vae/y.pt", "clip/z.pt"],
            "is a folder of models for ComfyUI, which are single files",
            f"choose one in checkpoints, and {SINGLE_HINT}",
        ),
        (
            ["pytorch_model.bin"],
            "holds one file of weights: pytorch_model.bin is a single-file checkpoint, not the folder of a pipeline",
            SINGLE_HINT,
        ),
        (
            ["modular_model_index.json"],
            "holds a modular pipeline, which can name code",
            "save it as an ordinary pipeline, with model_index.json",
        ),
        (
            ["a.png", "b.txt"],
            "holds no pipeline: there is no model_index.json in it; it has a.png, b.txt",
            "give a folder that save_pretrained wrote, with model_index.json and .safetensors weights",
        ),
        ([".git/x"], "is empty", "give a folder that save_pretrained wrote"),
    ],
)
def test_folders_are_named_for_what_they_are(tmp_path: Path, names: list[str], what: str, hint: str) -> None:
    place = touched(tmp_path / "given", *names)
    assert refusal(place) == f"{place} {what}\n  hint: {hint}"


def test_a_checkpoint_of_the_unet_alone_is_one_by_the_name_of_its_folder(tmp_path: Path) -> None:
    place = touched(tmp_path / "checkpoint-500", "unet/config.json")
    assert refusal(place).startswith(f"{place} is a checkpoint of a training of unet, ")


@pytest.mark.parametrize(
    ("tensors", "what", "hint"),
    [
        (["lora_unet_down.lora_down.weight"], LORA, LORA_HINT),
        (["unet.x.to_q.lora.down.weight"], LORA, LORA_HINT),
        (["emb_params"], INVERSION, INVERSION_HINT),
        (["<nodule>"], INVERSION, INVERSION_HINT),
        (
            ["model.diffusion_model.input_blocks.0.0.weight"],
            "is a single-file checkpoint of Stable Diffusion, not the folder of a pipeline",
            SINGLE_HINT,
        ),
        (
            ["conv.weight"],
            "holds weights alone, without the index and the configurations of a pipeline",
            SINGLE_HINT,
        ),
    ],
)
def test_files_are_named_by_their_tensors(tmp_path: Path, tensors: list[str], what: str, hint: str) -> None:
    path = stored(tmp_path / "given" / "some.safetensors", *tensors)
    for call in (lambda: open_model(str(path), "cpu"), lambda: Pipeline(str(path))):
        with pytest.raises(BenchError) as error:
            call()
        assert str(error.value) == f"{path} {what}\n  hint: {hint}"
    assert refusal(path.parent) == f"{path.parent} holds one file of weights: some.safetensors {what}\n  hint: {hint}"


def test_a_checkpoint_file_is_named_and_not_opened(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "was-run",)

    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(BenchError) as error:
        open_model(str(path), "cpu")
    assert str(error.value) == (
        f"{path} is a single-file checkpoint, not the folder of a pipeline\n  hint: {SINGLE_HINT}"
    )
    assert not (tmp_path / "was-run").exists()
    path.write_text(POINTER)
    assert (
        refusal(tmp_path)
        == f"{tmp_path} holds pointers of git-lfs (model.ckpt) in place of the weights\n  hint: {LFS_HINT}"
    )


# Code in a folder


FOREIGN = "which is neither of diffusers nor of transformers: its code is never run"
HINT = "  hint: give a pipeline whose parts are of diffusers and transformers"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scheduler": ["my_scheduler", "MyScheduler"]},
            f"needs my_scheduler.MyScheduler for its scheduler, {FOREIGN}\n{HINT}",
        ),
        ({"unet": ["this", "c"]}, f"needs this.c for its unet, {FOREIGN}\n{HINT}"),
        (
            {"_class_name": ["pipeline", "Mine"]},
            f"needs a pipeline class of its own, ['pipeline', 'Mine']: its code is never run\n{HINT}",
        ),
        ({"_class_name": "a.b"}, f"needs a pipeline class of its own, a.b: its code is never run\n{HINT}"),
        ({"_module": "mine"}, f"has _module in its model_index.json, which names code: it is never run\n{HINT}"),
        (
            {"custom_pipeline": "mine"},
            f"has custom_pipeline in its model_index.json, which names code: it is never run\n{HINT}",
        ),
        (
            {"unet": ["diffusers", "models.Evil"]},
            f"needs 'models.Evil' for its unet, which is no class of a library\n{HINT}",
        ),
    ],
)
def test_code_in_a_folder_never_runs(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    code = f"open({str(tmp_path / 'was-run')!r}, 'w')\nclass MyScheduler: pass\nclass Mine: pass\n"
    for place in ("scheduler/my_scheduler.py", "my_scheduler.py", "pipeline.py", "unet/this.py"):
        (copy / place).write_text(code)
    index = json.loads((copy / "model_index.json").read_text()) | changes
    (copy / "model_index.json").write_text(json.dumps(index))
    monkeypatch.syspath_prepend(copy)
    for call in (lambda: open_model(str(copy), "cpu"), lambda: Pipeline(str(copy)).assemble("cpu")):
        with pytest.raises(BenchError) as error:
            call()
        assert str(error.value) == f"{copy} {message}"
    assert not (tmp_path / "was-run").exists()


def test_files_named_like_a_library_do_not_run_either(copy: Path, tmp_path: Path) -> None:
    for place in ("unet/diffusers.py", "pipeline.py", "unet/unet.py"):
        (copy / place).write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    assert refusal(copy) == (f"{copy / 'unet'} needs Python code of its own (diffusers.py), which is never run\n{HINT}")
    (copy / "unet" / "diffusers.py").unlink()
    open_model(str(copy), "cpu")
    assert not (tmp_path / "was-run").exists()


def test_a_file_that_diffusers_takes_for_an_unnamed_pipeline(copy: Path, tmp_path: Path) -> None:
    (copy / "None.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    assert refusal(copy) == (f"{copy} holds None.py, which diffusers takes for code of the pipeline\n  hint: remove it")
    assert not (tmp_path / "was-run").exists()


def test_a_part_that_asks_for_code_is_refused(copy: Path) -> None:
    index = json.loads((copy / "model_index.json").read_text()) | {"text_encoder": ["transformers", "AutoModel"]}
    (copy / "model_index.json").write_text(json.dumps(index))
    path = copy / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "code.Mine"}}))
    assert refusal(copy) == (
        f"{copy / 'text_encoder'} needs Python code of its own (auto_map in config.json), which is never run\n{HINT}"
    )


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_indexes_are_one_sentence(copy: Path, text: str) -> None:
    (copy / "model_index.json").write_text(text)
    path = copy / "model_index.json"
    assert refusal(copy) == (
        f"{path} is not JSON, or it is damaged\n  hint: download or copy it again"
        if text == "{"
        else f"the model_index.json of {copy} names no pipeline\n  hint: give it as save_pretrained writes it"
    )


# From the command line


def test_prompts_are_scored_with_an_fp16_pipeline_one_folder_deeper(copy: Path, tmp_path: Path) -> None:
    as_variant(copy, "fp16", torch.float16)
    (tmp_path / "list.csv").write_text("report\nno acute abnormality\nsmall left effusion\n")
    command = ["prompts", str(tmp_path), "--prompts", str(tmp_path / "list.csv"), "--column", "report"]
    done = CliRunner().invoke(
        app, [*command, "--steps", "2", "--seeds", "1", "--out", str(tmp_path / "out"), "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    summary = json.loads(next((tmp_path / "out").glob("*/summary.json")).read_text())
    assert summary["model"] == {"variant": "fp16"}


def test_the_header_lists_what_is_stored(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.float16)}, tmp_path / "x")
    header = read_header(tmp_path / "x")
    assert header.shapes == {"a": (2, 3), "b": (4,)}
    assert header.bytes_of == {"F32": 24, "F16": 8}


@pytest.mark.parametrize("part", ["", "unet", "text_encoder"])
@pytest.mark.parametrize("name", ["pytorch_lora_weights.safetensors", "adapter_config.json"])
def test_lora_weights_beside_a_model_are_not_left_out(copy: Path, part: str, name: str) -> None:
    """They hold what was fine-tuned: the images would be those of the model before it, which has seen no patient."""
    (copy / part / name).write_text("{}")
    assert refusal(copy) == (
        f"{copy / part} holds {name} beside the model: LoRA weights, which it would be sampled without\n"
        f"  hint: {LORA_HINT}. If they are not part of this model, move them out of the folder"
    )


@pytest.mark.parametrize("part", [UNET, "text_encoder/model"])
def test_tensors_without_a_place_are_not_left_out(copy: Path, part: str) -> None:
    path = copy / f"{part}.safetensors"
    tensors = load_file(path)
    named = "mid.0.to_q.lora_A.weight"
    save_file({**tensors, named: torch.ones(2, 2)}, path, metadata={"format": "pt"})
    with pytest.raises(BenchError) as error:
        open_model(str(copy), "cpu")
    assert str(error.value) == (
        f"the weights of {path.parent} hold 1 tensors that have no place in the network, such as {named}: it would be "
        "sampled without them\n"
        "  hint: check that weights and config.json belong together; fuse LoRA weights (pipe.fuse_lora(), "
        "pipe.unload_lora_weights()), and save the pipeline again"
    )


def test_the_other_half_of_a_clip_is_left_out(copy: Path) -> None:
    """Old pipelines hold such files: transformers takes the text encoder."""
    path = copy / "text_encoder" / "model.safetensors"
    save_file({**load_file(path), "vision_model.x.weight": torch.ones(2)}, path, metadata={"format": "pt"})
    open_model(str(copy), "cpu")
