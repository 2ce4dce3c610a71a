"""The entry point of `bench`: starts the process that runs the command before anything heavy is imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; never returns. A BenchError becomes one message and its exit code."""
    # OpenMP's threads spin while they wait, which beside other work made steps about 20 times slower. A short spin
    # keeps nearly all of the speed of a machine of one's own (0.190 s per step against 0.183; with none, 0.259).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("BENCH_PROCESSES", "1")
    os.environ.setdefault("BENCH_LIGHT_IMPORTS", "1")  # see core.monai_import
    from benchmark.cli.supervise import supervised

    sys.exit(supervised(_command))


def _command() -> int:
    from benchmark.cli.app import run_command_line

    return run_command_line()
