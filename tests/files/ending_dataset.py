"""A data set of which some sources end the process that reads them, as a fault of a decoder in C does."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from benchmark.core.types import Items, Source


@dataclass(frozen=True)
class Ending:
    """Reads its sources' names; names that start with `fatal` end the process."""

    def read(self, source: Source) -> Items:
        if source.name.startswith("fatal"):
            os._exit(9)
        return Items(pixels=np.zeros((1, 1, 2, 2), np.uint8), names=(source.name,))
