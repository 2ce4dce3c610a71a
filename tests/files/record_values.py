"""A record as it is stored on disk, and how tests change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Values = dict[str, Any]


def values() -> Values:
    """A record as it is stored on disk."""
    return {
        "schema": 1,
        "protocol": "p2",
        "status": "done",
        "reason": "",
        "spec": {
            "model": "ldm",
            "preset": "smoke",
            "settings": {"steps": 500, "widths": [32, 64], "autoencoder": "vq"},
            "changed": {"steps": 500},
            "data": "phantom-mr",
            "data_options": {"image_size": 64},
            "split": "patients",
            "split_seed": 0,
            "train_items": None,
            "train_patients": None,
            "repeat": 1,
            "repeat_share": None,
            "trained_on": "here",
            "samples": 100,
            "seed": 0,
            "budget_seconds": None,
        },
        "cohort": {
            "name": "phantom-mr",
            "key": "0123456789abcdef",
            "shape": [1, 64, 64],
            "channels": ["flair"],
            "spacing_mm": [1.0, 1.0],
            "items": {"train": 50, "calibration": 25, "test": 25},
            "patients": {"train": 10, "calibration": 5, "test": 5},
            "notes": ["two duplicates were moved"],
        },
        "scores": {
            "exposed.items[copy]": {
                "value": 0.1, "low": 0.05, "high": 0.15, "n": 100, "direction": "lower", "reason": "",
            },
            "quality.ms_ssim[pixels]": {
                "value": None, "low": None, "high": None, "n": 4, "direction": "none", "reason": "too small",
            },
        },
        "replicates": {"exposed.items[copy]": [0.09, 0.1, 0.11]},
        "cost": {"fit_seconds": 12.5},
        "environment": {"torch": "2.8.0"},
        "isolation": "process",
        "hashes": {"samples": "abc"},
        "receipts": {},
        "digest": "",
    }  # fmt: skip


def written(folder: Path, given: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(given))
    return path


def put(given: Values, place: str, value: object) -> Values:
    """Set spec/samples and the like."""
    *path, last = place.split("/")
    target = given
    for name in path:
        target = target[name]
    target[last] = value
    return given
