"""What a search, and a whole evaluation, of many images takes beyond the memory that it was given.

    python scripts/memory_of_an_evaluation.py search --items 30000 --memory 1
    python scripts/memory_of_an_evaluation.py evaluate --items 30000 --memory 1

Each call is one process. Reported are wall-clock seconds, and the greatest anonymous memory (RssAnon, sampled every
0.05 s) above what the process held before: pages of memory-mapped images are the file's, which the kernel takes back
when memory is short.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.sealed import sealed_write
from benchmark.core.types import Cohort, Split
from benchmark.search import LEVELS, Rows, search

GIB, MIB = 2**30, 2**20


def images(path: Path, count: int, side: int, seed: int) -> Any:
    """Write count images of smooth shapes with fine noise and map them, (count, 1, side, side), uint8."""
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 1, side, side))
    rng = np.random.default_rng(seed)
    for start in range(0, count, 1000):
        n = min(1000, count - start)
        coarse = rng.normal(0, 40, (n, 1, side // 8, side // 8)).repeat(8, axis=2).repeat(8, axis=3)
        out[start : start + n] = (128 + coarse + rng.normal(0, 8, (n, 1, side, side))).clip(0, 255).astype(np.uint8)
    out.flush()
    return np.load(path, mmap_mode="r")


def anonymous() -> int:
    """Return the bytes of this process that belong to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Run work, and return its seconds and its greatest anonymous memory above the present, in MiB."""
    before, peak, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        work()
    finally:
        seconds = time.monotonic() - started
        done.set()
        watcher.join()
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "MiB above the start": (peak[0] - before) / MIB, "peak RSS MiB": whole / MIB}


def rows(pixels: Any) -> Rows:
    """Wrap images (N, 1, side, side) as rows of grey levels."""
    return Rows.of(pixels.reshape(len(pixels), -1), LEVELS)


def searched(folder: Path, items: int, side: int, memory: int) -> Callable[[], Any]:
    """Return the search of as many queries as bank items."""
    queries, bank = (rows(images(folder / f"{seed}.npy", items, side, seed)) for seed in (0, 1))
    search(Rows.of(queries.take(slice(0, 3)), LEVELS), Rows.of(bank.take(slice(0, 3)), LEVELS))  # compiles
    return lambda: search(queries, bank, memory=memory)


def evaluated(folder: Path, items: int, side: int, memory: int, detector: str, per_patient: int) -> Callable[[], Any]:
    """Return an evaluation of as many samples as real images, with one detector, without the model's own abilities."""
    from benchmark.adapters.sampling import CHUNK
    from benchmark.detectors.registry import choose
    from benchmark.evaluation.run_evaluation import evaluate_run

    cohort = cohort_of(images(folder / "real.npy", items, side, 0), per_patient)
    samples = images(folder / "samples.npy", items, side, 1)
    (folder / "samples").mkdir()
    for start in range(0, items, CHUNK):
        chunk = folder / "samples" / f"chunk-{start // CHUNK:05d}.npy"
        with sealed_write(chunk) as temporary, temporary.open("wb") as file:
            np.save(file, samples[start : start + CHUNK])
    return lambda: evaluate_run(
        cohort, folder, [choose(detector)], object(), count=items, cache=folder / "cache", device="cpu",
        search_memory=memory, log=print,
    )  # fmt: skip


def cohort_of(pixels: Any, per_patient: int) -> Cohort:
    """Split images by patients of so many images each: 70 % train, 15 % calibration, 15 % test."""
    patients = np.arange(len(pixels)) // per_patient
    ends = [0, *(int(share * (patients[-1] + 1)) * per_patient for share in (0.7, 0.85)), len(pixels)]
    splits = {}
    for name, start, stop in zip(("train", "calibration", "test"), ends[:-1], ends[1:], strict=True):
        names = tuple(f"i{k:06d}" for k in range(start, stop))
        subjects = tuple(f"p{patients[k]:05d}" for k in range(start, stop))
        splits[name] = Split(
            name=name, pixels=pixels, rows=np.arange(start, stop), subjects=subjects, items=names, channels=("image",),
            units=subjects,
        )  # fmt: skip
    return Cohort(name="many", key=f"many-{len(pixels)}", spacing_mm=(), **splits)


def main() -> None:
    """Parse options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "evaluate"))
    parser.add_argument("--items", type=int, default=30_000, help="images per side")
    parser.add_argument("--side", type=int, default=64, help="pixels per side of an image")
    parser.add_argument("--memory", type=float, default=1.0, help="--search-memory, in GiB")
    parser.add_argument("--detector", default="pixels", help="for evaluate")
    parser.add_argument("--per-patient", type=int, default=1, help="for evaluate: images per patient")
    given = parser.parse_args()
    memory = int(given.memory * GIB)
    with tempfile.TemporaryDirectory() as folder:
        sizes = (Path(folder), given.items, given.side, memory)
        work = searched(*sizes) if given.what == "search" else evaluated(*sizes, given.detector, given.per_patient)
        result = measured(work)
    text = ", ".join(f"{value:.0f} {name}" for name, value in result.items())
    print(f"{given.what}, {given.items} x {given.items} of {given.side}^2, {given.memory:g} GiB: {text}")


if __name__ == "__main__":
    main()
