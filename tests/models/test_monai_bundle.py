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
    adapter = Bundle(str(folder), steps=2, **changes)
    adapter.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(BenchError) as error:
        opened(folder, **changes)
    return str(error.value)


def test_a_latent_bundle_conforms_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle(tmp_path / "bundle")
    findings = check_adapter(find_model("monai-bundle"), {"path": str(folder), "steps": 2})
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
        f"{path} holds no plain tensors (UnpicklingError)\n  hint: save state_dict() with torch.save"
    )
    path.unlink()
    assert refusal(folder) == (
        f"there is no file {path}\n  hint: give --set weights=FILE and --set autoencoder_weights=FILE"
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
