"""Detector `copy`: its loss, what it is trained on, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmark.core.errors import AdapterError
from benchmark.core.types import Split, join_splits
from benchmark.detectors import copy as contrastive
from benchmark.detectors.copy import Copy, Encoder, Options, fit_copy, nt_xent, standardise
from benchmark.images.planted_copies import PLANTED

torch.set_num_threads(1)
SMALL = Options(size=24, volume_size=12, width=8, dimension=32, steps=60, batch_size=24)


def blobs(count: int, size: int = 24, dims: int = 2, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((count, 1, *[size] * dims))
    soft = gaussian_filter(noise, (0, 0, *[2] * dims))
    return np.asarray(np.clip(soft / soft.std() / 3, -1, 1), dtype=np.float32)


def split(pixels: np.ndarray, rows: list[int], name: str = "train") -> Split:
    return Split(
        name=name,
        pixels=pixels,
        rows=np.array(rows),
        subjects=tuple(f"p{row // 2}" for row in rows),
        items=tuple(f"i{row}" for row in rows),
        channels=("x",),
    )


def network(options: Options = SMALL, channels: int = 1, dims: int = 2) -> Copy:
    torch.manual_seed(0)
    return Copy(Encoder(channels, dims, options).eval(), torch.device("cpu"))


# The loss


def slow_loss(first: Tensor, second: Tensor, codes: list[int], temperature: float) -> float:
    """Chen et al. 2020, equation 1, pair by pair; kin of an item is neither positive nor negative."""
    views = torch.cat([first, second]).double().tolist()
    owners, count, total = codes * 2, len(codes), 0.0

    def similar(i: int, j: int) -> float:
        return math.exp(sum(a * b for a, b in zip(views[i], views[j], strict=True)) / temperature)

    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        others = [j for j in range(2 * count) if owners[j] != owners[i]]
        total -= math.log(similar(i, partner) / (similar(i, partner) + sum(similar(i, j) for j in others)))
    return total / (2 * count)


@pytest.mark.parametrize("codes", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 1], [3, 3, 3, 3, 0]])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_loss_against_a_slow_reference(codes: list[int], temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(5, 8, generator=generator), dim=1) for _ in range(2))
    found = nt_xent(first, second, torch.tensor(codes), temperature)
    assert found.item() == pytest.approx(slow_loss(first, second, codes, temperature), rel=1e-5)


def test_items_of_one_patient_do_not_push_each_other_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=1) for _ in range(2))
    first.requires_grad_(True)
    loss = nt_xent(first, second, torch.tensor([0, 0, 0, 0]), 0.1)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert nt_xent(first, second, torch.tensor([0, 1, 2, 3]), 0.1).item() > 0.5


def test_two_views_of_one_item_are_pulled_together() -> None:
    codes = torch.arange(6)
    apart = torch.eye(6)
    assert nt_xent(apart, apart, codes, 0.1) < 0.01
    assert nt_xent(apart, apart.roll(1, 0), codes, 0.1) > 5


# The encoder


@pytest.mark.parametrize(("dims", "channels", "size"), [(2, 1, 24), (2, 3, 40), (3, 1, 12), (3, 2, 20)])
def test_embeddings_are_unit_rows(dims: int, channels: int, size: int) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (5, channels, *[size] * dims)).astype(np.float32)
    rows = network(channels=channels, dims=dims).embed(images)
    assert rows.shape == (5, 32)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_batches_do_not_matter() -> None:
    images = blobs(150)  # more than are embedded at once
    detector = network()
    whole = detector.embed(images)
    parts = np.concatenate([detector.embed(images[:1]), detector.embed(images[1:38]), detector.embed(images[38:])])
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_larger_images_are_averaged_down() -> None:
    images = blobs(3, 48)
    reduced = images.reshape(3, 1, 24, 2, 24, 2).mean((3, 5))
    detector = network()
    np.testing.assert_allclose(detector.embed(images), detector.embed(reduced), atol=1e-5)


def test_invariances_are_names_of_planted_copies() -> None:
    assert set(network().invariances) <= set(PLANTED)


# Training


def captured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep what `fit_copy` hands to the training loop, and train nothing."""
    kept: dict[str, Any] = {}

    def train(net: Encoder, loss: Callable[..., Tensor], feed: Any, config: Any, **given: Any) -> Encoder:
        kept.update(loss=loss, feed=feed, config=config, **given)
        return net.eval()

    monkeypatch.setattr(contrastive, "train", train)
    return kept


def test_training_and_held_out_items_are_fed_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = blobs(20)
    parts = [split(pixels, rows, name) for name, rows in (("train", [4, 1, 7, 6]), ("cal", [0, 11]), ("test", [19, 2]))]
    kept = captured(monkeypatch)
    fit_copy(join_splits("real", *parts), SMALL, folder=tmp_path, key="k", device="cpu")
    feed = kept["feed"]
    rows = [4, 1, 7, 6, 0, 11, 19, 2]
    assert len(feed) == 8
    images, codes = feed.take(np.arange(8))
    assert np.array_equal(images.numpy(), pixels[rows])  # each of the three splits' items, once
    assert codes.tolist() == [0, 1, 2, 2, 1, 3, 4, 5]  # of p2, p0, p3, p3, p0, p5, p9, p1
    some = feed.take(np.array([5, 5, 0]))
    assert np.array_equal(some[0].numpy(), pixels[[11, 11, 4]])
    assert some[1].tolist() == [3, 3, 0]


def test_images_are_rotated_by_90_degrees_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = captured(monkeypatch)
    monkeypatch.setattr(contrastive, "augment", lambda images: images)
    monkeypatch.setattr(contrastive, "rotate_by_quarters", lambda images: images.flip(-2))
    chosen = replace(SMALL, rotate90=True)
    fit_copy(split(blobs(4, 24), [0, 1, 2, 3]), chosen, folder=tmp_path, key="k", device="cpu")
    images, codes = kept["feed"].take(np.arange(4))
    net = network().encoder
    expected = nt_xent(net(images.flip(-2)), net(images), codes, SMALL.temperature)
    assert kept["loss"](net, (images, codes)).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("dims", "batch"), [(2, SMALL.batch_size), (3, SMALL.batch_size // 2)])
def test_one_view_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: int, batch: int) -> None:
    kept = captured(monkeypatch)
    monkeypatch.setattr(contrastive, "augment", lambda images: images.flip(-2))
    fit_copy(split(blobs(4, 30, dims), [0, 1, 2, 3]), SMALL, folder=tmp_path, key="k", device="cpu")
    images, codes = kept["feed"].take(np.arange(4))
    net = network(dims=dims).encoder
    small = net.shrink(images)
    expected = nt_xent(net(small.flip(-2)), net(small), codes, SMALL.temperature)
    assert kept["loss"](net, (images, codes)).item() == pytest.approx(expected.item(), rel=1e-5)
    assert (kept["config"].steps, kept["config"].batch_size) == (SMALL.steps, batch)


def test_brightness_and_contrast_of_a_volume_do_not_count() -> None:
    images, detector = blobs(5, 16, dims=3), network(dims=3)
    np.testing.assert_allclose(detector.embed(0.5 * images + 0.3), detector.embed(images), atol=0.03)


def test_a_nearly_empty_channel_stays_faint() -> None:
    images = torch.from_numpy(blobs(4, 16, dims=3)).repeat(1, 2, 1, 1, 1)
    images[:, 1] *= 0.01
    scaled = standardise(images)
    assert scaled.mean(dim=(2, 3, 4)).abs().max() < 1e-6
    spread = scaled.square().mean(dim=(2, 3, 4)).sqrt()
    np.testing.assert_allclose(spread[:, 1] / spread[:, 0], 0.01, rtol=1e-4)
    assert ((spread[:, 0] > 0.85 * 2**0.5) & (spread[:, 0] < 2**0.5)).all()


def test_only_long_sides_are_shrunk() -> None:
    net = network().encoder
    assert [net.shrink(torch.zeros(1, 1, *sides)).shape[2:] for sides in ((48, 30), (20, 30), (9, 9))] == [
        (24, 24),
        (20, 24),
        (9, 9),
    ]


def test_a_checkpoint_of_another_cohort_is_refused(tmp_path: Path) -> None:
    real = split(blobs(12), list(range(12)))
    quick = Options(size=24, width=4, dimension=8, steps=2, batch_size=4)
    first = fit_copy(real, quick, folder=tmp_path, key="one", device="cpu")
    again = fit_copy(real, quick, folder=tmp_path, key="one", device="cpu")
    assert np.array_equal(first.embed(blobs(3)), again.embed(blobs(3)))
    with pytest.raises(AdapterError, match="was made with other options: cohort 'one', now 'two'"):
        fit_copy(real, quick, folder=tmp_path, key="two", device="cpu")


def recall(detector: Copy, images: np.ndarray, name: str) -> float:
    """Share of planted copies whose nearest item is the copied one."""
    made = PLANTED[name](torch.from_numpy(images)).numpy()
    similarity = detector.embed(made) @ detector.embed(images).T
    return float((similarity.argmax(axis=1) == np.arange(len(images))).mean())


def test_a_short_training_learns_to_see_through_transformations(tmp_path: Path) -> None:
    images = blobs(96)
    trained = fit_copy(split(images, list(range(96))), SMALL, folder=tmp_path, key="k", device="cpu")
    assert not trained.encoder.training
    assert recall(trained, images, "exact") == 1
    others = blobs(96, seed=1)  # patients it never saw
    for name in ("flip", "rotate5", "contrast", "noise"):
        assert recall(network(), images, name) < 0.1  # chance is 1 of 96
        assert recall(trained, images, name) > 0.2
        assert recall(trained, others, name) > 0.1
    assert recall(trained, others, "rotate5") > 0.8
