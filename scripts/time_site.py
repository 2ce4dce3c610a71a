"""How long a board site of many records takes, and how large its pages are.

    python scripts/time_site.py RECORD.json --records 1000 --seeds 1 --cohorts 1

The records are made by varying one of a real run: model, settings, seed, exposed share and quality.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmark.records.collecting import collect
from benchmark.records.leaderboard import HEADLINE
from benchmark.records.record import Record, ScoreEntry
from benchmark.site.build import build_site

MODELS = ("ldm", "ddpm", "vae", "vqvae", "vqgan", "styled-gan", "stylegan2-ada", "my-model", "copycat", "gaussian")


def varied(record: Record, number: int, seeds: int, cohorts: int, rng: np.random.Generator) -> Record:
    """Return the record of another model or seed: the exposed share and what depends on it are moved together."""
    row = number // seeds
    settings = {**record.spec.settings, "widths": [32 * (1 + row % 7), 64], "learning_rate": 1e-4 * (1 + row)}
    spec = record.spec.model_copy(
        update={
            "model": MODELS[row % len(MODELS)], "seed": number % seeds, "settings": settings,
            "changed": {"learning_rate": settings["learning_rate"]},
        }
    )  # fmt: skip
    key = f"{int(record.cohort.key, 16) + row % cohorts:x}"
    cohort = record.cohort.model_copy(update={"key": key})
    share = max(0.0, float(np.random.default_rng(row).normal(0.05, 0.08)) + float(rng.normal(0, 0.005)))
    low = max(0.0, share - 0.04)
    quality = 20.0 * float(np.exp(np.random.default_rng(row).normal(0.7, 0.6)))
    scores = {
        **record.scores,
        HEADLINE: ScoreEntry(value=share, low=low, high=share + 0.04, n=record.spec.samples, direction="lower"),
        "exposed.patients[copy]": ScoreEntry(
            value=round(100 * share), low=round(100 * low), high=round(100 * share) + 9, n=100, direction="lower"
        ),
        "quality.frechet[random-conv]": ScoreEntry(
            value=quality, low=0.9 * quality, high=1.1 * quality, n=record.spec.samples, direction="lower"
        ),
    }
    if row % 3:
        scores.pop("samples.unlike", None)
    drawn = np.array(record.replicates[HEADLINE])
    replicates = {**record.replicates, HEADLINE: tuple((drawn - drawn.mean() + share).tolist())}
    return record.model_copy(
        update={
            "spec": spec, "cohort": cohort, "scores": scores, "replicates": replicates,
            "hashes": {**record.hashes, "samples": f"{number:016x}"},
        }
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1, help="records per row")
    parser.add_argument("--cohorts", type=int, default=1, help="boards")
    parser.add_argument("--out", type=Path, help="keep the site here")
    given = parser.parse_args()
    real, rng = Record.read(given.record), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        for number in range(given.records):
            varied(real, number, given.seeds, given.cohorts, rng).write(folder / f"{number}.json")
        began, cpu = time.perf_counter(), time.process_time()
        records = collect([Path(name)])
        read, spent_reading = time.perf_counter() - began, time.process_time() - cpu
        site = given.out or Path(name) / "site"
        build_site(records, site)
        total, spent = time.perf_counter() - began, time.process_time() - cpu
        pages = [path for path in site.rglob("*") if path.is_file()]
        largest = max(pages, key=lambda path: path.stat().st_size)
        print(f"{len(records)} records: {total:.1f} s of the clock, {read:.1f} s of it to read them")
        print(f"processor: {spent:.1f} s, {spent_reading:.1f} s of it to read them")
        size = sum(path.stat().st_size for path in pages) / 1e6
        print(
            f"{len(pages)} files, {size:.1f} MB; the largest is {largest.relative_to(site)}, "
            f"{largest.stat().st_size / 1e6:.2f} MB"
        )


if __name__ == "__main__":
    main()
