import numpy as np
import pytest

from benchmark.images.resize import block_mean, crop_to, pad_to, resize_smooth, shrink, shrink_labels, to_uint8

RNG = np.random.default_rng(0)


def test_padding_is_centred_and_cropping_undoes_it() -> None:
    planes = RNG.integers(1, 255, (2, 5, 8))
    padded = pad_to(planes, (8, 8))
    assert padded.shape == (2, 8, 8)
    assert np.array_equal(padded[:, 1:6], planes)
    assert np.array_equal(crop_to(padded, (5, 8)), planes)
    assert pad_to(planes, (3, 3)).shape == planes.shape


def test_rounding_is_to_the_nearest_halves_up() -> None:
    assert list(to_uint8(np.array([-3, 0.4, 0.5, 1.5, 2.5, 254.5, 300]))) == [0, 0, 1, 2, 3, 255, 255]


@pytest.mark.parametrize("side", [8, 4, 2])
def test_shrink_is_the_block_mean(side: int) -> None:
    planes = RNG.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    factor = 8 // side
    means = planes.reshape(3, side, factor, side, factor).mean(axis=(2, 4))
    assert np.array_equal(shrink(planes, side), np.floor(means + 0.5))


def test_shrink_by_a_fraction_keeps_the_mean() -> None:
    planes = RNG.integers(0, 256, (3, 256, 256), dtype=np.uint8)
    assert shrink(planes, 96).mean() == pytest.approx(planes.mean(), abs=0.2)


@pytest.mark.parametrize("resize", [shrink, shrink_labels])
def test_no_planes_stay_no_planes(resize: object) -> None:
    assert resize(np.zeros((0, 8, 8), np.uint8), 4).shape == (0, 4, 4)  # type: ignore[operator]


def test_labels_are_picked_not_mixed() -> None:
    planes = RNG.choice(np.array([0, 51, 204], np.uint8), (3, 8, 8))
    assert set(np.unique(shrink_labels(planes, 3))) <= {0, 51, 204}


def test_resize_smooth_keeps_equal_sizes_exactly() -> None:
    plane = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    assert np.array_equal(resize_smooth(plane, 8), plane)
    assert resize_smooth(plane[:, :6], 8).shape == (8, 8)


def test_block_mean_cuts_the_incomplete_cube() -> None:
    volume = np.arange(5 * 4 * 4, dtype=float).reshape(5, 4, 4)
    assert block_mean(volume, (2, 2, 2)).shape == (2, 2, 2)
    assert block_mean(volume, (2, 2, 2))[0, 0, 0] == volume[:2, :2, :2].mean()
