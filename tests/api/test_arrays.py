"""Axes and channels: certain by the shape, stated, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.api.arrays import as_array, axes_of, grey_image, letters_of
from benchmark.core.errors import BenchError


@pytest.mark.parametrize(
    ("shape", "letters"),
    [
        ((64, 48), "HW"),
        ((3, 64, 48), "CHW"),
        ((1, 64, 48), "CHW"),
        ((64, 48, 4), "HWC"),
        ((1, 32, 64, 48), "CDHW"),
        ((32, 64, 48, 1), "DHWC"),
    ],
)
def test_shapes_that_leave_no_doubt(shape: tuple[int, ...], letters: str) -> None:
    assert axes_of(shape, "", "train[0]") == letters


@pytest.mark.parametrize(
    ("shape", "layout", "letters"),
    [
        ((24, 64, 48), "NDHW", "DHW"),
        ((24, 64, 48), "dhw", "DHW"),
        ((3, 64, 4), "NHWC", None),
        ((24, 64, 48), "NCHW", "CHW"),
        ((64, 48, 24), "NHWD", "HWD"),
    ],
)
def test_stated_axes(shape: tuple[int, ...], layout: str, letters: str | None) -> None:
    if letters is None:  # 3 rows: no image
        with pytest.raises(BenchError, match="would be an image of 3 x 64 pixels"):
            axes_of(shape, letters_of(layout), "train[0]")
    else:
        assert axes_of(shape, letters_of(layout), "train[0]") == letters


def message(function: Any, *arguments: Any) -> str:
    with pytest.raises(BenchError) as refused:
        function(*arguments)
    return str(refused.value)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (
            (24, 64, 48),
            (
                "train[0] has shape (24, 64, 48), and no axis that can only be channels\n"
                "  hint: say what the axes are: layout='NDHW' for volumes, 'NCHW' or 'NHWC' for images with channels"
            ),
        ),
        (
            (3, 64, 3),
            (
                "train[0] has shape (3, 64, 3): its first axis may be that of channels, and so may its last\n"
                "  hint: say which: layout='NCHW' or layout='NHWC'"
            ),
        ),
        (
            (1, 32, 32, 4),
            (
                "train[0] has shape (1, 32, 32, 4): its first axis may be that of channels, and so may its last\n"
                "  hint: say which: layout='NCDHW' or layout='NDHWC'"
            ),
        ),
        (
            (16, 32, 32, 32),
            (
                "train[0] has shape (16, 32, 32, 32), and no axis that can only be channels\n"
                "  hint: say what the axes are: layout='NCDHW' or 'NDHWC'"
            ),
        ),
        (
            (64,),
            (
                "train[0] has 1 axes, shape (64,): an image has 2 to 4\n"
                "  hint: give many images at once, with the images along the first axis: (N, H, W), (N, C, H, W), "
                "(N, D, H, W)"
            ),
        ),
        (
            (64, 3),
            (
                "train[0] would be an image of 64 x 3 pixels, shape (64, 3)\n"
                "  hint: give many images at once, with the images along the first axis; or say which axis is what: "
                "layout='NCHW'"
            ),
        ),
    ],
)
def test_shapes_in_doubt_are_refused(shape: tuple[int, ...], told: str) -> None:
    assert message(axes_of, shape, "", "train[0]") == told


def test_layouts_that_are_none() -> None:
    assert message(letters_of, "NXY") == (
        "layout 'NXY' names no axes of images\n"
        "  hint: use N (images), C (channels), D (depth), H (height) and W (width) once each: NHW, NCHW, NHWC, NDHW, "
        "NCDHW"
    )
    assert message(letters_of, "NHH").startswith("layout 'NHH' names no axes")
    assert message(axes_of, (64, 48), "DHW", "train[0]") == (
        "train[0] has 2 axes, shape (64, 48), and the layout DHW has 3\n  hint: name one letter per axis"
    )


def test_axes_are_put_in_order() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(grey_image(volume, "HWD", None, "x"), volume.transpose(2, 0, 1))
    np.testing.assert_array_equal(grey_image(volume, "HWC", 1, "x"), volume[:, :, 1])


def test_channels_are_equal_or_chosen() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (3, 8, 9), dtype=np.uint8)
    same = np.repeat(colour[:1], 3, axis=0)
    np.testing.assert_array_equal(grey_image(same, "CHW", None, "x"), same[0])
    np.testing.assert_array_equal(grey_image(colour, "CHW", 2, "x"), colour[2])
    luma = np.asarray(Image.fromarray(colour.transpose(1, 2, 0)).convert("L")).astype(int)
    grey = grey_image(colour, "CHW", "grey", "x")
    assert grey.dtype == np.uint8
    assert np.abs(grey.astype(int) - luma).max() <= 1  # Pillow computes with 16 bits
    assert message(grey_image, colour, "CHW", None, "train[4]") == (
        "train[4] has 3 channels that differ, and images are compared in one channel\n"
        "  hint: choose one: channels=0 to 2, or channels='grey' for red, green and blue; or, if it is a volume, say "
        "so: layout='NDHW'"
    )
    assert message(grey_image, colour, "CHW", 3, "train[4]") == (
        "channels=3 does not fit train[4], which has 3 channels\n"
        "  hint: give a number from 0 to 2, or 'grey' for red, green and blue"
    )
    assert message(grey_image, np.zeros((4, 8, 8)), "CHW", "grey", "train[4]") == (
        "channels='grey' is for 3 channels, and train[4] has 4\n  hint: choose one: channels=0, 1 ..."
    )


def test_everything_that_is_an_image() -> None:
    plane = np.arange(64, dtype=np.uint8).reshape(8, 8)
    palette = Image.fromarray(plane).convert("P")
    assert as_array(torch.from_numpy(plane).requires_grad_(False), "x").dtype == np.uint8
    assert as_array(torch.ones(8, 8, dtype=torch.bfloat16), "x").dtype == np.float32
    assert as_array(torch.ones(8, 8, requires_grad=True), "x").shape == (8, 8)
    np.testing.assert_array_equal(as_array(Image.fromarray(plane), "x"), plane)
    assert as_array(palette, "x").shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a", "x is of type str, which is no image\n  hint: give NumPy arrays, torch tensors or Pillow images"),
        (None, "x is of type NoneType, which is no image\n  hint: give NumPy arrays, torch tensors or Pillow images"),
        (
            np.zeros((8, 8), dtype=complex),
            "x holds complex128 values, real numbers are needed\n  hint: convert it to uint8 or float32",
        ),
        (
            np.zeros((8, 8), dtype=bool),
            "x holds bool values, real numbers are needed\n  hint: convert it to uint8 or float32",
        ),
    ],
)
def test_what_is_no_image(value: Any, told: str) -> None:
    assert message(as_array, value, "x") == told
