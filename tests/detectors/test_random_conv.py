"""Encoder `random-conv`: fixed features that need no weights."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from benchmark.detectors.random_conv import WIDTHS, random_features
from benchmark.metrics.quality import frechet, standardised

torch.set_num_threads(1)
DIGEST = """
import numpy as np, torch
from benchmark.detectors.random_conv import random_features
torch.set_num_threads(1)
images = np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 1, 16, 16)
print(repr(random_features(images).astype(np.float64).round(4).tolist()))
"""


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (2, 4, 20, 13), (2, 1, 10, 12, 14), (2, 2, 9, 9, 9)], ids=str)
def test_shape_whatever_the_item(shape: tuple[int, ...]) -> None:
    found = random_features(images(*shape))
    assert found.shape == (shape[0], 2 * sum(WIDTHS)) == (shape[0], 192)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_features_are_mean_and_spread_of_each_layer() -> None:
    given = images(2, 1, 16, 16)
    generator = torch.Generator().manual_seed(0)
    x, width, expected = torch.from_numpy(given), 1, []
    for wide in (16, 32, 48):
        kernel = torch.empty(wide, width, 5, 5)
        kernel.normal_(0, (width * 25) ** -0.5, generator=generator)
        x = F.leaky_relu(F.conv2d(x, kernel, stride=2, padding=2), 0.2)
        expected += [x.mean((2, 3)), x.flatten(2).std(2)]
        width = wide
    np.testing.assert_allclose(random_features(given), torch.cat(expected, dim=1).numpy(), atol=1e-5)


def test_the_global_generator_does_not_matter() -> None:
    given = images(2, 1, 16, 16)
    torch.manual_seed(1)
    first = random_features(given)
    torch.manual_seed(2)
    assert np.array_equal(random_features(given), first)


def test_the_network_is_the_same_in_every_process() -> None:
    printed = [subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True) for _ in range(2)]
    assert printed[0].returncode == 0, printed[0].stderr
    assert printed[0].stdout == printed[1].stdout


def test_batches_do_not_matter() -> None:
    given = images(70, 1, 12, 12)  # more than are computed at once
    whole = random_features(given)
    np.testing.assert_allclose(
        whole, np.concatenate([random_features(given[:9]), random_features(given[9:])]), atol=1e-5
    )


def test_distance_grows_with_blur() -> None:
    given = images(80, 1, 24, 24)
    real, other = random_features(given[:40]), random_features(given[40:])
    distances = [0.0]
    for sigma in (0.0, 0.5, 1.0):
        made = random_features(gaussian_filter(given[40:], (0, 0, sigma, sigma)).astype(np.float32))
        distances.append(frechet(standardised(made, like=real), standardised(real, like=real)))
    assert distances == sorted(distances)
    assert distances[-1] > 3 * distances[1]
    assert frechet(other, other) < 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 8)])
def test_images_of_eight_pixels_have_numbers(shape: tuple[int, ...]) -> None:
    """The smallest size: the last layer leaves one pixel, which has no spread."""
    images = np.random.default_rng(0).uniform(-1, 1, (4, 1, *shape)).astype(np.float32)
    features = random_features(images)
    assert np.isfinite(features).all()
    assert not features[:, -WIDTHS[-1] :].any()
