"""Seconds that `bench leaderboard validate` takes for many records with receipts, all of them recomputed.

python scripts/time_verification.py --records 1000
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmark.evaluation.exposure import possible_scores
from benchmark.evaluation.receipts import replay
from benchmark.metrics.detectable import detectable
from benchmark.records.receipt import Receipt
from benchmark.records.record import CohortFacts, Record, ScoreEntry, Spec, entries
from benchmark.runs.submission import file_of, validate
from scripts.attack_receipts import world
from scripts.time_site import seconds

TRAIN, HELDOUT, SAMPLES = 300, 150, 1000
SETS = 12
"""Simulated synthetic sets; records that have the same differ in their seed."""
OTHERS = (
    "exposed.control", "copies.rate", "copies.null", "copies.tau", "members.share", "members.null",
    "detector.recall.exact",
)  # fmt: skip


def made(number: int, receipts: dict[str, Receipt]) -> Record:
    """Return a record with simulated receipts, and made-up numbers for what they do not give."""
    exposures = {name: replay(receipt) for name, receipt in receipts.items()}
    scores = {
        f"{name}[{detector}]": entry
        for detector, exposure in exposures.items()
        for name, entry in entries(exposure.scores).items()
    }
    counts = {"exposed.control": 90, "copies.rate": SAMPLES}
    for detector in receipts:
        for name in OTHERS:
            value, low = (1.0, 0.98) if name.startswith("detector.") else (0.05, 0.0)
            entry = ScoreEntry(value=value, low=low, high=min(1.0, value + 0.1), n=counts.get(name, 50))
            scores[f"{name}[{detector}]"] = entry
    scores |= entries(possible_scores(detectable(TRAIN, HELDOUT, SAMPLES)))
    digests = dict.fromkeys(("matches", "members", "files", "fit", "adapter_source", "core_source"), f"{number:016x}")
    return Record(
        spec=Spec(
            model="simulated", preset="smoke", settings={}, data="simulated", data_options={}, samples=SAMPLES,
            seed=number,
        ),
        cohort=CohortFacts(
            name="simulated", key="0123456789abcdef", shape=(1, 8, 8), channels=("x",), spacing_mm=(1.0, 1.0),
            items={"train": TRAIN, "calibration": 60, "test": 90},
            patients={"train": TRAIN, "calibration": 60, "test": 90},
        ),
        scores=scores,
        replicates={f"exposed.items[{name}]": one.replicates for name, one in exposures.items() if one.replicates},
        cost={"fit_seconds": 1.0, "sample_seconds": 1.0}, environment={}, receipts=receipts,
        hashes={**digests, "cohort": "0123456789abcdef"},
    ).sealed()  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000)
    count = parser.parse_args().records
    sets = [simulated(number) for number in range(SETS)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            record = made(number, sets[number % SETS])
            record.write(Path(folder) / file_of(record))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        start = seconds()
        accepted, refused = validate(Path(folder))
        clock, processor = (end - begin for begin, end in zip(start, seconds(), strict=True))
    print(f"{count} records of {size / count / 1000:.0f} kB: {accepted} valid")
    print(f"{clock:.1f} s of the clock, {processor:.1f} s of the processor")
    if refused:
        print(refused[0])


def simulated(number: int) -> dict[str, Receipt]:
    """Return the receipts of a model that copies nothing, 5 % or 10 % of its samples."""
    rng = np.random.default_rng([3, number])
    doses = {"copy": 0.05 * (number % 3), "pixels": 0.0}
    return {name: world(rng, TRAIN, HELDOUT, SAMPLES, dose).sets[0].receipt for name, dose in doses.items()}


if __name__ == "__main__":
    main()
