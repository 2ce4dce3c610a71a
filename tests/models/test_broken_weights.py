"""Weights that overflow: a sample that is not finite ends the run by its number, and black ones are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from tiny_pipeline import save_tiny

from benchmark.adapters.conformance_tools import toy_split
from benchmark.adapters.network import NetworkAdapter, in_range
from benchmark.adapters.sampling import Samples, draw
from benchmark.core.errors import AdapterError
from benchmark.core.options import build
from benchmark.core.types import Budget
from benchmark.evaluation.constant_samples import count_constant
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.plugins.registry import ModelCard, find_model, load_class

NETWORKS = ("ldm", "ddpm", "vae", "styled-gan", "vqvae", "vqgan")


def refusal(folder: Path, adapter: Any, name: str, channels: int = 1) -> str:
    with pytest.raises(AdapterError) as error:
        draw(adapter, 3, toy_split(channels, 2), folder=folder, seed=0, name=name)
    return str(error.value)


def expected(name: str, number: int = 0) -> str:
    return (
        f"{name}: sample {number} is not finite\n"
        "  hint: the model diverged (train it with a lower learning rate, or in fp32), or its autoencoder overflows in "
        "fp16 (use its weights in fp32)"
    )


def untrained(name: str) -> NetworkAdapter[Any]:
    card = find_model(name)
    assert isinstance(card, ModelCard)
    adapter: NetworkAdapter[Any] = build(load_class("models", card), card.toy, what=name)
    shape = toy_split(1, 2).shape
    adapter.trained(adapter.build(shape), shape)
    return adapter


@pytest.mark.parametrize("value", [torch.nan, 1e30])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_names_the_sample(tmp_path: Path, name: str, value: float) -> None:
    adapter = untrained(name)
    with torch.no_grad():
        for weight in adapter.network().parameters():
            weight.fill_(value)
    assert refusal(tmp_path, adapter, name) == expected(name)
    assert not list(tmp_path.glob("*.npy"))


def test_only_the_sequences_whose_prediction_is_not_finite_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = untrained("vqvae")
    whole = np.concatenate(list(adapter.sample(3, seed=0)))
    prior = adapter.network().prior.forward

    def spoiled(tokens: torch.Tensor) -> torch.Tensor:
        logits = prior(tokens)
        logits[1] = torch.nan
        return logits

    monkeypatch.setattr(adapter.network().prior, "forward", spoiled)
    broken = np.concatenate(list(adapter.sample(3, seed=0)))
    assert np.isnan(broken[1]).all()
    assert np.isfinite(broken[[0, 2]]).all()
    assert np.array_equal(broken[0], whole[0])


def test_infinite_values_are_not_clamped_to_white() -> None:
    values = torch.tensor([torch.inf, -torch.inf, torch.nan, 3.0, -2.0, 0.5])
    assert in_range(values).isnan().tolist() == [True] * 3 + [False] * 3
    assert in_range(values)[3:].tolist() == [1, -1, 0.5]


def test_a_pipeline_of_pixels_names_the_sample(tmp_path: Path) -> None:
    unet = UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    torch.nn.init.constant_(unet.conv_in.weight, torch.nan)
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(tmp_path / "pipeline")
    adapter = Pipeline(str(tmp_path / "pipeline"), steps=2)
    adapter.fit(toy_split(1, 2), folder=tmp_path, budget=Budget(), seed=0, device="cpu")
    assert refusal(tmp_path / "samples", adapter, "diffusers") == expected("diffusers")


@pytest.mark.parametrize("value", [torch.nan, -1e6])
def test_an_autoencoder_that_overflows(tmp_path: Path, value: float) -> None:
    """NaN is refused; a value that clamps to black is drawn, and counted as constant."""
    adapter = Pipeline(str(save_tiny(tmp_path / "tiny", side=8)), steps=2)
    adapter.fit(toy_split(1, 2), folder=tmp_path, budget=Budget(), seed=0, device="cpu")
    torch.nn.init.constant_(adapter.pipeline.vae.decoder.conv_out.bias, value)
    if np.isnan(value):
        assert refusal(tmp_path / "samples", adapter, "diffusers") == expected("diffusers")
    else:
        draw(adapter, 3, toy_split(1, 2), folder=tmp_path / "samples", seed=0, name="diffusers")
        assert count_constant(Samples.open(tmp_path / "samples", 3)) == 3


def test_whoever_stops_reading_samples_keeps_gradients() -> None:
    samples = iter(untrained("ddpm").sample(3, seed=0))
    next(samples)
    assert torch.is_grad_enabled()
