"""Augmentations of training images: what each does to an image, and that random numbers decide it alone."""

from __future__ import annotations

import pytest
import torch

from benchmark.core.errors import UsageError
from benchmark.images.augmentations import AUGMENTATIONS, find_augmentation, flips, published, strong

RAMP = torch.linspace(-0.9, 0.9, 16).expand(400, 1, 16, 16).contiguous()
"""Images that brighten from left to right."""
SQUARE = torch.nn.functional.pad(torch.ones(400, 1, 8, 8), (4, 4, 4, 4), value=-1.0)


def changed(images: torch.Tensor, others: torch.Tensor) -> float:
    return (images - others).abs().flatten(1).amax(1).gt(1e-4).float().mean().item()


def test_flips_mirror_half_of_the_images_and_change_nothing_else() -> None:
    torch.manual_seed(0)
    images = flips(RAMP)
    mirrored = (images == RAMP.flip(-1)).flatten(1).all(1)
    assert ((images == RAMP).flatten(1).all(1) | mirrored).all()
    assert 0.4 < mirrored.float().mean() < 0.6


def test_published_rotates_half_of_the_images_by_at_most_five_degrees() -> None:
    torch.manual_seed(0)
    assert 0.4 < changed(published(SQUARE), SQUARE) < 0.6  # flips do not change a centred square
    # The first moment in x of a bar's upper end tells the angle: a bar 6 pixels above the centre moves by 6 sin(angle).
    bar = torch.full((400, 1, 33, 33), -1.0)
    bar[..., 4:7, 16] = 1.0
    ink = published(bar)[..., :12, :] + 1
    columns = torch.arange(33.0)
    means = (ink.sum(-2) * columns).sum(-1) / ink.sum((-2, -1))
    assert (means - 16).abs().max() <= 12 * torch.sin(torch.deg2rad(torch.tensor(5.0))) + 0.1
    assert (means - 16).abs().max() > 0.5


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 12, 20), (2, 8, 8, 8)])
@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "none"])
def test_shape_range_and_seed(name: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(6, *shape) * 2 - 1
    augment = find_augmentation(name)
    assert augment is not None
    torch.manual_seed(1)
    first = augment(images)
    torch.manual_seed(1)
    assert torch.equal(augment(images), first)
    assert not torch.equal(augment(images), first)
    assert first.shape == images.shape
    assert first.abs().max() <= 1


def test_strong_moves_more_than_published() -> None:
    torch.manual_seed(0)
    few, many = ((augment(SQUARE) - SQUARE).abs().mean() for augment in (published, strong))
    assert many > 2 * few


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(UsageError) as refusal:
        find_augmentation("blur")
    assert str(refusal.value) == (
        "there is no augmentation 'blur'\n  hint: choose one of none, flips, published, strong"
    )
