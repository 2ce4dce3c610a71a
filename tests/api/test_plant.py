"""`mb.plant`: copies of the kinds that detectors are measured with, in the images' own form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import memobench as mb
from benchmark.core.types import to_images, to_pixels
from benchmark.images.planted_copies import PLANTED

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)


def test_the_copies_are_what_the_table_says() -> None:
    planted = mb.plant(IMAGES, count=12, transforms=["exact", "flip", "contrast"], seed=3)
    table = planted.table
    assert planted.images.shape == (12, 16, 16)
    assert planted.images.dtype == np.uint8
    assert table["index"].tolist() == list(range(12))
    assert table["transform"].tolist() == ["exact", "flip", "contrast"] * 4
    assert table["source"].nunique() == 12
    for row in table.to_dict("records"):
        given = torch.from_numpy(to_images(IMAGES[[row["source"]], None]))
        expected = to_pixels(PLANTED[row["transform"]](given).numpy(), "uint8")[0, 0]
        np.testing.assert_array_equal(planted.images[row["index"]], expected)


def test_seeds_and_shares() -> None:
    one, same, other = (mb.plant(IMAGES, share=0.25, seed=seed).table["source"].tolist() for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 5
    assert len(mb.plant(IMAGES, share=0.01).images) == 1


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_axes_type_and_range_stay(layout: str) -> None:
    images = (IMAGES[:, None].repeat(3, 1) * 4.0 - 100).astype(np.float64)
    given = images if layout == "NCHW" else images.transpose(0, 2, 3, 1)
    planted = mb.plant(given, count=4, transforms=["exact"], value_range=(-100, 920), layout=layout)
    assert planted.images.dtype == np.float64
    np.testing.assert_allclose(planted.images, given[planted.table["source"]], atol=1e-3)
    whole = mb.plant(images.astype(np.int16), count=4, transforms=["exact"], value_range=(-100, 920))
    np.testing.assert_array_equal(whole.images, images.astype(np.int16)[whole.table["source"]])


def test_volumes() -> None:
    volumes = np.random.default_rng(1).random((4, 8, 9, 10)).astype(np.float32)
    planted = mb.plant(volumes, count=2, transforms=["flip"], value_range=(0, 1), layout="NDHW")
    np.testing.assert_allclose(planted.images, volumes[planted.table["source"]][..., ::-1], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "settings", "told"),
    [
        (IMAGES, {}, "count= or share= says how many copies are made\n  hint: give one of them"),
        (
            IMAGES,
            {"count": 1, "share": 0.5},
            "count= or share= says how many copies are made\n  hint: give one of them",
        ),
        (IMAGES, {"share": 0}, "share=0 is no share of images\n  hint: give more than 0 and at most 1"),
        (
            IMAGES,
            {"count": 21},
            ("21 copies of 20 images were asked for\n  hint: give 1 to 20: each is of another"),
        ),
        (
            IMAGES,
            {"count": 1, "transforms": ["flips"]},
            (
                "there is no transform 'flips'\n  hint: did you mean 'flip'? choose from exact, flip, rotate5, "
                "rotate15, shift, crop, contrast, blur, noise, resample, deform, recode"
            ),
        ),
        (
            IMAGES / 255,
            {"count": 1},
            (
                "images are float64, and what is done to them depends on which values are black and white\n"
                "  hint: state it: value_range=(LOW, HIGH)"
            ),
        ),
        (
            IMAGES * 1.0,
            {"count": 1, "value_range": (0, 1)},
            None,
        ),
    ],
)
def test_what_is_refused(images: Any, settings: dict[str, Any], told: str | None) -> None:
    with pytest.raises(mb.UsageError) as refused:
        mb.plant(images, **settings)
    if told is None:
        assert "of the values of images are outside the stated range 0 to 1: they go from 0 to 255" in str(
            refused.value
        )
    else:
        assert str(refused.value) == told
