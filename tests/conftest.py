"""One thread a process: tests run side by side, and numbers must not depend on how many there are."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.adapters.isolation import process

# Tests of one model share the process that describes it, which differs with the environment.
process.LEFT_OUT += ("PYTEST_CURRENT_TEST",)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["BENCH_PROCESSES"] = "0"  # a process that reads files takes a second to start; its tests start theirs
os.environ["MEMOBENCH_CACHE"] = "cache"  # in the folder of each test, never the user's
os.environ["MEMOBENCH_SECRET"] = str(Path(tempfile.gettempdir()) / f"memobench-tests-{os.getuid()}.key")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real set; the test skips where it is missing."""

    def folder(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"real data {SHARED / name} is not on this machine")
        return SHARED / name

    return folder
