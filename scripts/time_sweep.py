"""How much a local sweep of 12 cells loses against its cells one by one, divided by the number of workers.

    python scripts/time_sweep.py --workers 2 --out DIR               # the preset smoke on phantom-mr
    python scripts/time_sweep.py --workers 2 --out DIR --small       # simulated X-rays, a small copy detector: minutes
    python scripts/time_sweep.py --workers 2 --out DIR --small --engines local,ray
    python scripts/time_sweep.py --workers 2 --out DIR --engines local,ray --only-engines

2 models x 3 training sizes x 2 augmentations. Each cell alone is a `bench run` with the threads that a worker has,
after each other in one folder of runs and one cache; then the sweep runs in a new folder with a new cache. Both make
cohort and detectors once, and both simulate or find the same files. Prints the seconds of both, and the ratio
sweep / (sum / workers); the CPU time of both tells the same where other work makes the seconds unreliable.

A second engine runs the same cells in a folder of its own; with `--only-engines` it has the cache of the first, so
that its seconds have no detectors in them. Then all records of both are compared: scores, replicates and digests have
to be equal. `--only-engines` leaves out the cells one by one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import sweep_films
from sweep_results import NAME, compare, results

from benchmark.runs.sweeps import engines

SMALL = "TIME_SWEEP_SMALL"
if os.environ.get(SMALL):
    sweep_films.use_small_detector()  # in the workers too, which import this file
    engines.ENGINES["ray"] = "small_ray_engine"

BENCH = "--bench"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def main() -> None:
    """Time both ways, and print the ratio."""
    given = _arguments()
    out: Path = given.out.resolve()
    if given.small:
        os.environ[SMALL] = "1"
        sweep_films.write_films(out / "films")
    data = [*sweep_films.NAMED, "--root", str(out / "films")] if given.small else ["--data", "phantom-mr"]
    common = [*data, "--samples", str(given.samples), "--set", f"steps={given.steps}", "--device", "cpu"]
    sizes, augmentations = given.train_items.split(","), ("none", "flips")
    points = list(itertools.product(given.models.split(","), sizes, augmentations))
    alone, cpu = (0.0, 0.0) if given.only_engines else _one_by_one(points, common, out, given.workers)
    command = [
        "sweep", "--model", given.models, "--train-items", given.train_items, "--augmentation", "none,flips", *common,
        "--workers", str(given.workers), "--name", NAME,
    ]  # fmt: skip
    names = given.engines.split(",")
    for engine in names:
        before, cache = _cpu_seconds(), out / ("cache" if given.only_engines else f"cache-{engine}")
        seconds = _timed([*command, "--engine", engine], out / engine, given.workers, shared=False, cache=cache)
        sweep_cpu = _cpu_seconds() - before
        print(f"{engine}, {given.workers} workers: {seconds:.1f} s, {sweep_cpu:.1f} s of CPU time")
        if alone:
            print(f"ratio sweep / (sum / {given.workers}): {seconds / (alone / given.workers):.3f}")
            print(f"ratio of CPU time: {sweep_cpu / cpu:.3f}", flush=True)
    for other in names[1:]:
        differing = compare(out / names[0], out / other)
        cells = len(results(out / other))
        print(f"{names[0]} and {other}: {cells} cells, differing: {differing or 'none'}")


def _one_by_one(points: list[tuple[str, str, str]], common: list[str], out: Path, workers: int) -> tuple[float, float]:
    """Run the cells after each other; return the seconds of the clock and of the CPU."""
    alone = cpu = 0.0
    for model, items, augmentation in points:
        command = ["run", "--model", model, "--train-items", items, "--set", f"augment={augmentation}", *common]
        before = _cpu_seconds()
        seconds = _timed(command, out / "alone", workers, shared=True, cache=out / "alone" / "cache")
        cpu += _cpu_seconds() - before
        print(f"{model} {items} {augmentation}: {seconds:.1f} s", flush=True)
        alone += seconds
    print(f"{len(points)} cells one by one: {alone:.1f} s, {cpu:.1f} s of CPU time", flush=True)
    return alone, cpu


def _timed(command: list[str], folder: Path, workers: int, *, shared: bool, cache: Path) -> float:
    """Return the seconds of a command in a folder; `shared` gives it the threads of one worker."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = {name: str(max(1, (os.cpu_count() or 1) // workers)) for name in THREADS} if shared else {}
    environment = {**os.environ, **threads, "MEMOBENCH_CACHE": str(cache)}
    started = time.monotonic()
    with (folder / "output.log").open("ab") as log:
        subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), BENCH, *command],
            cwd=folder, env=environment, stdout=log, stderr=log, check=True,
        )  # fmt: skip
    return time.monotonic() - started


def _cpu_seconds() -> float:
    """Return the CPU time of all ended processes below this one: it says what is computed twice, however busy the
    machine is.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="vae,ddpm")
    parser.add_argument("--train-items", default="20,40,60")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--engines", default="local", help="local, ray or both")
    parser.add_argument("--only-engines", action="store_true", help="do not run the cells one by one")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == [BENCH]:
        sweep_films.run_bench(sys.argv[2:])
    else:
        main()
