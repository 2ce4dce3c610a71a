"""What is known of whom a model was trained on, and what follows for its headline."""

from __future__ import annotations

from typing import Literal

from benchmark.cohorts.open import listed_training
from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.types import TrainedElsewhere
from benchmark.runs.config import Resolved


def require_fair_list(resolved: Resolved) -> None:
    """Refuse --trained-on where it does not fit the model, or names no file. Raises UsageError, MissingDataError."""
    config = resolved.config
    if trained_on(resolved) == "here" and config.data.trained_on:
        raise UsageError(
            f"--trained-on is for models trained elsewhere, and {resolved.model.name} is trained by this run",
            "leave it out",
        )
    if trained_on(resolved) != "here" and config.data.repeat > 1:
        raise UsageError(
            f"--repeat is for models trained by this run, and {resolved.model.name} was trained elsewhere",
            "leave it out",
        )
    listed = listed_training(config.data)
    if listed and not listed.exists():
        raise MissingDataError(
            f"--trained-on names {listed}, which does not exist",
            "give `split`, or the path of a CSV file with a column `patient` or `item`",
        )


def trained_on(resolved: Resolved) -> Literal["here", "split", "list", "unknown"]:
    """Return whether the model is trained by this run, or else what its owner says of whom it has seen."""
    adapter, said = resolved.adapter, resolved.config.data.trained_on
    if not (isinstance(adapter, TrainedElsewhere) and adapter.trained_elsewhere):
        return "here"
    if said is None:
        return "unknown"
    return "split" if said == "split" else "list"


def refusal_of(resolved: Resolved) -> str:
    """Return why the headline may not be scored, or nothing."""
    if trained_on(resolved) != "unknown":
        return ""
    return (
        f"cannot tell: {resolved.public_model} was not trained here, and nobody said which patients it was trained on; "
        "give --trained-on split if these were the training patients of this split (`bench datasets split` lists "
        "them), or --trained-on LIST.csv"
    )
