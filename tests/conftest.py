"""One thread a process: tests run side by side, and numbers must not depend on how many there are."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from bench_calls import BenchServer
from model_server import ModelServer

from benchmark.adapters.isolation import process

# Tests of one model share the process that describes it, which differs with the environment.
process.LEFT_OUT += ("PYTEST_CURRENT_TEST",)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["BENCH_PROCESSES"] = "0"  # a process that reads files takes a second to start; its tests start theirs
os.environ["MEMOBENCH_CACHE"] = "cache"  # in the folder of each test, never the user's
os.environ["MEMOBENCH_SECRET"] = str(Path(tempfile.gettempdir()) / f"memobench-tests-{os.getuid()}.key")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # A shell's background jobs ignore Ctrl-C, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
LAUNCH = process.launch
LONGEST = ("scripts/test_soak.py", "a_rehearsal_on_the_cpu", "killed_drivers_and_workers", "runs/test_tutorial.py")
"""Parts of the names of tests that take a minute or more."""
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a worker that has nothing left take tests of another: most of the time is that of few of the folders."""
    if config.getoption("dist") != "load":  # something else was asked for
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: at the end one of them would run while the other worker has nothing left."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _model_server() -> Iterator[None]:
    """Start the processes of models as forks of one that has imported their libraries."""
    server = ModelServer()
    process.launch = server.launch  # type: ignore[assignment]
    yield
    process.launch = LAUNCH
    server.end()


@pytest.fixture
def real_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the processes of models as users do: each is a new interpreter."""
    monkeypatch.setattr(process, "launch", LAUNCH)


@pytest.fixture(scope="session")
def server() -> Iterator[BenchServer]:
    """The process whose forks are the calls of `bench`."""
    one = BenchServer()
    yield one
    one.end()


@pytest.fixture
def bench(server: BenchServer, tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Call the command line in tmp_path with a small copy detector: bench("run", "--model", ...)."""
    return partial(server.call, tmp_path)


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real set; the test skips where it is missing."""

    def folder(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"real data {SHARED / name} is not on this machine")
        return SHARED / name

    return folder
