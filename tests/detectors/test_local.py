"""Detector `local`: its comparison, what it is fitted to, and that it finds parts of images that `pixels` does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmark.core.errors import UsageError
from benchmark.core.types import HasViews, Split
from benchmark.detectors import local
from benchmark.detectors.fitting import rows_in_memory
from benchmark.detectors.local import BestPatch, Grid, Local, Options, discriminant, fit_projections, moves_of
from benchmark.detectors.pixels import Pixels
from benchmark.images.planted_copies import CLAIMED_AS, PASTED
from benchmark.search import Rows, nearest

torch.set_num_threads(1)
SIDES = {2: 32, 3: 16}
PLAIN = Options(reach=0)


def patients(count: int, dims: int = 2, seed: int = 0) -> np.ndarray:
    """Anatomy common to all patients, and a soft random field of each one: (count, 1, *spatial)."""
    rng = np.random.default_rng(seed)
    shape = (1, *[SIDES[dims]] * dims)
    common = gaussian_filter(np.random.default_rng(99).standard_normal(shape), (0, *[4] * dims))
    own = gaussian_filter(rng.standard_normal((count, *shape)), (0, 0, *[1.5] * dims))
    return np.asarray(np.clip(0.5 * common / common.std() + 0.2 * own / own.std(), -1, 1), dtype=np.float32)


def split(pixels: np.ndarray, rows: list[int] | None = None) -> Split:
    rows = list(range(len(pixels))) if rows is None else rows
    names = tuple(f"i{row}" for row in rows)
    channels = tuple("xyz"[: pixels.shape[1]])
    return Split(name="real", pixels=pixels, rows=np.array(rows), subjects=names, items=names, channels=channels)


def fitted(pixels: np.ndarray, folder: Path, options: Options = PLAIN, key: str = "k") -> Local:
    return options.fit(split(pixels), folder=folder, key=key, device="cpu")


# The comparison


def slow_best(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest cosine of two patches (places, dimension) at one place."""
    cosines = []
    for one, other in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        lengths = np.sqrt((one**2).sum() * (other**2).sum())
        cosines.append((one * other).sum() / lengths if lengths else 0.0)
    return max(cosines)


@pytest.mark.parametrize("dims", [2, 3])
def test_comparison_is_its_formula(dims: int, tmp_path: Path) -> None:
    images = patients(9, dims)
    images[8] = 0.3  # without content
    detector = fitted(images, tmp_path)
    rows, similarity = detector.embed(images), detector.similarity
    shaped = rows.reshape(9, similarity.places, similarity.dimension)
    expected = np.array([[slow_best(a, b) for b in shaped] for a in shaped])
    exact = np.stack([similarity.exact(row, rows) for row in rows])
    np.testing.assert_allclose(exact, expected, atol=1e-12)
    block = similarity.block(rows, rows, "cpu")
    assert block.dtype == np.float32
    assert np.abs(block - exact).max() <= similarity.error(rows.shape[1])
    np.testing.assert_allclose(np.diag(exact)[:8], 1, atol=1e-12)
    assert (exact[8] == 0).all()


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    compare = BestPatch(places=5, dimension=7)
    queries, others = (rng.standard_normal((count, 35)).astype(np.float32) for count in (23, 11))
    whole = compare.block(queries, others, "cpu")
    parts = [compare.block(queries[[k]], others, "cpu") for k in range(23)]
    assert np.array_equal(np.concatenate(parts), whole)
    monkeypatch.setattr(local, "PAIRS_AT_ONCE", 22)
    assert np.array_equal(compare.block(queries, others, "cpu"), whole)


def test_batches_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = patients(20)
    detector = fitted(images, tmp_path)
    whole = detector.embed(images)
    monkeypatch.setattr(local, "AT_ONCE", 3)
    np.testing.assert_allclose(detector.embed(images), whole, atol=1e-6)


# Patches


def test_patches_cover_the_image_evenly() -> None:
    grid = Grid.over((2, 64, 40), 32, 9, 0.31)
    assert (grid.sides, grid.patch, grid.channels, grid.length) == ((32, 32), (10, 10), 2, 200)
    assert grid.starts[0] == (0, 3, 6, 8, 11, 14, 16, 19, 22)
    assert grid.count == 81
    small = Grid.over((1, 6, 6), 32, 9, 0.31)
    assert (small.patch, small.starts[0]) == ((2, 2), (0, 1, 2, 3, 4))


def test_brightness_and_contrast_of_a_patch_do_not_count() -> None:
    images = torch.from_numpy(patients(3))
    grid = Grid.over((1, 32, 32), 32, 9, 0.31)
    first, second = grid.patches(images)[0], grid.patches(0.5 * images + 0.2)[0]
    correlation = [
        np.corrcoef(a, b)[0, 1] for a, b in zip(first.reshape(-1, 100), second.reshape(-1, 100), strict=True)
    ]
    np.testing.assert_allclose(correlation, 1, atol=1e-6)


def test_empty_background_is_no_copy(tmp_path: Path) -> None:
    """Two patients share black corners and nothing else: their patches there match nothing."""
    images = patients(40)
    images[:, :, :12, :] = -1
    detector = fitted(images, tmp_path)
    rows = detector.embed(images).reshape(40, 81, -1)
    empty = [place for place, start in enumerate(np.repeat(detector.grid.starts[0], 9)) if start <= 2]
    assert len(empty) == 9
    assert not rows[:, empty].any()
    assert rows[:, -1].any(axis=1).all()
    similarity = detector.similarity.block(detector.embed(images), detector.embed(images), "cpu")
    assert similarity[~np.eye(40, dtype=bool)].max() < 0.99


def test_a_cohort_of_constant_images_gives_zeros(tmp_path: Path) -> None:
    rows = fitted(np.full((4, 1, 32, 32), -1, np.float32), tmp_path).embed(patients(2))
    assert np.isfinite(rows).all()


# The fit


def test_directions_are_those_of_the_greatest_ratio() -> None:
    between, within = np.diag([9.0, 4.0, 1.0, 0.5]), np.diag([9.0, 1.0, 0.1, 5.0])
    found = discriminant(between, within, 2)
    assert np.abs(found[:, 0]).argmax() == 2  # ratio 10, though its variance is small
    assert np.abs(found[:, 1]).argmax() == 1  # ratio 4
    np.testing.assert_allclose(np.einsum("dk,de,ek->k", found, between, found), 1, atol=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_every_real_item_counts_the_same(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and held-out items are fitted alike: the order of the splits changes nothing."""
    monkeypatch.setattr(local, "disturbed", lambda images, seed: images.flip(-1))
    images = patients(30, dims)
    grid = Grid.over(images.shape[1:], 16, 3, 0.4)
    order = np.random.default_rng(0).permutation(30)
    means, projections = fit_projections(split(images), grid, 4, 0)
    shuffled, other = fit_projections(split(images, order.tolist()), grid, 4, 0)
    np.testing.assert_allclose(means, shuffled, atol=1e-12)
    np.testing.assert_allclose(np.abs(projections), np.abs(other), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(means, grid.patches(torch.from_numpy(images))[0].mean(axis=1), atol=1e-12)
    assert not np.allclose(means, fit_projections(split(images, list(range(15))), grid, 4, 0)[0])


def test_strangers_of_both_sides_are_equally_similar(tmp_path: Path) -> None:
    """With more directions than patients a fit to one side alone separates that side; a fit to all has no side."""
    images = patients(120)
    detector = fitted(images, tmp_path)
    queries, train, heldout = (detector.embed(patients(40, seed=7)), *np.split(detector.embed(images), 2))
    near = [detector.similarity.block(queries, side, "cpu").max(axis=1) for side in (train, heldout)]
    assert abs((near[0] > near[1]).mean() - 0.5) < 0.25


def test_the_seed_decides_the_fit(tmp_path: Path) -> None:
    images = patients(20)
    for name in ("first", "again", "other"):
        (tmp_path / name).mkdir()
    first, again = (fitted(images, tmp_path / name) for name in ("first", "again"))
    other = fitted(images, tmp_path / "other", replace(PLAIN, seed=1))
    assert np.array_equal(first.projections, again.projections)
    assert not np.allclose(first.projections, other.projections)


def test_a_finished_fit_is_loaded_and_another_key_is_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = patients(20)
    first = fitted(images, tmp_path)
    fits: list[int] = []

    def counted(*given: object) -> tuple[np.ndarray, np.ndarray]:
        fits.append(1)
        return fit_projections(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "fit_projections", counted)
    again = fitted(images, tmp_path)
    assert not fits
    assert np.array_equal(first.embed(images), again.embed(images))
    fitted(images, tmp_path, key="another")
    assert fits == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 0.0}, "patch=0.0 is no fraction of a side\n  hint: give more than 0 and at most 1"),
        ({"places": 0}, "places=0 is too small\n  hint: give 1 or more"),
        ({"reach": 9}, "reach=9 is out of range\n  hint: give 0 to 4"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Options(**options)  # type: ignore[arg-type]
    assert str(error.value) == message


# What it finds


def share_found(detector: Local | Pixels, images: np.ndarray, made: np.ndarray) -> float:
    """Share of made items whose nearest of the first 100 images is the source, and more similar than strangers are."""
    bank = Rows.of(detector.embed(images[:100]), detector.similarity)
    strangers = nearest(rows_in_memory(detector, images[100:200]), bank).similarity
    match = nearest(rows_in_memory(detector, made), bank)
    return float(((match.index == np.arange(len(made))) & (match.similarity > np.quantile(strangers, 0.95))).mean())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("strength", ["16%", "25%"])
def test_a_pasted_part_is_found_where_pixels_is_blind(dims: int, strength: str, tmp_path: Path) -> None:
    images = patients(240, dims)
    made = PASTED["local"][strength](torch.from_numpy(images[:40]), torch.from_numpy(images[200:])).numpy()
    assert share_found(fitted(images, tmp_path), images, made) > 0.9
    assert share_found(Pixels(), images, made) < 0.3


def test_moved_copies_are_found_by_views(tmp_path: Path) -> None:
    images = patients(200)
    made = np.roll(images[:40], (1, -1), axis=(2, 3))
    still, moving = (fitted(images, tmp_path, replace(PLAIN, reach=reach)) for reach in (0, 1))
    assert share_found(moving, images, made) > 0.9
    assert share_found(still, images, made) < 0.5


@pytest.mark.parametrize(("dims", "count"), [(2, 8), (3, 26)])
def test_views_are_all_moves_but_none(dims: int, count: int, tmp_path: Path) -> None:
    detector = fitted(patients(4, dims), tmp_path, Options())
    assert isinstance(detector, HasViews)
    assert len(detector.views) == count
    images = patients(1, dims)
    made: list[Callable[[np.ndarray], np.ndarray]] = list(moves_of(dims, 1))
    assert len({move(images).tobytes() for move in made} | {images.tobytes()}) == count + 1
    inner = (slice(None), slice(None), *[slice(1, -1)] * dims)
    shifted = np.roll(images, [-1] * dims, axis=tuple(range(2, 2 + dims)))
    assert np.array_equal(made[0](images)[inner], shifted[inner])


def test_claims_are_names_of_planted_copies(tmp_path: Path) -> None:
    assert set(fitted(patients(4), tmp_path).invariances) <= set(CLAIMED_AS)
