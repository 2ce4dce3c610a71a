"""Detector `pixels` is Pearson's correlation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import UsageError
from benchmark.core.types import Split, to_images, to_pixels
from benchmark.detectors.pixels import Options, Pixels
from benchmark.detectors.query_transforms import views_of
from benchmark.images.planted_copies import PLANTED


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def like(detector: Pixels, given: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """All similarities in float64."""
    rows, bank = detector.embed(given), detector.embed(given if others is None else others)
    return np.stack([detector.similarity.exact(row, bank) for row in rows])


LEVELLED = Pixels(levels=True)


@pytest.mark.parametrize("detector", [Pixels(), LEVELLED], ids=["float", "levels"])
@pytest.mark.parametrize("shape", [(6, 1, 8, 9), (5, 3, 7, 7), (4, 2, 5, 4, 3)], ids=str)
def test_similarities_are_pearson_s_correlations(shape: tuple[int, ...], detector: Pixels) -> None:
    given = to_images(to_pixels(images(*shape), "uint8"))
    rows = detector.embed(given)
    assert rows.dtype == (np.uint8 if detector.levels else np.float32)
    assert rows.shape == (shape[0], np.prod(shape[1:]))
    expected = np.corrcoef(given.reshape(shape[0], -1).astype(np.float64))
    np.testing.assert_allclose(like(detector, given), expected, atol=1e-7)
    np.testing.assert_allclose(detector.similarity.block(rows, rows, "cpu"), expected, atol=1e-5)


def test_grey_levels_are_those_that_were_stored() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(LEVELLED.embed(to_images(stored)), stored.reshape(1, -1))


def test_channels_count_together() -> None:
    """One mean over all channels: a channel that is brighter throughout is part of the likeness."""
    given = np.zeros((2, 2, 4, 4), np.float32)
    given[0, 0], given[1, 1] = 0.5, 0.5
    assert like(Pixels(), given)[0, 1] == pytest.approx(-1)


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.0), (1.0, -0.3), (0.2, 0.6)])
def test_brightness_and_contrast_do_not_matter(scale: float, offset: float) -> None:
    given = images(4, 1, 12, 12)
    changed = np.float32(scale) * given + np.float32(offset)
    np.testing.assert_allclose(like(Pixels(), changed, given), like(Pixels(), given), atol=1e-6)
    np.testing.assert_allclose(like(Pixels(), -given, given), -like(Pixels(), given), atol=1e-7)


@pytest.mark.parametrize(
    "options", [{}, {"levels": True}, {"foreground": True}, {"mean": np.zeros((1, 16, 16))}], ids=str
)
@pytest.mark.parametrize("level", [-1.0, 0.0, 0.1, 1.0])
def test_a_constant_image_is_like_nothing(level: float, options: dict[str, object]) -> None:
    given = images(3, 1, 16, 16)
    given[1] = level
    found = like(Pixels(**options), given)  # type: ignore[arg-type]
    assert np.array_equal(found[1], np.zeros(3))
    np.testing.assert_allclose(found[[0, 2], [0, 2]], 1, atol=1e-15)


def test_rounding_of_a_constant_image_is_no_content() -> None:
    given = np.full((1, 1, 32, 32), 0.1, np.float32)
    given[0, 0, ::2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert like(Pixels(), given) == 0


@pytest.mark.parametrize("detector", [Pixels(), LEVELLED], ids=["float", "levels"])
def test_one_grey_level_is_content(detector: Pixels) -> None:
    given = np.full((1, 1, 64, 64), -1.0, np.float32)
    given[0, 0, 3, 3] = 1 / 127.5 - 1
    assert like(detector, given) == 1


def test_background_counts_for_nothing() -> None:
    given = 0.9 * images(2, 1, 8, 8)
    given[:, :, :, 4:] = -1
    seen = given[:, 0, :, :4].reshape(2, -1)
    expected = np.corrcoef(seen.astype(np.float64))[0, 1]
    assert like(Pixels(foreground=True), given)[0, 1] == pytest.approx(expected, abs=1e-6)


def test_the_mean_image_is_subtracted() -> None:
    given, mean = images(2, 2, 5, 5), images(2, 5, 5, seed=1).astype(np.float64)
    expected = np.corrcoef((given - mean).reshape(2, -1))[0, 1]
    assert like(Pixels(mean=mean), given)[0, 1] == pytest.approx(expected, abs=1e-6)
    some = np.corrcoef((given - mean)[:, [1]].reshape(2, -1))[0, 1]
    assert like(Pixels(mean=mean, channels=(1,)), given)[0, 1] == pytest.approx(some, abs=1e-6)


# Views


def test_views_are_flips_rotations_and_shifts() -> None:
    given = images(2, 1, 20, 20)
    flips, rotations, shifts = (views_of((name,)) for name in ("flips", "rotations", "shifts"))
    assert (len(flips), len(rotations), len(shifts)) == (2, 4, 4)
    assert np.array_equal(flips[0](given), given[..., ::-1])
    assert np.array_equal(flips[1](given), given[..., ::-1, :])
    np.testing.assert_allclose(shifts[0](given)[..., 1:], given[..., :-1], atol=1e-5)  # 5 % of 20 pixels, to the right
    np.testing.assert_allclose(shifts[2](given)[..., 1:, :], given[..., :-1, :], atol=1e-5)
    assert all(view(given).dtype == np.float32 for view in (*flips, *rotations, *shifts))
    assert views_of(("flips", "shifts")) == (*flips, *shifts)


def test_a_volume_is_flipped_along_each_of_its_axes() -> None:
    """Left and right of a volume are its first axis: models are trained on mirrored patients."""
    given = images(2, 1, 6, 7, 8)
    flips = views_of(("flips",), 3)
    assert [np.array_equal(flips[-axis - 1](given), np.flip(given, axis)) for axis in (-1, -2, -3)] == [True] * 3
    split = Split(
        name="real", pixels=given, rows=np.arange(2), subjects=("a", "b"), items=("a", "b"), channels=("image",)
    )
    detector = Options(transforms=("flips",)).fit(split, folder=Path(), key="", device="cpu")
    assert len(detector.views) == 3


def test_scales_undo_a_crop() -> None:
    whole = images(1, 1, 40, 40)[:, :, 10:30, 10:30].repeat(4, 2).repeat(4, 3)  # 80 pixels, blocks of 4
    smaller, larger = views_of(("scales",))
    assert like(Pixels(), np.concatenate([larger(smaller(whole)), whole]))[0, 1] > 0.9
    assert like(Pixels(), np.concatenate([larger(whole), whole]))[0, 1] < 0.8
    assert not np.array_equal(smaller(whole), whole)


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        Options(transforms=("flips", "turns"))
    assert str(error.value) == (
        "there is no transform 'turns' of queries\n  hint: choose from flips, rotations, shifts, scales"
    )


def test_batches_do_not_matter() -> None:
    given = images(7, 1, 9, 9)
    single = np.concatenate([Pixels().embed(given[[i]]) for i in range(7)])
    assert np.array_equal(Pixels().embed(given), single)


def test_the_given_images_are_left_alone() -> None:
    given = images(2, 1, 6, 6)
    before = given.copy()
    Pixels().embed(given)
    assert np.array_equal(given, before)


def test_invariances_are_names_of_planted_copies() -> None:
    assert set(Pixels().invariances) <= set(PLANTED)
