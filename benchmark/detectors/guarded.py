"""A detector whose every answer is checked: as many rows as images, of one length and type, all finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import AdapterError
from benchmark.core.types import HasViews, ReadsPixels
from benchmark.plugins.guard import plugin_call

if TYPE_CHECKING:
    from benchmark.core.types import Array, Detector, Images, Similarity

    View = Callable[[Images], Images]

KINDS = ("float32", "uint8")


class GuardedDetector:
    """A detector with checks; it has views and reads pixels where the detector itself does.

    Args:
        name: for messages.
        detector: of this package or of another.
    """

    def __init__(self, name: str, detector: Detector) -> None:
        self.name, self.inner = name, detector
        self._length = 0
        for attribute in ("embed", "invariances", "similarity"):
            if not hasattr(detector, attribute):
                raise AdapterError(
                    f"detector {name}: fit gave a {type(detector).__name__} without `{attribute}`",
                    "return an object with embed, invariances and similarity (docs/detectors.md)",
                )

    @property
    def invariances(self) -> tuple[str, ...]:
        """As of the detector."""
        return self.inner.invariances

    @property
    def similarity(self) -> Similarity:
        """As of the detector."""
        return self.inner.similarity

    @property
    def reads_pixels(self) -> bool:
        """Whether the rows are stored pixels."""
        return isinstance(self.inner, ReadsPixels) and self.inner.reads_pixels

    @property
    def views(self) -> Sequence[View]:
        """The views of the detector, each of which has to keep the images' shape."""
        return [self._checked_view(view) for view in self.inner.views] if isinstance(self.inner, HasViews) else ()

    def embed(self, images: Images) -> Array:
        """Embed images (N, C, *spatial) to rows (N, D). Raises AdapterError for rows that cannot be compared."""
        with plugin_call(f"detector {self.name}", "embed"):
            rows: Any = self.inner.embed(images)
        self._check(rows, len(images))
        return rows  # type: ignore[no-any-return]

    def _check(self, rows: Any, count: int) -> None:
        if not isinstance(rows, np.ndarray) or rows.dtype.name not in KINDS or rows.ndim != 2 or rows.shape[1] == 0:
            raise self._refused(f"{_described(rows)} for {count} images")
        if len(rows) != count:
            raise self._refused(f"{len(rows)} rows for {count} images")
        if self._length and rows.shape[1] != self._length:
            raise self._refused(f"rows of {rows.shape[1]} numbers, but rows of {self._length} before")
        if rows.dtype.name == "float32" and not np.isfinite(rows).all():
            raise self._refused("rows that are not finite")
        self._length = rows.shape[1]

    def _refused(self, what: str) -> AdapterError:
        return AdapterError(
            f"detector {self.name}: embed gave {what}",
            "embed returns one finite row per image, (N, D), float32 or uint8 (docs/detectors.md)",
        )

    def _checked_view(self, view: View) -> View:
        def checked(images: Images) -> Images:
            with plugin_call(f"detector {self.name}", "a view"):
                changed: Any = view(images)
            if getattr(changed, "shape", None) != images.shape:
                raise AdapterError(
                    f"detector {self.name}: a view gave {_described(changed)} for images of shape {images.shape}",
                    "a view returns images of the same shape (docs/detectors.md)",
                )
            return changed  # type: ignore[no-any-return]

        return checked


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"a {type(value).__name__}"
