"""Records for the tests of the boards' site: a small cohort, any model, any exposed share."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.records.leaderboard import HEADLINE
from benchmark.records.record import CohortFacts, Record, ScoreEntry, Spec

DRAWS = np.random.default_rng(0).standard_normal(200)


def entry(value: float | None, low: float | None = None, high: float | None = None, reason: str = "") -> ScoreEntry:
    return ScoreEntry(value=value, low=low, high=high, n=400, direction="lower", reason=reason)


def made(
    model: str = "ldm",
    share: float | None = 0.0,
    *,
    quality: float = 30.0,
    seed: int = 0,
    checked: bool = True,
    **more: Any,
) -> Record:
    """Return a record that says `HOLD` from a share of 0.05 on, `NOTHING FOUND` at 0, and is refused without one.

    `checked`: the schema refuses hostile names, and pages have to bear them all the same.
    """
    low = max(0.0, (share or 0.0) - 0.03)
    refused = "refused: the split is not fair"
    scores: dict[str, ScoreEntry] = {}
    for detector in ("copy", "pixels"):
        scores |= {
            f"exposed.patients[{detector}]": entry(None, reason=refused)
            if share is None
            else entry(round(100 * share), round(100 * low), round(100 * share) + 1),
            f"exposed.items[{detector}]": entry(None, reason=refused)
            if share is None
            else entry(share, low, share + 0.02),
            f"exposed.verbatim[{detector}]": entry(0),
            f"exposed.control[{detector}]": entry(0.0, 0.0, 0.01),
            f"withheld.items[{detector}]": entry(0),
            f"detector.recall.exact[{detector}]": entry(1.0, 0.98, 1.0),
            f"copies.rate[{detector}]": entry(0.06, 0.04, 0.08),
            f"copies.null[{detector}]": entry(0.05, 0.03, 0.07),
        }
    scores |= {
        "detectable.share": entry(0.015),
        "detectable.patients": entry(6),
        "quality.frechet[random-conv]": entry(quality, 0.9 * quality, 1.1 * quality),
        "quality.frechet_floor[random-conv]": entry(4.0, 3.0, 5.0),
    }
    own = np.random.default_rng([*model.encode(), seed]).standard_normal(200)
    replicates = () if share is None else tuple((share + 0.01 * DRAWS + 0.001 * own).tolist())
    spec = {
        "model": model, "preset": "smoke", "settings": {"widths": [32, 64]}, "data": "cxr-pneumonia",
        "data_options": {}, "samples": 400, "seed": seed,
    }  # fmt: skip
    cohort = {
        "name": "cxr-pneumonia", "key": "0123456789abcdef", "shape": (1, 32, 32), "channels": ("xray",),
        "spacing_mm": (), "items": {"train": 90, "calibration": 50, "test": 40},
        "patients": {"train": 45, "calibration": 25, "test": 20},
    }  # fmt: skip
    given: dict[str, Any] = {
        "scores": scores,
        "replicates": {HEADLINE: replicates} if replicates else {},
        "cost": {"fit_seconds": 12.4, "peak_bytes": 2.0**30, "parameters": 474_000},
        "environment": {"memobench": "0.1.0", "commit": "1f3f44305933aa", "device": "cpu", "dirty": False},
        "hashes": {"samples": f"{model}-{seed}-{share}".replace(".", "-")},
    }
    given |= {name: value for name, value in more.items() if name not in ("spec", "cohort")}
    spec |= more.get("spec", {})
    cohort |= more.get("cohort", {})
    if checked:
        return Record(spec=Spec(**spec), cohort=CohortFacts(**cohort), **given)
    parts = {"spec": Spec.model_construct(**spec), "cohort": CohortFacts.model_construct(**cohort)}
    return Record.model_construct(**parts, **given)


def declined(model: str = "stylegan2-ada", reason: str = "no checkout", **more: Any) -> Record:
    """Return the record of a run without scores."""
    return made(model, status="declined", reason=reason, scores={}, replicates={}, cost={}, **more)


def several() -> list[Record]:
    """Return a board with every kind of row, and a second cohort."""
    return [
        *(made("ldm", 0.3, seed=seed) for seed in (0, 1)),
        made("vae", 0.0, quality=60.0),
        made("ddpm", 0.1, quality=45.0),
        made("vqgan", None, quality=25.0),
        made("copycat", 0.2, quality=10.0),
        made("gaussian", 0.0, quality=40.0),
        declined(),
        made("vae", 0.0, cohort={"name": "phantom-mr", "key": "fedcba9876543210"}),
    ]
