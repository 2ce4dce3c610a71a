"""Space to depth loses nothing and keeps neighbouring pixels together."""

from __future__ import annotations

import pytest
import torch

from benchmark.adapters.networks.space_to_depth import SpaceToDepth, space_to_depth


@pytest.mark.parametrize(("shape", "factor"), [((2, 8, 12), 4), ((1, 7, 9), 2), ((3, 4, 6, 8), 2), ((2, 5, 5, 5), 4)])
def test_decoding_inverts_encoding(shape: tuple[int, ...], factor: int) -> None:
    images = torch.randn(3, *shape)
    autoencoder = SpaceToDepth(shape[1:], factor, factor)
    latents = autoencoder.encode(images)
    assert latents.shape[1] == shape[0] * factor ** (len(shape) - 1)
    assert torch.equal(autoencoder.decode(latents), images)


def test_a_block_becomes_the_channels_of_one_place() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert space_to_depth(image, 2)[0, :, 0, 1].tolist() == [2, 3, 6, 7]
