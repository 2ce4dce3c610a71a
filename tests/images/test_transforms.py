"""Transformations: shapes, ranges, geometry and determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmark.images.planted_copies import PLANTED
from benchmark.images.transforms import add_noise, affine, augment, blur, deform, gamma, rotate_by_quarters, rotations

torch.set_num_threads(1)

SHAPES = [(channels, *spatial) for spatial in ((24, 24), (17, 30), (12, 12, 12), (8, 13, 10)) for channels in (1, 2, 5)]


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def smooth_images(*shape: int) -> Tensor:
    noise = np.random.default_rng(0).standard_normal(shape)
    soft = gaussian_filter(noise, (0, 0, *[2] * (len(shape) - 2)))
    return torch.from_numpy((soft / np.abs(soft).max()).astype(np.float32))


def disc(size: int = 33, dims: int = 2) -> Tensor:
    """A soft disc or ball about the centre."""
    axes = torch.meshgrid(*[torch.arange(size) - (size - 1) / 2] * dims, indexing="ij")
    radius = sum(axis**2 for axis in axes) ** 0.5
    return (2 * torch.sigmoid((size / 4 - radius) / 2) - 1)[None, None].float()


def still(images: Tensor) -> Tensor:
    return torch.zeros(len(images), images.ndim - 2)


def inside(images: Tensor, margin: int) -> Tensor:
    """What is not near the border."""
    within: list[slice] = [slice(margin, -margin)] * (images.ndim - 2)
    return images[(slice(None), slice(None), *within)]


# All of them


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_planted_keep_shape_and_range(name: str, shape: tuple[int, ...]) -> None:
    images = random_images(3, *shape)
    before = images.clone()
    made = PLANTED[name](images)
    assert made.shape == images.shape
    assert made.dtype == torch.float32
    assert made.isfinite().all()
    assert made.abs().max() <= 1 + 1e-6
    assert torch.equal(images, before)  # the given ones are left alone
    assert torch.equal(PLANTED[name](images), made)
    assert torch.equal(made, images) == (name == "exact")


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 20, 20, 20)], ids=str)
def test_planted_stay_copies(name: str, shape: tuple[int, ...]) -> None:
    """Each is nearer to its own image than to any other, once a flip is undone."""
    images = smooth_images(6, *shape)
    made = PLANTED[name](images)
    made = made.flip(-1) if name == "flip" else made
    correlations = np.corrcoef(images.flatten(1).numpy(), made.flatten(1).numpy())[:6, 6:]
    assert (correlations.argmax(axis=1) == np.arange(6)).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_augment_keeps_shape_and_range(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made = augment(random_images(4, *shape))
    assert made.shape == (4, *shape)
    assert made.isfinite().all()
    assert made.abs().max() <= 1


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 8, 8, 8)], ids=str)
def test_augment_follows_torch_s_seed(shape: tuple[int, ...]) -> None:
    images = random_images(5, *shape)

    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return augment(images)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_augment_treats_each_image_on_its_own() -> None:
    torch.manual_seed(0)
    made = augment(smooth_images(1, 1, 16, 16).repeat(6, 1, 1, 1))
    assert len({tuple(image.flatten().tolist()) for image in made}) == 6


def test_half_of_the_images_are_flipped() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-0.5, 0.5, 16).expand(400, 1, 16, 16)
    made = augment(ramp)
    flipped = (made[:, 0, :, -4:].mean((1, 2)) < made[:, 0, :, :4].mean((1, 2))).float().mean()
    assert 0.4 < flipped < 0.6


# Geometry


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flipping_twice_changes_nothing(shape: tuple[int, ...]) -> None:
    images = random_images(2, *shape)
    once = PLANTED["flip"](images)
    assert torch.equal(once[..., 0], images[..., -1])
    assert torch.equal(PLANTED["flip"](once), images)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["rotate5", "rotate15"])
def test_a_disc_stays_under_rotation(dims: int, name: str) -> None:
    images = disc(dims=dims).repeat(2, *[1] * (dims + 1))
    made = PLANTED[name](images)
    torch.testing.assert_close(made, images, atol=0.02, rtol=0)


def test_a_disc_stays_under_rotation_in_an_oblong_image() -> None:
    wide = torch.nn.functional.pad(disc(), (16, 16, 0, 0), value=-1)
    torch.testing.assert_close(PLANTED["rotate15"](wide), wide, atol=0.05, rtol=0)


def test_every_other_image_is_rotated_the_other_way() -> None:
    images = smooth_images(1, 1, 32, 32).repeat(2, 1, 1, 1)
    made = PLANTED["rotate15"](images)
    assert not torch.allclose(made[0], made[1], atol=0.05)
    rotate_by_quarters = PLANTED["rotate15"](made.flip(0)).flip(0)  # the other way again: back to the start
    torch.testing.assert_close(inside(rotate_by_quarters, 10), inside(images, 10), atol=0.1, rtol=0)


def test_a_rotation_by_90_degrees_is_exact() -> None:
    images = random_images(3, 2, 9, 9)
    quarter = affine(images, torch.full((3,), math.pi / 2), torch.ones(3), still(images))
    assert any(torch.allclose(quarter, images.rot90(quarters, (2, 3)), atol=1e-4) for quarters in (1, 3))
    volumes = random_images(2, 1, 7, 7, 7)
    rotate_by_quarters = affine(volumes, torch.full((2,), math.pi / 2), torch.ones(2), still(volumes))
    assert any(  # about the first spatial axis
        torch.allclose(rotate_by_quarters, volumes.rot90(quarters, (3, 4)), atol=1e-4) for quarters in (1, 3)
    )


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 5, 9, 9)])
def test_random_rotations_are_all_four(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    image = random_images(1, *shape)
    result = {bytes(rotated.numpy()) for rotated in rotate_by_quarters(image.expand(64, *shape))}
    assert result == {bytes(image[0].rot90(quarters, (-2, -1)).numpy()) for quarters in range(4)}


def test_oblong_images_are_rotated_by_180_degrees() -> None:
    torch.manual_seed(0)
    image = random_images(1, 1, 9, 14)
    result = {bytes(rotated.numpy()) for rotated in rotate_by_quarters(image.expand(64, 1, 9, 14))}
    assert result == {bytes(image[0].numpy()), bytes(image[0].rot90(2, (-2, -1)).numpy())}


def test_a_transformation_of_strength_0_changes_nothing() -> None:
    for images in (random_images(2, 1, 9, 14), random_images(2, 1, 6, 9, 7)):
        same = affine(images, torch.zeros(2), torch.ones(2), still(images))
        torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0), (-4, 5)])
def test_shift_in_pixels(rows: int, columns: int) -> None:
    images = random_images(2, 1, 20, 40)
    share = torch.tensor([[columns / 40, rows / 20]]).expand(2, 2)  # last axis first
    moved = affine(images, torch.zeros(2), torch.ones(2), share)
    expected = images.roll((rows, columns), (2, 3))
    torch.testing.assert_close(inside(moved, 6), inside(expected, 6), atol=1e-4, rtol=0)


def test_shift_of_volumes_in_voxels() -> None:
    images = random_images(1, 1, 10, 12, 14)
    moved = affine(images, torch.zeros(1), torch.ones(1), torch.tensor([[2 / 14, 1 / 12, -1 / 10]]))
    torch.testing.assert_close(inside(moved, 3), inside(images.roll((-1, 1, 2), (2, 3, 4)), 3), atol=1e-4, rtol=0)


def test_planted_shift_is_a_twentieth_of_the_view() -> None:
    images = random_images(2, 1, 40, 40)
    moved = PLANTED["shift"](images)
    for image, made, pixels in zip(images, moved, (2, -2), strict=True):
        expected = image.roll((pixels, pixels), (1, 2))
        torch.testing.assert_close(made[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4], atol=1e-4, rtol=0)


def test_the_border_is_repeated_outwards() -> None:
    images = random_images(1, 1, 10, 10)
    moved = affine(images, torch.zeros(1), torch.ones(1), torch.tensor([[0.3, 0.0]]))
    torch.testing.assert_close(moved[..., :3], images[..., :1].expand(1, 1, 10, 3), atol=1e-4, rtol=0)


def test_scale_above_one_lets_content_grow() -> None:
    images = disc()
    area = (images > 0).sum().item()
    grown = affine(images, torch.zeros(1), torch.full((1,), 1.5), still(images))
    assert (grown > 0).sum().item() == pytest.approx(area * 1.5**2, rel=0.08)
    assert (PLANTED["crop"](images) > 0).sum().item() == pytest.approx(area / 0.9**2, rel=0.08)


def test_rotations_are_rotations() -> None:
    generator = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=1)
    angles = torch.randn(50, generator=generator) * 3
    R = rotations(axes, angles)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(50), atol=1e-5, rtol=0)
    torch.testing.assert_close((R @ axes[:, :, None])[:, :, 0], axes, atol=1e-5, rtol=0)
    torch.testing.assert_close(R.diagonal(dim1=1, dim2=2).sum(1), 1 + 2 * angles.cos(), atol=1e-5, rtol=0)
    about_z = rotations(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([math.pi / 2]))[0]
    torch.testing.assert_close(about_z @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


# Grey levels


@pytest.mark.parametrize("shape", [(2, 3, 20, 26), (2, 1, 12, 14, 16)], ids=str)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_scipy_s(shape: tuple[int, ...], sigma: float) -> None:
    images = random_images(*shape)
    radius = max(1, math.ceil(3 * sigma))
    spread = (0, 0, *[sigma] * (len(shape) - 2))
    expected = gaussian_filter(images.double().numpy(), spread, mode="nearest", radius=radius)
    np.testing.assert_allclose(blur(images, sigma).numpy(), expected, atol=1e-5)
    untruncated = gaussian_filter(images.double().numpy(), spread, mode="nearest")
    np.testing.assert_allclose(blur(images, sigma).numpy(), untruncated, atol=0.02)


def test_blur_keeps_the_mean() -> None:
    assert torch.allclose(blur(torch.full((1, 2, 9, 9), 0.3), 1.0), torch.tensor(0.3))
    peak = torch.zeros(1, 1, 21, 21)
    peak[..., 10, 10] = 1
    assert blur(peak, 1.5).sum().item() == pytest.approx(1, abs=1e-5)


def test_gamma_darkens_and_keeps_order() -> None:
    ramp = torch.linspace(-1, 1, 11).view(1, 1, 1, 11)
    dark = gamma(ramp, torch.tensor([1.4]))
    assert (dark[..., 1:-1] < ramp[..., 1:-1]).all()
    assert (dark.diff() > 0).all()
    torch.testing.assert_close(dark, ((ramp + 1) / 2) ** 1.4 * 2 - 1, atol=1e-3, rtol=0)
    assert dark[0, 0, 0, -1] == 1


def test_noise_has_its_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    made = add_noise(torch.zeros(2, 1, 200, 200), torch.tensor([0.0, 0.1]), generator)
    assert torch.equal(made[0], torch.zeros(1, 200, 200))
    assert made[1].std().item() == pytest.approx(0.1, rel=0.03)
    assert add_noise(torch.ones(1, 1, 50, 50), torch.tensor([0.5])).max() <= 1


def test_deform_moves_a_little() -> None:
    images = smooth_images(2, 1, 32, 32)
    assert torch.allclose(deform(images, 0.0), images, atol=1e-5)
    made = deform(images, 0.02, torch.Generator().manual_seed(0))
    assert 0.005 < (made - images).abs().mean().item() < 0.2


def test_recoding_is_jpeg_s_loss() -> None:
    images = smooth_images(2, 2, 24, 24)
    made = PLANTED["recode"](images)
    assert 0 < (made - images).abs().max().item() < 0.2
    levels = (made + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_resampling_keeps_coarse_content() -> None:
    even = torch.full((1, 1, 16, 16), 0.4)
    torch.testing.assert_close(PLANTED["resample"](even), even)
    checks = torch.ones(1, 1, 16, 16)
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1
    torch.testing.assert_close(PLANTED["resample"](checks), torch.zeros(1, 1, 16, 16), atol=1e-6, rtol=0)
