"""Pixels of a DICOM file: from bits as stored to grey levels in the unit of the scan, low values black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.pixels.processing import apply_rescale

from benchmark.core.errors import BadDataError
from benchmark.images.readers.frame_tags import first, number, value_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.core.types import Array

QUANTITIES = ("CT", "PT")
"""Modalities whose values measure something: MONOCHROME1 then says only how a viewer shows them."""


def decoded(header: Dataset) -> Array:
    """Decode, with values that begin above the lowest bit moved down to it: pydicom would cut off their highest bits.

    Some files state such a HighBit, and store values from the lowest bit all the same: those have bits that would be
    lost, and all fit.
    """
    allocated, stored, high = (
        int(number(value_of(header, name)) or 0) for name in ("BitsAllocated", "BitsStored", "HighBit")
    )
    shift = high + 1 - stored
    if shift <= 0 or not 0 < stored <= high < allocated or header.file_meta.TransferSyntaxUID.is_encapsulated:
        return np.asarray(header.pixel_array)
    header.BitsStored = high + 1
    values = np.asarray(header.pixel_array)
    fits = np.array_equal(values, values << (8 * values.itemsize - stored) >> (8 * values.itemsize - stored))
    from_lowest_bit = fits and (values & (2**shift - 1)).any()
    return values if from_lowest_bit else values >> shift


def rescaled(header: Dataset, groups: Sequence[Dataset], plane: Array, path: Path, *, alone: bool) -> Array:
    """Return a plane (rows, columns) rescaled, with low values black, and padding at the least value.

    A radiograph (`alone`) is inverted within its own range. All planes of a volume are inverted by one constant, and
    those of QUANTITIES not at all.
    """
    table = value_of(header, "ModalityLUTSequence") is not None
    inverted = str(value_of(header, "PhotometricInterpretation")) == "MONOCHROME1"
    inverted = inverted and (alone or str(value_of(header, "Modality")) not in QUANTITIES)
    stored = _inverted_as_stored(header, plane) if inverted and not (alone or table) else plane
    values = apply_rescale(stored, header) if table else _scaled(groups, stored, path)
    if inverted and (alone or table):
        values = values.max() + values.min() - values
    outside = _padding(header, plane)
    if outside is not None and outside.any() and not outside.all():
        values[outside] = values[~outside].min()  # scanners pad far below air
    return values


def _inverted_as_stored(header: Dataset, plane: Array) -> Array:
    """Return a plane (rows, columns) of whole numbers with the range of its bits reversed."""
    if plane.dtype.kind not in "iu":
        return -plane
    highest = -1 if plane.dtype.kind == "i" else 2 ** int(header.BitsStored) - 1
    return np.asarray(highest - plane.astype(np.int64)).astype(plane.dtype)


def _padding(header: Dataset, plane: Array) -> Array | None:
    """Return where a plane (rows, columns) is padding; None where the file states no value for it.

    Between PixelPaddingValue and PixelPaddingRangeLimit, both included, all values are padding (PS3.3, C.7.5.1.1.2).
    A value that the plane cannot hold was written as the unsigned number of the same bits, or as the signed one.
    """
    value = number(value_of(header, "PixelPaddingValue"))
    if value is None:
        return None
    limit = number(value_of(header, "PixelPaddingRangeLimit"))
    stated, bits = [value, value if limit is None else limit], 8 * plane.itemsize
    if plane.dtype.kind in "iu" and all(-(2 ** (bits - 1)) <= end < 2**bits for end in stated):
        stated = [float(np.array(int(end)).astype(plane.dtype)) for end in stated]
    return np.asarray((plane >= min(stated)) & (plane <= max(stated)))


def _scaled(groups: Sequence[Dataset], plane: Array, path: Path) -> Array:
    """Return plane (rows, columns) * slope + intercept, in integers where both are whole."""
    stored = first(groups, "RescaleSlope"), first(groups, "RescaleIntercept")
    slope, intercept = (number(usual if value is None else value) for value, usual in zip(stored, (1, 0), strict=True))
    if slope is None or intercept is None or not np.isfinite([slope, intercept]).all():
        raise BadDataError(f"{path} has a damaged tag RescaleSlope or RescaleIntercept", "export it again")
    largest = max(abs(slope), abs(intercept))
    whole = plane.dtype.kind in "iub" and slope.is_integer() and intercept.is_integer() and largest < 2**31
    small = plane.itemsize <= 2 and largest < 2**14  # then 16 bits times the slope, plus the intercept, fit in int32
    kind = np.dtype(("int32" if small else "int64") if whole else "float32")
    scaled: Array = plane.astype(kind) * kind.type(slope) + kind.type(intercept)
    return scaled
