"""One training process of a cell: `torchrun ... -m benchmark.runs.sweeps.ray_rank run.toml`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmark.core.errors import BenchError
from benchmark.runs.config import RunConfig
from benchmark.runs.run import run

if __name__ == "__main__":
    try:
        run(RunConfig.read(Path(sys.argv[1])), wait=True)
    except BenchError as error:
        sys.exit(str(error))
