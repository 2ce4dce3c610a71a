"""The entry point of `bench`: starts the process that runs the command before anything heavy is imported."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line; a BenchError becomes one message and its exit code. Does not return, but in a new process.

    A script that calls this without `if __name__ == "__main__"` is imported again by each process that it starts to
    read files or run cells. There nothing is run a second time: it would wait for the first for ever.
    """
    if _imported_by_new_process():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until `supervised` listens, Ctrl-C ends this process without Python's stack trace: nothing has begun.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # OpenMP's threads spin while they wait, which beside other work made steps about 20 times slower. A short spin
    # keeps nearly all of the speed of a machine of one's own (0.190 s per step against 0.183; with none, 0.259).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("BENCH_PROCESSES", "1")
    os.environ.setdefault("BENCH_LIGHT_IMPORTS", "1")  # see core.monai_import
    from benchmark.cli.supervise import supervised

    sys.exit(supervised(_command))


def _imported_by_new_process() -> bool:
    """Whether this process was started by `multiprocessing`, and is importing the script of the one that started it."""
    started = sys.modules.get("multiprocessing.process")
    return started is not None and getattr(started.current_process(), "_inheriting", False)


def _command() -> int:
    from benchmark.cli.app import run_command_line

    return run_command_line()
