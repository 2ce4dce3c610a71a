"""Outcomes of cells with records of chosen numbers, written as a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.records.record import CohortFacts, Record, ScoreEntry, Spec
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome, State

DETECTORS = ("copy", "pixels")
PATIENTS = 100


def entry(value: float, half: float, *, top: float = 1.0) -> ScoreEntry:
    return ScoreEntry(value=value, low=max(0.0, value - half), high=min(top, value + half), n=200, direction="lower")


def record(
    share: float | None, *, items: int, seed: int = 0, model: str = "ldm", reason: str = "", note: str = ""
) -> Record:
    """A record with this exposed share, by both detectors; None is refused for the reason."""
    scores: dict[str, ScoreEntry] = {}
    rng = np.random.default_rng([seed, items])
    for detector in DETECTORS:
        if share is None:
            scores |= {
                f"{name}[{detector}]": ScoreEntry(value=None, n=10, reason=reason)
                for name in ("exposed.patients", "exposed.items")
            }
        else:
            scores[f"exposed.items[{detector}]"] = entry(share, 0.03)
            scores[f"exposed.patients[{detector}]"] = entry(round(share * min(items, 60)), 2, top=float(items))
        scores |= {
            f"members.share[{detector}]": entry(min(1.0, 2 * (share or 0)), 0.05),
            f"copies.rate[{detector}]": entry(share or 0.05, 0.05),
            f"detector.recall.exact[{detector}]": ScoreEntry(value=1.0),
            f"detector.recall.flip[{detector}]": ScoreEntry(value=0.5),
            f"exposed.verbatim[{detector}]": ScoreEntry(value=0.0),
            f"withheld.items[{detector}]": ScoreEntry(value=0.0),
        }
    scores["quality.frechet[random-conv]"] = entry(80 - 0.01 * items + seed, 6, top=1e9)
    scores["detectable.share"] = ScoreEntry(value=0.03)
    scores["samples.unlike"] = ScoreEntry(value=0.01, reason=note)
    drawn = {} if share is None else {
        f"exposed.items[{detector}]": tuple((share + 0.01 * rng.standard_normal(50)).tolist()) for detector in DETECTORS
    }  # fmt: skip
    return Record(
        spec=Spec(
            model=model, preset="smoke", settings={}, data="cxr", data_options={}, samples=200, seed=seed,
            train_items=items,
        ),
        cohort=CohortFacts(
            name="cxr", key="0123456789abcdef", shape=(1, 32, 32), channels=("cr",), spacing_mm=(1.0, 1.0),
            items={"train": items, "calibration": 60, "test": 40},
            patients={"train": items, "calibration": 60, "test": 40},
        ),
        scores=scores, replicates=drawn,
        cost={"fit_seconds": 10.0, "sample_seconds": 2.0, "evaluate_seconds": 3.0, "peak_bytes": 1e9},
        environment={}, hashes={"samples": f"{model}-{items}-{seed}"},
    )  # fmt: skip


def config(model: str = "ldm", seed: int = 0, items: int | None = None, **options: Any) -> RunConfig:
    values = {
        "model": {"name": model, "options": options},
        "data": {"name": "cxr-pneumonia", "train_items": items},
        "seed": seed,
    }
    return RunConfig.of(values, "a test")


class Plan:
    """Collects outcomes and writes their records below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outcomes = folder, list[CellOutcome]()

    def done(self, one: Record, state: State = "done", **axes: Any) -> None:
        number = len(self.outcomes)
        place = self.folder / f"run-{number}"
        one.write(place / "record.json")
        chosen = config(one.spec.model, one.spec.seed, one.spec.train_items)
        self.outcomes.append(CellOutcome(Cell(number, axes, chosen), state, place, seconds=15.0))

    def absent(self, state: State, error: str = "", **axes: Any) -> None:
        chosen = config(str(axes.get("model", "ldm")), int(axes.get("seed", 0)))
        self.outcomes.append(CellOutcome(Cell(len(self.outcomes), axes, chosen), state, None, error))


def sizes_and_seeds(
    folder: Path, shares: Sequence[float], seeds: int, *, sizes: Sequence[int] = (16, 64, 256, 1024), model: str = "ldm"
) -> Plan:
    """A sweep over train sizes and seeds: each share with a little change by seed."""
    plan = Plan(folder)
    for seed in range(seeds):
        for size, share in zip(sizes, shares, strict=True):
            one = record(share + 0.002 * seed, items=size, seed=seed, model=model)
            plan.done(one, model=model, train_items=size, seed=seed)
    return plan
