"""One image in memory to one grey image: its axes and channels are stated, or certain by its shape, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from benchmark.core.types import Array

CHANNELS = (1, 3, 4)
"""Sizes of an axis that may be grey, red-green-blue, or red-green-blue with transparency."""
SMALLEST = 5
"""A shorter axis of rows or columns is an axis of channels that was not seen as one, or an array that is one image."""
LUMA = (299, 587, 114)
"""Thousandths of red, green and blue in a grey value (ITU-R BT.601), as Pillow converts."""
GREY = "grey"


def as_array(value: Any, where: str) -> Array:
    """Return an image as a NumPy array: from an array, a torch or MONAI tensor, or a Pillow image.

    Raises BadDataError, naming `where`, for anything else and for values that are not real numbers.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    elif getattr(value, "mode", None) == "P":  # Pillow's palette: its numbers are no grey levels
        value = value.convert("RGB")
    if not hasattr(value, "__array__") and not hasattr(value, "__array_interface__"):
        raise BadDataError(
            f"{where} is of type {type(value).__name__}, which is no image",
            "give NumPy arrays, torch tensors or Pillow images",
        )
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise BadDataError(
            f"{where} holds {array.dtype} values, real numbers are needed", "convert it to uint8 or float32"
        )
    return array


def letters_of(layout: str | None) -> str:
    """Return the axes of one image, such as `CHW`; of a layout of many images without its N. Empty: not stated.

    Raises UsageError for other letters, for a letter twice, and without H and W.
    """
    if layout is None:
        return ""
    letters = layout.upper().removeprefix("N")
    if set(letters) - set("CDHW") or len(set(letters)) != len(letters) or not {"H", "W"} <= set(letters):
        raise UsageError(
            f"layout {layout!r} names no axes of images",
            "use N (images), C (channels), D (depth), H (height) and W (width) once each: NHW, NCHW, NHWC, NDHW, NCDHW",
        )
    return letters


def axes_of(shape: tuple[int, ...], stated: str, where: str) -> str:
    """Return a letter of C, D, H, W per axis of one image of this shape.

    An axis of 1, 3 or 4 at either end is that of channels, where the other end is none. Raises UsageError where the
    stated axes do not fit, and where none are stated and two readings are possible.
    """
    if stated:
        if len(stated) != len(shape):
            raise UsageError(
                f"{where} has {len(shape)} axes, shape {shape}, and the layout {stated} has {len(stated)}",
                "name one letter per axis",
            )
        letters = stated
    else:
        letters = _certain(shape, where)
    sides = [size for size, letter in zip(shape, letters, strict=True) if letter in "HW"]
    if min(sides) < SMALLEST:
        raise UsageError(
            f"{where} would be an image of {' x '.join(map(str, sides))} pixels, shape {shape}",
            "give many images at once, with the images along the first axis; or say which axis is what: layout='NCHW'",
        )
    return letters


def _certain(shape: tuple[int, ...], where: str) -> str:
    if len(shape) == 2:
        return "HW"
    if len(shape) not in (3, 4):
        raise UsageError(
            f"{where} has {len(shape)} axes, shape {shape}: an image has 2 to 4",
            "give many images at once, with the images along the first axis: (N, H, W), (N, C, H, W), (N, D, H, W)",
        )
    spatial = "HW" if len(shape) == 3 else "DHW"
    first, last = shape[0] in CHANNELS, shape[-1] in CHANNELS
    if first != last:
        return f"C{spatial}" if first else f"{spatial}C"
    if first:
        raise UsageError(
            f"{where} has shape {shape}: its first axis may be that of channels, and so may its last",
            f"say which: layout='NC{spatial}' or layout='N{spatial}C'",
        )
    others = (
        "'NDHW' for volumes, 'NCHW' or 'NHWC' for images with channels" if len(shape) == 3 else "'NCDHW' or 'NDHWC'"
    )
    raise UsageError(
        f"{where} has shape {shape}, and no axis that can only be channels", f"say what the axes are: layout={others}"
    )


def grey_image(array: Array, letters: str, channels: int | str | None, where: str) -> Array:
    """Return one image as (H, W) or (D, H, W), of one channel.

    Args:
        array: as many axes as `letters`.
        letters: of its axes.
        channels: the number of the channel that is used, or `grey` for the grey value of red, green and blue. Without
            it, channels must be equal: a grey image that was saved in colour.
        where: its name for messages.

    Raises UsageError for channels that do not exist, BadDataError for channels that differ and were not chosen.
    """
    order = [letters.index(letter) for letter in "CDHW" if letter in letters]
    array = array.transpose(order)
    planes = array if "C" in letters else array[None]
    if channels == GREY:
        return _luma(planes, where)
    if channels is not None:
        if not (isinstance(channels, int) and 0 <= channels < len(planes)):
            raise UsageError(
                f"channels={channels!r} does not fit {where}, which has {len(planes)} channels",
                f"give a number from 0 to {len(planes) - 1}, or 'grey' for red, green and blue",
            )
        chosen: Array = planes[channels]
        return chosen
    if len(planes) > 1 and not (planes == planes[:1]).all():
        raise BadDataError(
            f"{where} has {len(planes)} channels that differ, and images are compared in one channel",
            f"choose one: channels=0 to {len(planes) - 1}, or channels='grey' for red, green and blue; or, if it is a "
            "volume, say so: layout='NDHW'",
        )
    first: Array = planes[0]
    return first


def _luma(planes: Array, where: str) -> Array:
    """Return the grey value of (3, ...) planes; of uint8 rounded to a grey level."""
    if len(planes) == 1:
        only: Array = planes[0]
        return only
    if len(planes) != len(LUMA):
        raise UsageError(
            f"channels='grey' is for 3 channels, and {where} has {len(planes)}", "choose one: channels=0, 1 ..."
        )
    weighted = sum(plane.astype(np.float64) * (weight / 1000) for plane, weight in zip(planes, LUMA, strict=True))
    value: Array = np.asarray(weighted)
    return value.round().astype(np.uint8) if planes.dtype == np.uint8 else value.astype(np.float32)


def of_side(given: Any, side: str) -> Any:
    """Return what an argument says of one set of images: a mapping has a value per set, anything else is of all."""
    return given.get(side) if isinstance(given, Mapping) else given
