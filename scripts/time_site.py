"""How long boards and their site take from many records with receipts, and how large the pages are.

    python scripts/time_site.py RECORD.json --records 1000 --seeds 1 --cohorts 1

The records are made by varying one of a real run: model, settings, seed and quality. Exposure and receipts are those of
simulated sets of as many patients and samples, so that every receipt gives the numbers of its record. Timed is what
`bench leaderboard build` does: read all records, replay all receipts, write tables and site.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.evaluation.exposure import possible_scores
from benchmark.evaluation.receipts import replay
from benchmark.metrics.detectable import detectable
from benchmark.records.collecting import gather
from benchmark.records.record import Record, ScoreEntry, entries
from benchmark.site.board import boards_of
from benchmark.site.build import build_site, write_boards
from benchmark.site.standing import Standing, standings_of
from scripts.attack_receipts import world

MODELS = ("ldm", "ddpm", "vae", "vqvae", "vqgan", "styled-gan", "stylegan2-ada", "my-model", "copycat", "gaussian")
SETS = 24
"""Simulated synthetic sets, from one that copies nobody to one that copies a quarter of its samples."""


def measured(record: Record) -> list[dict[str, object]]:
    """Return, for each simulated set, the parts of a record that come from it."""
    train = record.cohort.patients["train"]
    heldout = sum(record.cohort.patients.values()) - train
    parts = []
    for number in range(SETS):
        rng = np.random.default_rng([5, number])
        dose = 0.25 * number / (SETS - 1)
        receipts = {
            name: world(rng, train, heldout, record.spec.samples, dose).sets[0].receipt for name in record.receipts
        }
        exposures = {name: replay(receipt) for name, receipt in receipts.items()}
        scores = {
            f"{score}[{name}]": entry
            for name, exposure in exposures.items()
            for score, entry in entries(exposure.scores).items()
        }
        scores |= entries(possible_scores(detectable(train, heldout, record.spec.samples)))
        replicates = {f"exposed.items[{name}]": one.replicates for name, one in exposures.items() if one.replicates}
        parts.append({"receipts": receipts, "scores": scores, "replicates": replicates})
    return parts


def varied(record: Record, number: int, seeds: int, cohorts: int, parts: list[dict[str, object]]) -> Record:
    """Return the record of another model or seed, with the exposure of one of the simulated sets."""
    row = number // seeds
    settings = {**record.spec.settings, "widths": [32 * (1 + row % 7), 64], "learning_rate": 1e-4 * (1 + row)}
    spec = record.spec.model_copy(
        update={
            "model": MODELS[row % len(MODELS)], "seed": number % seeds, "settings": settings,
            "changed": {"learning_rate": settings["learning_rate"]},
        }
    )  # fmt: skip
    key = f"{int(record.cohort.key, 16) + row % cohorts:x}"
    quality = 20.0 * float(np.exp(np.random.default_rng(row).normal(0.7, 0.6)))
    part = parts[(7 * row + number % seeds) % len(parts)]
    scores = {
        **record.scores, **part["scores"],  # type: ignore[dict-item]
        "quality.frechet[random-conv]": ScoreEntry(
            value=quality, low=0.9 * quality, high=1.1 * quality, n=record.spec.samples, direction="lower"
        ),
    }  # fmt: skip
    if row % 3:
        scores.pop("samples.unlike", None)
    changed = {
        **part, "spec": spec, "cohort": record.cohort.model_copy(update={"key": key}), "scores": scores,
        "hashes": {**record.hashes, "samples": f"{number:016x}", "cohort": key},
    }  # fmt: skip
    return record.model_copy(update=changed).sealed()


def seconds() -> tuple[float, float]:
    """Return the time of the clock, and that of the processor, of this process and its children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def built(folder: Path, out: Path) -> tuple[dict[str, tuple[float, float]], list[Standing]]:
    """Build everything; return the seconds of the clock and of the processor of each part, and what receipts gave."""
    marks = [seconds()]
    records = list(gather([folder]).records.values())
    marks.append(seconds())
    standings = standings_of(records)
    marks.append(seconds())
    boards = boards_of(records, standings, {})
    write_boards(boards, out)
    marks.append(seconds())
    build_site(boards, out / "site")
    marks.append(seconds())
    parts = ("read records", "replay receipts", "ranks and tables", "site")
    taken = [(end[0] - start[0], end[1] - start[1]) for start, end in pairwise(marks)]
    return dict(zip(parts, taken, strict=True)), list(standings.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1, help="records per row")
    parser.add_argument("--cohorts", type=int, default=1, help="boards")
    parser.add_argument("--out", type=Path, help="keep boards and site here")
    given = parser.parse_args()
    real = Record.read(given.record)
    parts = measured(real)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        for number in range(given.records):
            varied(real, number, given.seeds, given.cohorts, parts).submit(folder / f"{number}.json")
        size = sum(path.stat().st_size for path in folder.iterdir()) / given.records
        out = given.out or Path(name) / "out"
        taken, standings = built(Path(name), out)
        pages = [path for path in (out / "site").rglob("*") if path.is_file()]
        largest = max(pages, key=lambda path: path.stat().st_size)
        verified = sum(one.receipt == "verified" for one in standings)
        print(f"{given.records} records of {size / 1000:.0f} kB, {verified} of {len(standings)} receipts verified")
        for part, (clock, processor) in (*taken.items(), ("together", tuple(np.sum(list(taken.values()), axis=0)))):
            print(f"{part:18}{clock:6.1f} s of the clock {processor:6.1f} s of the processor")
        total = sum(path.stat().st_size for path in pages) / 1e6
        print(
            f"{len(pages)} files, {total:.1f} MB; the largest is {largest.relative_to(out / 'site')}, "
            f"{largest.stat().st_size / 1e6:.2f} MB"
        )


if __name__ == "__main__":
    main()
