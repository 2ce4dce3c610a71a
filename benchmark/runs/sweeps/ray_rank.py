"""One training process of a cell: torchrun ... -m benchmark.runs.sweeps.ray_rank run.toml error.txt."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmark.core.errors import BenchError
from benchmark.runs.config import RunConfig
from benchmark.runs.run import run


def main(config: Path, reason: Path) -> None:
    """Run a configuration; write why that failed to the file `reason`."""
    try:
        run(RunConfig.read(config), wait=True)
    except BenchError as error:
        reason.write_text(error.message, encoding="utf-8")
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
