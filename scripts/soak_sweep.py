"""A sweep under random SIGKILLs of its driver and its workers, against the same sweep undisturbed.

    python scripts/soak_sweep.py --kills 50 --out DIR

Cells of `copycat`, `gaussian` and a tiny `vae` on simulated X-rays. The killed driver is started again with the same
command until it ends with code 0. Then every record of both sweeps is compared: all scores, replicates and digests have
to be equal, and the states of the cells too. Prints what was killed and whether the results are the same; exits 1 where
they are not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import sweep_films
from soaking.forks import prepare_for_forks
from sweep_results import NAME, compare, results

from benchmark.core.descendants import descendants

sweep_films.use_small_detector()  # in the workers too, which import this file


def main() -> int:
    """Run both sweeps, and compare them."""
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    films = given.out / "films"
    sweep_films.write_films(films)
    prepare_for_forks()
    command = _command(films, given)
    calm, soaked = given.out / "calm", given.out / "soaked"
    started = time.monotonic()
    code = _ended(_drive(command, calm))
    calm_seconds = time.monotonic() - started
    print(f"undisturbed: exit code {code} after {calm_seconds:.0f} s", flush=True)
    started = time.monotonic()
    pause = given.pause or calm_seconds / max(given.kills, 1)
    killed, drives = soak(command, soaked, given.kills, random.Random(given.seed), pause)
    passed = time.monotonic() - started
    print(f"disturbed: {dict(killed)} killed, {drives} starts of the driver, {passed:.0f} s", flush=True)
    differing = compare(calm, soaked)
    print(f"{len(results(calm))} cells, differing: {differing or 'none'}")
    return 1 if code or differing or not results(calm) else 0


def soak(command: list[str], folder: Path, kills: int, rng: random.Random, pause: float) -> tuple[Counter[str], int]:
    """Run a sweep, killing its driver or one of its workers at random; return what was killed, and how many starts."""
    killed: Counter[str] = Counter()
    drives = 0
    while True:
        driver = _drive(command, folder)
        drives += 1
        while driver.is_alive():
            if sum(killed.values()) < kills:
                time.sleep(rng.uniform(0.1, 2 * pause))
                killed.update(_kill_one(driver, rng))
            else:
                driver.join()
        if driver.exitcode == 0:
            return killed, drives
        if drives > kills + 20:
            raise SystemExit(f"the sweep did not end in {drives} starts: see {folder / 'driver.log'}")


def _kill_one(driver: BaseProcess, rng: random.Random) -> list[str]:
    """Kill the driver (one time in four) or a process that it has started; return what was killed."""
    assert driver.pid is not None
    workers = descendants(driver.pid)
    if not workers or rng.random() < 0.25:
        driver.kill()
        driver.join()
        return ["driver"]
    try:
        os.kill(rng.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return []
    return ["worker"]


def _command(films: Path, given: argparse.Namespace) -> list[str]:
    """Return the options of the sweep; each driver adds its folders."""
    return [
        "sweep", "--model", given.models, *sweep_films.NAMED, "--root", str(films.resolve()),
        "--train-items", given.train_items, "--samples", "60", "--seed", ",".join(map(str, range(given.seeds))),
        "--name", NAME, "--workers", str(given.workers), "--device", "cpu",
    ]  # fmt: skip


def _drive(command: list[str], folder: Path) -> BaseProcess:
    """Start a driver in a folder of its own, with a cache of its own: a fork, which has the heavy packages already."""
    folder.mkdir(parents=True, exist_ok=True)
    driver = multiprocessing.get_context("fork").Process(target=_be_driver, args=(command, folder))
    driver.start()
    return driver


def _be_driver(command: list[str], folder: Path) -> None:
    with (folder / "driver.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.chdir(folder)
    os.environ.update(MEMOBENCH_CACHE="cache", BENCH_CHECKPOINT_STEPS="25")
    sweep_films.run_bench(command)


def _ended(driver: BaseProcess) -> int | None:
    driver.join()
    return driver.exitcode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the times and the choice of processes")
    parser.add_argument("--models", default="copycat,gaussian,vae:steps=150")
    parser.add_argument("--train-items", default="20,40")
    parser.add_argument("--seeds", type=int, default=2, help="seeds per model and training size")
    parser.add_argument("--pause", type=float, help="mean seconds between two kills; by default spread over the sweep")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
