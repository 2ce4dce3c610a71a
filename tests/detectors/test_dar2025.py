"""Detector `dar2025`: the published numbers, its views, and that it learns what it is said to learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmark.core.errors import AdapterError
from benchmark.core.types import Split
from benchmark.detectors.dar2025 import Dar2025, Encoder, Options, raw, rotate_and_flip
from benchmark.images.planted_copies import PLANTED
from benchmark.training.config import TrainingConfig

torch.set_num_threads(1)
SMALL = Options(size=24, volume_size=16, width=4, dimension=12, epochs=2, batch_size=8)


def blobs(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((count, *shape))
    soft = gaussian_filter(noise, (0, 0, *[2] * (len(shape) - 1)))
    return np.asarray(np.clip(soft / soft.std() / 3, -1, 1), dtype=np.float32)


def real(given: np.ndarray) -> Split:
    names = tuple(f"i{k}" for k in range(len(given)))
    return Split(
        name="real",
        pixels=given,
        rows=np.arange(len(given)),
        subjects=names,
        items=names,
        channels=("x",) * given.shape[1],
    )


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_published_plane_network_is_a_resnet_50() -> None:
    with torch.device("meta"):
        network = Encoder((1, 512, 512), Options(published=True)._filled(2))
        # torchvision's ResNet-50 has 25,557,032 weights: less 1000 outputs of 2048 + 1 and two colours of the first
        # layer, plus 128 outputs.
        assert parameters(network.layers) == 25_557_032 - 1000 * 2049 - 2 * 64 * 49 + 128 * 2049
        assert network(torch.zeros(2, 1, 512, 512)).shape == (2, 128)


@pytest.mark.parametrize("size", [(32, 256, 256), (16, 64, 64), (8, 12, 16)])
def test_the_volume_network_ends_at_32_numbers(size: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = Encoder((1, *size), Options(width=2, volume_size=256)._filled(3)).eval()
        assert network(torch.zeros(2, 1, *size)).shape == (2, 32)


def test_published_numbers() -> None:
    plane, volume = Options(published=True)._filled(2), Options(published=True)._filled(3)
    assert (plane.size, plane.width, plane.blocks, plane.epochs) == (512, 64, (3, 4, 6, 3), 200)
    assert (plane.batch_size, plane.dimension, volume.batch_size, volume.dimension) == (64, 128, 10, 32)
    assert (plane.learning_rate, plane.temperature) == (1e-4, 0.07)


def test_the_rate_falls_to_half() -> None:
    recipe = TrainingConfig(steps=100, batch_size=1, learning_rate=1e-4, warmup=0, schedule="half-cosine")
    assert recipe.learning_rate_at(0) == pytest.approx(1e-4)
    assert recipe.learning_rate_at(50) == pytest.approx(0.75e-4)
    assert recipe.learning_rate_at(100) == pytest.approx(0.5e-4)


def test_one_branch_is_augmented_and_half_of_it_only() -> None:
    images = torch.from_numpy(blobs(400, 1, 20, 20))
    network = Encoder((1, 20, 20), SMALL)
    torch.manual_seed(0)
    first, second = network.views(images)
    assert torch.equal(second, images)
    still = (first - images).abs().flatten(1).amax(1) < 1e-4
    assert still.float().mean() == pytest.approx(0.25, abs=0.06)  # neither rotated nor flipped


def test_turns_stay_within_five_degrees() -> None:
    """A bright pixel 10 pixels from the centre moves by 10 sin(5 degrees) at most, once flips are undone."""
    images = torch.full((200, 1, 41, 41), -1.0)
    images[:, :, 10, 20] = 1
    torch.manual_seed(0)
    made = rotate_and_flip(images) + 1
    columns = (made.sum(dim=(1, 2)) * (torch.arange(41) - 20.0)).sum(1) / made.sum(dim=(1, 2, 3))
    assert columns.abs().max() <= 10 * np.sin(np.radians(5)) + 0.05
    assert columns.abs().max() > 0.5


def test_volumes_turn_about_every_axis() -> None:
    images = torch.full((100, 1, 21, 21, 21), -1.0)
    images[:, :, 10, 2, 10] = 1  # moves along the first axis only when rotated about the others
    torch.manual_seed(0)
    made = rotate_and_flip(images) + 1
    places = (made.sum(dim=(1, 3, 4)) * (torch.arange(21) - 10.0)).sum(1) / made.sum(dim=(1, 2, 3, 4))
    assert places.abs().max() > 0.3


def test_order_of_padding() -> None:
    image = torch.full((1, 1, 12, 24), 1.0)
    late = Encoder((1, 12, 24), replace(SMALL, pad_after=True))
    early = Encoder((1, 12, 24), SMALL)
    for network in (late, early):
        first, second = network.views(network.shrink(image))
        assert first.shape == second.shape == (1, 1, 24, 24)
    torch.manual_seed(3)
    angles = [network.views(network.shrink(image.expand(50, -1, -1, -1)))[0] for network in (late, early)]
    assert not torch.equal(angles[0], angles[1])
    # Padded after the rotation, the border above the plane stays black.
    assert angles[0][:, :, :6].abs().max() == 0
    assert angles[1][:, :, :6].abs().max() > 0


def test_correlation_is_pearson_s(tmp_path: Path) -> None:
    given = blobs(10, 1, 24, 24)
    detector = SMALL.fit(real(given), folder=tmp_path, key="k", device="cpu")
    rows = detector.embed(given)
    with torch.inference_mode():
        plain = raw(detector.encoder, detector.encoder.shrink(torch.from_numpy(given))).numpy()
    np.testing.assert_allclose(rows @ rows.T, np.corrcoef(plain), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 24, 24), (2, 20, 12), (1, 16, 16, 16)])
def test_an_embedding_does_not_depend_on_its_batch(tmp_path: Path, shape: tuple[int, ...]) -> None:
    given = blobs(12, *shape)
    detector = SMALL.fit(real(given), folder=tmp_path, key="k", device="cpu")
    detector.encoder.train()  # the published re-implementation's mistake: `embed` must undo it
    rows = detector.embed(given)
    alone = np.concatenate([detector.embed(given[[k]]) for k in range(12)])
    np.testing.assert_allclose(alone, rows, atol=1e-5)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)


def test_training_is_kept_and_told_apart(tmp_path: Path) -> None:
    given = blobs(12, 1, 24, 24)
    first = SMALL.fit(real(given), folder=tmp_path, key="one", device="cpu")
    again = SMALL.fit(real(given), folder=tmp_path, key="one", device="cpu")
    assert np.array_equal(first.embed(given), again.embed(given))
    with pytest.raises(AdapterError) as error:
        SMALL.fit(real(given), folder=tmp_path, key="two", device="cpu")
    assert str(error.value) == (
        f"{tmp_path / 'training.pt'} was made with other options: cohort 'one', now 'two'\n"
        "  hint: give the former options to continue it, or delete it to train from the start"
    )


def test_it_learns_flips_and_small_turns(tmp_path: Path) -> None:
    given = blobs(64, 1, 24, 24)
    options = replace(SMALL, width=8, epochs=30, batch_size=16, learning_rate=1e-3)
    detector = options.fit(real(given), folder=tmp_path, key="k", device="cpu")
    assert isinstance(detector, Dar2025)
    rows = detector.embed(given)
    for name in detector.invariances:
        copies = detector.embed(PLANTED[name](torch.from_numpy(given)).numpy())
        found = (copies @ rows.T).argmax(axis=1) == np.arange(64)
        assert found.mean() > 0.8, name
