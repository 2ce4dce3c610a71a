"""A data set of which some sources end the process that reads them, as a fault of a decoder in C does."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.core.types import Items, Source


@dataclass(frozen=True)
class Ending:
    """Reads its sources' names; `fatal...` ends the process, `twice...` the first two, `endless` sleeps."""

    def read(self, source: Source) -> Items:
        if source.name.startswith("fatal"):
            os._exit(9)
        if source.name.startswith("endless"):
            time.sleep(600)
        if source.name.startswith("twice"):
            tries = Path(f"{source.files[0]}-{source.name}")
            with tries.open("a") as file:
                file.write("x")
            if tries.stat().st_size <= 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return Items(pixels=np.zeros((1, 1, 2, 2), np.uint8), names=(source.name,))
