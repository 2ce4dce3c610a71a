"""Bundles written here in the zoo's layout, and what is refused without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet

from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.errors import BenchError
from benchmark.core.types import Budget
from benchmark.models.monai_bundle.adapter import Bundle
from benchmark.plugins.registry import find_model

UNET = {
    "spatial_dims": 2,
    "in_channels": 2,
    "out_channels": 2,
    "attention_levels": [False, True],
    "num_res_blocks": 1,
    "num_head_channels": 4,
    "norm_num_groups": 4,
}
CODER = {
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "latent_channels": 2,
    "num_res_blocks": 1,
    "attention_levels": [False, False],
    "norm_num_groups": 4,
}
CONFIGURATION: dict[str, Any] = {
    "imports": ["$import os", "$os.system('touch was-run')"],
    "latent_channels": 2,
    "latent_shape": ["@latent_channels", 8, 8],
    "device": "$torch.device('cpu')",
    "network_def": {
        **UNET,
        "_target_": "generative.networks.nets.DiffusionModelUNet",
        "in_channels": "@latent_channels",
        "num_channels": [8, 8],
    },
    "autoencoder_def": {**CODER, "_target_": "generative.networks.nets.AutoencoderKL", "num_channels": [8, 8]},
    "noise_scheduler": {
        "_target_": "generative.networks.schedulers.DDIMScheduler",
        "_requires_": ["@load"],
        "num_train_timesteps": 100,
        "schedule": "scaled_linear_beta",
        "clip_sample": False,
    },
    "inferer": {"_target_": "scripts.ldm_sampler.LDMSampler"},
}


def bundle(folder: Path, **changes: Any) -> Path:
    """Write a bundle with seeded weights; None takes a section away."""
    torch.manual_seed(0)
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    values = {name: value for name, value in (CONFIGURATION | changes).items() if value is not None}
    (folder / "configs" / "inference.json").write_text(json.dumps(values))
    torch.save(DiffusionModelUNet(channels=(8, 8), **UNET).state_dict(), folder / "models" / "model.pt")
    torch.save(AutoencoderKL(channels=(8, 8), **CODER).state_dict(), folder / "models" / "model_autoencoder.pt")
    return folder


def opened(folder: Path, **changes: Any) -> Bundle:
    # Random weights draw values of any sign.
    adapter = Bundle(str(folder), **{"steps": 2, "range": "signed", **changes})
    adapter.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(BenchError) as error:
        opened(folder, **changes)
    return str(error.value)


def test_a_latent_bundle_conforms_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle(tmp_path / "bundle")
    findings = check_adapter(find_model("monai-bundle"), {"path": str(folder), "steps": 2, "range": "signed"})
    assert {finding.status for finding in findings if finding.cohort == "2D, 1 channel"} == {"ok", "not applicable"}
    assert not (tmp_path / "was-run").exists()


def test_a_bundle_of_pixels_takes_the_cohorts_shape(tmp_path: Path) -> None:
    network = CONFIGURATION["network_def"] | {"in_channels": 1, "out_channels": 1}
    folder = bundle(tmp_path / "b", autoencoder_def=None, latent_shape=None, network_def=network)
    unet = DiffusionModelUNet(channels=(8, 8), **(UNET | {"in_channels": 1, "out_channels": 1}))
    torch.save(unet.state_dict(), folder / "models" / "model.pt")
    images = np.concatenate(list(opened(folder, range="signed").sample(3, seed=0)))
    assert images.shape == (3, 1, 16, 16)


def test_weights_of_the_former_package_get_their_new_names(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    expected = np.concatenate(list(opened(folder).sample(2, seed=0)))
    path = folder / "models" / "model.pt"
    former = {
        name.replace(".attn.to_", ".to_").replace(".attn.out_proj.", ".proj_attn."): value
        for name, value in torch.load(path).items()
    }
    former = {name.replace(".postconv.", ".conv."): value for name, value in former.items()}
    assert former.keys() != torch.load(path).keys()
    torch.save(former, path)
    assert np.array_equal(np.concatenate(list(opened(folder).sample(2, seed=0))), expected)


def test_weights_without_a_place_are_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    path = folder / "models" / "model.pt"
    torch.save({**torch.load(path), "more": torch.zeros(1)}, path)
    assert refusal(folder).startswith(f"the weights of {path} do not fit the network: ")


def test_expressions_are_named_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle(tmp_path / "b", latent_channels="$__import__('os').system('touch was-run')")
    assert refusal(folder) == (
        f"{folder / 'configs' / 'inference.json'} holds the expression \"$__import__('os').system('touch was-run')\" "
        "where a number is needed, and none is run\n  hint: write the number into a copy of the file"
    )
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("target", ["os.system", "evil.networks.nets.DiffusionModelUNet"])
def test_other_targets_are_not_built(tmp_path: Path, target: str) -> None:
    folder = bundle(tmp_path / "b", network_def={"_target_": target})
    assert refusal(folder) == (
        f"{folder / 'configs' / 'inference.json'} builds no DiffusionModelUNet of MONAI, or no scheduler\n"
        "  hint: bundles of DiffusionModelUNet, AutoencoderKL, VQVAE with DDPMScheduler, DDIMScheduler, PNDMScheduler "
        "can be read"
    )


def test_pickled_objects_and_missing_files_are_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    path = folder / "models" / "model.pt"
    torch.save(torch.nn.Linear(1, 1), path)
    assert refusal(folder) == (
        f"{path} holds no plain tensors (an object of torch.nn.modules.linear.Linear)\n"
        "  hint: save state_dict() with torch.save"
    )
    path.unlink()
    assert refusal(folder) == (
        f"there is no file {path}; models holds model_autoencoder.pt\n  hint: give --set weights=models/FILE"
    )
    assert refusal(tmp_path / "none") == (
        f"there is no file {tmp_path / 'none' / 'configs' / 'inference.json'}\n"
        "  hint: give --set path=BUNDLE and, if need be, --set config=FILE"
    )


def test_yaml_reads_as_json_does(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    expected = np.concatenate(list(opened(folder).sample(2, seed=0)))
    text = (folder / "configs" / "inference.json").read_text()
    (folder / "configs" / "inference.yaml").write_text(text)  # JSON is YAML
    found = opened(folder, config="configs/inference.yaml")
    assert np.array_equal(np.concatenate(list(found.sample(2, seed=0))), expected)
    (folder / "configs" / "inference.yaml").write_text("a: [1")
    assert "is not readable: " in refusal(folder, config="configs/inference.yaml")


# Latents are never sampled as if they were images


MAISI = "monai.apps.generation.maisi.networks.autoencoderkl_maisi.AutoencoderKlMaisi"
HINT = (
    "\n  hint: only AutoencoderKL and VQVAE of MONAI can; sample with the bundle's own code, and give the images as "
    "--model folder"
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"autoencoder_def": {"_target_": MAISI, "latent_channels": 2}}, f"autoencoder_def builds {MAISI}"),
        (
            {"autoencoder_def": None, "sampler": {"parts": [{"_target_": "scripts.MyVAE"}]}},
            "sampler::parts::0 builds scripts.MyVAE",
        ),
        (
            {"autoencoder_def": "$monai.networks.nets.AutoencoderKL(spatial_dims=2)"},
            "autoencoder_def is '$monai.networks.nets.AutoencoderKL(spatial_dims=2)'",
        ),
        ({"autoencoder_def": None, "decoder": {"channels": 1}}, "there is decoder"),
        (
            {"autoencoder_def": None, "inferer": {"_target_": "monai.inferers.LatentDiffusionInferer"}},
            "inferer builds monai.inferers.LatentDiffusionInferer",
        ),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_autoencoder_that_is_not_known_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str, channels: int
) -> None:
    network = CONFIGURATION["network_def"] | {"in_channels": channels, "out_channels": channels}
    folder = bundle(tmp_path / "b", network_def=network, latent_shape=None, **changes)
    assert refusal(folder) == (
        f"{folder / 'configs' / 'inference.json'} is of a latent model whose autoencoder cannot be built: {reason}"
        f"{HINT}"
    )


def test_latents_without_an_autoencoder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b" / "configs" / "inference.json"
    folder = bundle(tmp_path / "b", autoencoder_def=None)
    assert refusal(folder) == (
        f"{path} builds no autoencoder, and latents of shape (2, 8, 8) are not images of shape (1, 16, 16)\n"
        "  hint: give a configuration with the autoencoder, or leave out latent_shape"
    )
    path.write_text(json.dumps({name: value for name, value in CONFIGURATION.items() if "latent_shape" not in name}))
    assert refusal(folder) == (
        f"{path} does not give the shape of the latents as latent_shape\n"
        "  hint: give it, such as --set latent_shape=2,16,16: channels, then the sides of an image divided by the "
        "autoencoder's factor"
    )
    expected = np.concatenate(list(opened(bundle(tmp_path / "c")).sample(2, seed=0)))
    found = np.concatenate(list(opened(folder, latent_shape=(2, 8, 8)).sample(2, seed=0)))
    assert np.array_equal(found, expected)
    assert refusal(folder, latent_shape=(3, 8, 8)) == (
        "latents of shape (3, 8, 8) do not go through a unet of 2 channels and an autoencoder of 2 to items of shape "
        "(1, 16, 16)\n  hint: check latent_shape: channels first, then the sides"
    )
    without = {name: value for name, value in CONFIGURATION.items() if name not in ("latent_shape", "autoencoder_def")}
    path.write_text(json.dumps(without))
    assert refusal(folder) == (
        f"{path} generates 2 channels, the cohort's items are (1, 16, 16), and it builds no autoencoder that would "
        "decode latents\n"
        "  hint: choose a data set with as many channels, or give a configuration with the autoencoder"
    )


def test_missing_weights_of_the_autoencoder_are_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    path = folder / "models" / "model_autoencoder.pt"
    path.unlink()
    assert refusal(folder) == (
        f"there is no file {path}; models holds model.pt\n  hint: give --set autoencoder_weights=models/FILE"
    )


# Names of files


def test_weights_of_other_names_are_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As in the zoo's brain model: autoencoder.pt, and sections of other names."""
    values = {"diffusion_def": CONFIGURATION["network_def"], "network_def": "@autoencoder_def"}
    folder = bundle(tmp_path / "brain", **values)
    models = folder / "models"
    (models / "model_autoencoder.pt").rename(models / "autoencoder.pt")
    (models / "model.pt").rename(models / "diffusion.pth")
    torch.save({}, models / "discriminator.pt")
    expected = np.concatenate(list(opened(bundle(tmp_path / "usual")).sample(2, seed=0)))
    assert np.array_equal(np.concatenate(list(opened(folder).sample(2, seed=0))), expected)
    said = capfd.readouterr().err
    assert "note: weights of brain are models/diffusion.pth\n" in said
    assert "note: autoencoder_weights of brain are models/autoencoder.pt\n" in said
    (models / "other.pt").write_bytes(b"")
    assert refusal(folder) == (
        f"there is no file {models / 'model.pt'}; models holds autoencoder.pt, diffusion.pth, discriminator.pt, "
        "other.pt\n  hint: give --set weights=models/FILE"
    )


def test_bundles_without_their_large_files_say_how_to_get_them(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    for path in (folder / "models").iterdir():
        path.unlink()
    (folder / "large_files.yml").write_text("large_files: []")
    path = folder / "models" / "model.pt"
    assert refusal(folder) == (
        f"there is no file {path}: the bundle has been copied without its weights, which large_files.yml lists\n"
        f"  hint: fetch them: python -m monai.bundle download_large_files --bundle_path {folder}"
    )
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert refusal(folder) == (
        f"{path} is a pointer of git-lfs in place of the weights\n"
        "  hint: run `git lfs install` and `git lfs pull` there"
    )


# Conditions


def conditioned(folder: Path, **changes: Any) -> tuple[Path, DiffusionModelUNet]:
    """Write a bundle whose U-Net has other arguments, with seeded weights."""
    network = CONFIGURATION["network_def"] | changes
    bundle(folder, network_def=network)
    torch.manual_seed(1)
    unet = DiffusionModelUNet(channels=(8, 8), **(UNET | changes))
    for name, value in unet.named_parameters():  # the last layers begin as zeros, and hide what is before them
        if value.ndim > 1 or "out" in name:
            torch.nn.init.normal_(value, std=0.1)
    torch.save(unet.state_dict(), folder / "models" / "model.pt")
    return folder, unet.eval()


@pytest.mark.parametrize("more", [0, 4], ids=["context", "context and channels"])
def test_a_conditioned_bundle_gets_its_condition(tmp_path: Path, more: int) -> None:
    """As MONAI's own sampling with a context, and as the zoo's brain model, which also has it as channels."""
    numbers = (0.0, 0.1, 0.2, 0.4)
    folder, unet = conditioned(tmp_path / "b", with_conditioning=True, cross_attention_dim=4, in_channels=2 + more)
    path = folder / "configs" / "inference.json"
    assert refusal(folder) == (
        f"{path} is of a model that is conditioned on 4 numbers\n"
        "  hint: give them as it was trained with them, such as --set condition=0.5,0.5,0.5,0.5"
    )
    adapter = opened(folder, condition=numbers)
    found = np.concatenate(list(adapter.sample(2, seed=0)))
    other = np.concatenate(list(opened(folder, condition=(0.9, 0.9, 0.9, 0.9)).sample(2, seed=0)))
    assert not np.allclose(found, other, atol=1e-4)
    noise = torch.stack([torch.ones(2, 8, 8), -torch.ones(2, 8, 8)])
    context = torch.tensor(numbers).expand(2, 1, 4)
    planes = torch.tensor(numbers)[None, :more, None, None].expand(2, -1, 8, 8)
    x = noise
    adapter._scheduler.set_timesteps(2)
    with torch.no_grad():
        for time in adapter._scheduler.timesteps:
            predicted = unet(torch.cat([x, planes], dim=1), timesteps=torch.tensor([time]), context=context)
            x, _ = adapter._scheduler.step(predicted, time, x)
        expected = adapter._networks["autoencoder"].decode_stage_2_outputs(x)
    assert torch.allclose(adapter._sampled(noise), expected, atol=1e-5)
    assert refusal(folder, condition=(0.1, 0.2)) == (
        f"condition has 2 numbers, and the unet of {path} takes 4 numbers{' and 4 more channels' * bool(more)}\n"
        "  hint: check it"
    )


def test_a_condition_of_a_bundle_without_one_is_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    path = folder / "configs" / "inference.json"
    assert refusal(folder, condition=(0.1,)) == (
        f"condition has 1 numbers, and the unet of {path} takes no numbers as its context\n  hint: check it"
    )
    assert refusal(folder, label=0) == f"label is 0, and the unet of {path} has 0 classes\n  hint: check it"


def test_a_bundle_with_classes_gets_its_label(tmp_path: Path) -> None:
    folder, _ = conditioned(tmp_path / "b", num_class_embeds=3)
    path = folder / "configs" / "inference.json"
    assert refusal(folder) == (
        f"{path} is of a model that is conditioned on one of 3 classes\n  hint: give one: --set label=0"
    )
    assert refusal(folder, label=3) == f"label is 3, and the unet of {path} has 3 classes\n  hint: check it"
    first, second = (np.concatenate(list(opened(folder, label=label).sample(2, seed=0))) for label in (0, 2))
    assert not np.allclose(first, second, atol=1e-4)


def sampled(folder: Path, **changes: Any) -> np.ndarray:
    return np.concatenate(list(opened(folder, **changes).sample(2, seed=0)))


def test_the_scale_of_the_latents_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Decoded on another scale, the latents give images that the model does not draw."""
    expected = sampled(bundle(tmp_path / "given"), scale=0.5)
    assert not np.array_equal(sampled(bundle(tmp_path / "none")), expected)
    nested = bundle(tmp_path / "nested", inferer={"_target_": "x.Sampler", "scale_factor": "@s"}, s=0.5)
    assert np.array_equal(sampled(nested), expected)
    stored = bundle(tmp_path / "stored")
    path = stored / "models" / "model.pt"
    torch.save({"unet_state_dict": torch.load(path), "scale_factor": torch.tensor(0.5), "epoch": 3}, path)
    assert np.array_equal(sampled(stored), expected)
    assert "scale of stored is 0.5\n" in capsys.readouterr().err
    assert np.array_equal(sampled(nested, scale=1.0), sampled(tmp_path / "none"))


def test_a_scale_that_is_computed_is_asked_for(tmp_path: Path) -> None:
    expression = "$1 / torch.std(@z)"
    folder = bundle(tmp_path / "b", scale_factor=expression)
    path = folder / "configs" / "inference.json"
    assert refusal(folder) == (
        f"{path} gives scale_factor as {expression!r}, which is no number, and no expression is run\n"
        "  hint: give the number that the model was trained with: --set scale=NUMBER"
    )
    assert opened(folder, scale=0.5)._scale == 0.5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parts": {"stage": CONFIGURATION["autoencoder_def"]}}, "parts::stage builds generative.networks.nets."),
        ({"ae": {"_target_": "scripts.nets.KL"}}, "ae builds scripts.nets.KL"),
        ({"stage_1": {"_target_": "scripts.nets.KL"}}, "stage_1 builds scripts.nets.KL"),
        ({"net": {"_target_": "scripts.AEKL"}}, "net builds scripts.AEKL"),
        ({"latents": 3}, "there is latents"),
    ],
)
def test_decoders_of_other_names_and_places(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """One latent channel and one of the images: the latents would pass for images."""
    network = CONFIGURATION["network_def"] | {"in_channels": 1, "out_channels": 1}
    folder = bundle(tmp_path / "b", autoencoder_def=None, latent_shape=None, network_def=network, **changes)
    assert refusal(folder).startswith(
        f"{folder / 'configs' / 'inference.json'} is of a latent model whose autoencoder cannot be built: {reason}"
    )


def test_images_of_minus_one_to_one_are_not_read_as_zero_to_one(tmp_path: Path) -> None:
    adapter = opened(bundle(tmp_path / "b"), range="unit")
    black = torch.full((2, 1, 16, 16), -1.0)
    black[..., 4:12, 4:12] = 0.9
    adapter._sampled = lambda noise: black  # type: ignore[method-assign]
    with pytest.raises(BenchError) as error:
        next(adapter.sample(2, seed=0))
    assert str(error.value) == (
        f"the samples of {tmp_path / 'b'} have values from -1 to 0.9: they are not on the scale [0, 1]\n"
        "  hint: say that the bundle was trained on [-1, 1]: --set range=signed"
    )
    adapter.range = "signed"
    assert np.array_equal(next(adapter.sample(2, seed=0)), black.numpy())
