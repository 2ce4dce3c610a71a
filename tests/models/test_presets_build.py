"""Every preset of every family can be built for the items that it is for: sizes that no test could train."""

from __future__ import annotations

import pytest
import torch

from benchmark.core.options import build
from benchmark.plugins.registry import ModelCard, find_model, load_class

FAMILIES = ("ldm", "ddpm", "vae", "styled-gan", "vqvae", "vqgan")


def presets() -> list[tuple[str, str, int]]:
    cards = [find_model(name) for name in FAMILIES]
    return [
        (card.name, name, dims)
        for card in cards
        if isinstance(card, ModelCard)
        for name, preset in card.presets.items()
        for dims, size in ((2, preset.image_size), (3, preset.volume_size))
        if size and dims in card.dimensions
    ]


def test_there_are_many() -> None:
    assert len(presets()) > 25
    assert {family for family, _, _ in presets()} == set(FAMILIES)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(("family", "name", "dims"), presets())
def test_a_preset_can_be_built(family: str, name: str, dims: int, channels: int) -> None:
    card = find_model(family)
    assert isinstance(card, ModelCard)
    preset = card.presets[name]
    given = preset.set | (preset.volumes if dims == 3 else {})
    side = preset.image_size if dims == 2 else preset.volume_size
    assert side is not None
    with torch.device("meta"):  # shapes alone: no memory, no seconds
        net = build(load_class("models", card), given, what=family).build((channels, *(side,) * dims))
    assert sum(weight.numel() for weight in net.parameters()) > 100_000
