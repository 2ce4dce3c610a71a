"""`fast_bench.py` whose command is killed in the middle of the stage KILLED_IN, 0.3 s after it has begun.

The stage does not end before that: it waits where its work takes less time.
"""

from __future__ import annotations

import os
import runpy
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.core.stages import Stages

STAGE, SECONDS = os.environ["KILLED_IN"], 0.3
run = Stages.run


def cut(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Kill the process above, which is the command that a user has started, and with it this one."""
    command = os.getppid()
    if os.fork() == 0:  # neither a thread, beside which no process of a model is forked, nor a timer, which others set
        time.sleep(SECONDS)
        os.kill(command, signal.SIGKILL)
        os._exit(0)
    work()
    time.sleep(600)
    raise AssertionError("it was not killed")


def run_or_cut(stages: Stages, name: str, key: str, work: Callable[[], dict[str, Any]], **options: Any) -> bool:
    return run(stages, name, key, (lambda: cut(work)) if name == STAGE else work, **options)


Stages.run = run_or_cut  # type: ignore[method-assign]
runpy.run_path(str(Path(__file__).with_name("fast_bench.py")), run_name="__main__")
