"""Images of one grey value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

ONE_LEVEL = 1 / 127.5
"""A channel that spans at most one grey level counts as constant: rounding of one value may give two levels."""


def constant(stored: Array) -> NDArray[np.bool_]:
    """Tell which images (n, C, *spatial), uint8 or float32 in [-1, 1], have constant channels only, (n,)."""
    channels = stored.reshape(len(stored), stored.shape[1], -1)
    span = channels.max(axis=2).astype(np.float64) - channels.min(axis=2)
    limit = 1.0 if stored.dtype == np.uint8 else ONE_LEVEL
    return np.asarray((span <= limit).all(axis=1))
