"""Training of every family on a device: the CPU's gradient, one seed one result, resumed to the bit, finite in bf16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.devices import pick_device
from benchmark.core.types import Split
from benchmark.training.batches import Resident, Streamed, batches, feed_split
from scripts.gpu_checks.families import FLAT, SOLID, cases, fitted, weights
from scripts.gpu_checks.same import distance, gradients, no_tf32, resumed, twice

CPU = torch.device("cpu")
FAMILIES = [(family, 2) for family in FLAT] + [(family, 3) for family in SOLID]
NAMES = [f"{family}-{dims}D" for family, dims in FAMILIES]
every_family = pytest.mark.parametrize(("family", "dims"), FAMILIES, ids=NAMES)


@every_family
def test_the_gradient_of_a_first_step_is_the_cpu_s(device: str, family: str, dims: int) -> None:
    for case in cases(family, "toy", dims, CPU):
        expected = gradients(case, CPU)
        assert all(float(one.norm()) > 0 for one in expected)
        with no_tf32():
            assert distance(gradients(case, pick_device(device)), expected) < 1e-3, case.name


@every_family
def test_a_step_in_bf16_has_a_finite_gradient_near_fp32_s(device: str, family: str, dims: int) -> None:
    for case in cases(family, "toy", dims, CPU):
        half, whole = (gradients(case, pick_device(device), half=half) for half in (True, False))
        for first, second in zip(half, whole, strict=True):
            assert bool(torch.isfinite(first).all()), case.name
            assert float((first * second).sum() / (first.norm() * second.norm())) > 0.5, case.name


@every_family
def test_one_seed_gives_one_training(device: str, family: str, dims: int, tmp_path: Path) -> None:
    assert twice(family, toy_split(1, dims), device, tmp_path) == 0


@every_family
def test_a_training_resumes_to_the_bit(device: str, family: str, dims: int, tmp_path: Path) -> None:
    assert resumed(family, toy_split(1, dims), device, tmp_path) == 0


@every_family
def test_a_model_trained_in_bf16_is_finite_and_samples(device: str, family: str, dims: int, tmp_path: Path) -> None:
    train = toy_split(1, dims)
    model = fitted(family, train, device=device, folder=tmp_path, precision="bf16")
    for name, value in weights(model, tmp_path / "saved").items():
        assert bool(torch.isfinite(value.float()).all()), name
    drawn = np.concatenate(list(model.sample(5, seed=1)))
    assert drawn.shape == (5, *train.shape)
    assert np.array_equal(drawn, np.concatenate(list(model.sample(5, seed=1))))
    loaded = type(model).load(tmp_path / "saved", device=device)
    assert np.array_equal(drawn, np.concatenate(list(loaded.sample(5, seed=1))))


@pytest.mark.parametrize("family", ["ldm", "ddpm", "vae", "vqvae"])
def test_losses_and_reconstructions_are_the_cpu_s(device: str, family: str, tmp_path: Path) -> None:
    train = toy_split(2, 2)
    model = fitted(family, train, device=device, folder=tmp_path)
    model.save(tmp_path / "saved")
    images = train.images(slice(0, 4))
    same = type(model).load(tmp_path / "saved", device="cpu")
    with no_tf32():
        assert np.allclose(model.losses(images, seed=3), same.losses(images, seed=3), rtol=1e-3)
        if hasattr(model, "reconstruct"):
            assert np.allclose(model.reconstruct(images), same.reconstruct(images), atol=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_batches_from_memory_and_from_disk_are_the_contract_s_images(device: str, dims: int) -> None:
    split, place = toy_split(2, dims), pick_device(device)
    streamed = Streamed(split.pixels, split.rows, place)
    resident = feed_split(split, place)
    assert isinstance(resident, Resident)
    picked = np.array([3, 0, 5])
    for feed in (resident, streamed):
        (found,) = batches(feed, lambda step: picked, 0, 1)
        assert found.device.type == place.type
        assert np.allclose(found.cpu().numpy(), split.images(picked), atol=1e-6)


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    """The comparisons that all of these rest on."""
    case = next(cases("ddpm", "toy", 2, CPU))
    expected = gradients(case, CPU)
    with torch.no_grad():
        next(case.net.parameters()).mul_(1.1)
    assert distance(gradients(case, CPU), expected) > 1e-3
    first, second = (
        weights(fitted("vae", split, device="cpu", folder=tmp_path / name), tmp_path / name / "saved")
        for name, split in (("one", toy_split(1, 2)), ("other", _other()))
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)


def _other() -> Split:
    return toy_split(1, 2, items=9)
