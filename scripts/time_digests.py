"""What it costs to tell content by digests: of a data set of many files, and of an evaluation whose files are cached.

    python scripts/time_digests.py --files 30000 --kib 20
    python scripts/time_digests.py --run runs/COHORT/MODEL/seed-0

Seconds are of the processor where they say so: all threads of the process, and the kernel's work for it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cohorts import sealed_pixels
from benchmark.core import content_digests, file_digests, sealed


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=30_000, help="number of files")
    parser.add_argument("--kib", type=int, default=20, help="KiB per file")
    parser.add_argument("--folder", type=Path, help="where they are written; a temporary folder by default")
    parser.add_argument("--run", type=Path, help="a finished run folder, which is evaluated again")
    given = parser.parse_args()
    if given.run:
        time_evaluation(given.run)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        time_files(Path(folder), given.files, given.kib * 1024)


def time_files(folder: Path, count: int, size: int) -> None:
    """Print the seconds to digest `count` files of `size` bytes: all read, and kept by an earlier process."""
    data = folder / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    paths = [data / f"{number:06d}.bin" for number in range(count)]
    for path in paths:
        path.write_bytes(rng.bytes(size))
    time.sleep(file_digests.SETTLED_SECONDS + 0.5)
    kept = content_digests.kept_in(folder, data)

    def digests() -> None:
        file_digests._known.clear()  # as in a new process
        content_digests.file_digests(paths, kept=kept)

    print(f"{count} files of {size / 1024:.0f} KiB, {os.cpu_count()} cores")
    for what, work in (
        ("names, sizes and times alone (before)", lambda: [path.stat() for path in paths]),
        ("all read", digests),
        ("kept by an earlier process", digests),
    ):
        wall, processor = _seconds(work)
        print(f"{what:40} {wall:7.2f} s  {processor:7.2f} s of the processor")


def time_evaluation(run: Path) -> None:
    """Evaluate a run again, and print the share of the processor's time that digests take."""
    from benchmark.runs.run import evaluate_again

    spent = [0.0]
    evaluate_again(run, log=lambda text: None)  # everything that may be cached is cached now
    file_digests._known.clear()
    _count(sealed, "file_digest", spent)
    _count(content_digests, "file_digest", spent)
    _count(sealed_pixels, "item_digest", spent)
    _, total = _seconds(lambda: evaluate_again(run, log=lambda text: None))
    print(f"evaluation again: {total:.2f} s of the processor; digests {spent[0]:.3f} s, {spent[0] / total:.2%}")


def _count(module: Any, name: str, spent: list[float]) -> None:
    """Let a function of a module add the time of its thread to `spent`."""
    true = getattr(module, name)

    def counted(*given: Any) -> Any:
        started = time.thread_time()
        value = true(*given)
        spent[0] += time.thread_time() - started
        return value

    setattr(module, name, counted)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of the clock, and of the processor."""
    started, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - processor


if __name__ == "__main__":
    main()
