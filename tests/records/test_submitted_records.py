"""The records in leaderboards/records: complete, valid, and about nobody."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmark.records.collecting import gather
from benchmark.runs.submission import validate

RECORDS = Path(__file__).parents[2] / "leaderboards" / "records"
FAMILIES = {"cxr-pneumonia": {"copycat", "gaussian", "vae", "vqvae", "vqgan", "ldm", "ddpm", "styled-gan"}}
"""By cohort, those that train on images alone and need no code of others."""


def test_every_family_was_run_with_three_seeds_on_every_cohort() -> None:
    seeds: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in gather([RECORDS]).records.values():
        assert (record.spec.preset, record.status) == ("smoke", "done")
        seeds[record.cohort.name, record.spec.model].add(record.spec.seed)
    assert seeds == {(cohort, model): {0, 1, 2} for cohort, models in FAMILIES.items() for model in models}


def test_every_record_is_valid() -> None:
    accepted, refused = validate(RECORDS)
    assert refused == []
    assert accepted == 3 * sum(map(len, FAMILIES.values()))


def names_of_patients(xrays: Path) -> set[str]:
    """Return the names of the files and of the patients behind the records."""
    with (xrays / "index.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    return {name for row in rows for name in (row["name_patient_id"], Path(row["file"]).stem)}


def test_no_record_names_a_patient(real_data: Callable[[str], Path]) -> None:
    names = names_of_patients(real_data("cxr_kermany_224"))
    assert {"IM-0009", "IM-0009-0001"} <= names
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(RECORDS.glob("*.json")))
    assert not [name for name in names if name in text]
