"""The public record of a run, from what its stages left."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.core.errors import DamagedError
from benchmark.core.public_text import declared_values, hidden, public_options, public_value
from benchmark.core.sealed import read_sealed_json
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.stages import Stages
from benchmark.core.types import Cohort, HasFoundSettings
from benchmark.plugins.registry import source_files
from benchmark.records.cohort_facts import facts_of
from benchmark.records.record import PROTOCOL, Record, Spec
from benchmark.runs.changed_settings import changed_settings
from benchmark.runs.config import Resolved
from benchmark.runs.results import read_results
from benchmark.runs.run_folders import ENVIRONMENT, EVALUATION, MODEL, RECORD
from benchmark.runs.trained_on import trained_on

PUBLIC_REASONS = ("no checkout",)
"""Why models of this package decline a run; a plugin's reason is free text, which may hold names."""


def write_record(resolved: Resolved, cohort: Cohort, stages: Stages, spec: Spec) -> None:
    """Write record.json of a finished run. Raises DamagedError where what it is made from was changed.

    The process of the model has ended: `spec` is `public_spec`, which asks it.
    """
    results = read_results(stages.require("evaluate", EVALUATION))
    status, compared = stages.status(), results["compared"]
    if compared != {"samples": resolved.samples, "cohort": cohort.key}:
        raise DamagedError(
            f"{stages.folder / EVALUATION} is of {compared['samples']} samples, the configuration of "
            f"{resolved.samples}, or of another cohort",
            "delete that file, and run it again: bench run",
        )
    environment = read_sealed_json(stages.require("evaluate", ENVIRONMENT), kind=dict)
    record = Record(
        protocol=protocol_of(resolved),
        spec=spec,
        cohort=facts_of(cohort, resolved.public_data),
        scores=results["scores"],
        replicates=results["replicates"],
        cost=_cost(status, parameters(stages.require("fit", MODEL))),
        environment={**environment, "search": results["engines"]},
        isolation="process",
        hashes={
            **results["hashes"],
            **source_digests(resolved),
            **_of_cohort(cohort),
            "fit": _public_fit(resolved, status),
        },
        receipts=results["receipts"],
    )
    _write(record, stages)


def write_declined(resolved: Resolved, cohort: Cohort, stages: Stages, spec: Spec, reason: str) -> None:
    """Leave a record without scores, so that the board shows why the cell is empty."""
    record = Record(
        protocol=protocol_of(resolved),
        status="declined",
        reason=reason if reason in PUBLIC_REASONS else "declined by the model",
        spec=spec,
        cohort=facts_of(cohort, resolved.public_data),
        scores={},
        cost={},
        environment=environment_of(resolved.config.device),
        isolation="process",
        hashes={**source_digests(resolved), **_of_cohort(cohort)},
    )
    _write(record, stages)


def _write(record: Record, stages: Stages) -> None:
    """Write a record, and its digest into the status of the run, where readers of the record compare it."""
    record.sealed().write(stages.folder / RECORD)
    stages.enter("record", RECORD)


def _of_cohort(cohort: Cohort) -> dict[str, str]:
    return {"cohort": cohort.key, "files": cohort.files_key}


def source_digests(resolved: Resolved) -> dict[str, str]:
    """Return digests of the code of the model, and of all code that evaluates."""
    return {
        "adapter_source": source_digest(*source_files("models", resolved.model)),
        "core_source": source_digest(core_module("evaluation.run_evaluation")),
    }


def protocol_of(resolved: Resolved) -> str:
    """Return the protocol, or `custom` for a run that departs from it."""
    data = resolved.config.data
    as_written = (data.split, data.split_seed, data.repeat) == ("patients", 0, 1)
    as_written = as_written and trained_on(resolved) != "unknown"
    # A model that was chosen by its similarity to held-out patients is then compared with the same patients.
    return PROTOCOL if as_written and not resolved.config.stop_when else "custom"


def public_spec(resolved: Resolved) -> Spec:
    """Return what a record says of the configuration: text that is not listed for the public as digests."""
    config, split = resolved.config, resolved.config.data
    share = split.repeat_share if split.repeat > 1 else None
    stop = _stop_settings(resolved)
    repeats = {} if share is None else {"repeat": split.repeat, "repeat_share": share}
    return Spec(
        model=resolved.public_model, preset=public_preset(resolved),
        settings=public_options(resolved.settings | found_settings(resolved) | stop, resolved.model_class.listed),
        changed=public_options(changed_settings(resolved) | stop, resolved.model_class.listed) | repeats,
        data=resolved.public_data,
        data_options=public_options(asdict(resolved.dataset), declared_values(type(resolved.dataset))),  # type: ignore[call-overload]
        split=split.split, split_seed=split.split_seed, train_items=split.train_items,
        train_patients=split.train_patients, samples=resolved.samples, repeat=split.repeat, repeat_share=share,
        trained_on=trained_on(resolved),
        seed=config.seed, budget_seconds=config.budget_seconds,
    )  # fmt: skip


def public_preset(resolved: Resolved) -> str:
    """Return the preset: one that the user has typed, or a card next to `./file.py` names, is a digest."""
    preset, listed = resolved.config.model.preset, resolved.model.presets if resolved.model.folder else ()
    return preset if preset in listed else str(public_value("preset", preset))


def _public_fit(resolved: Resolved, status: dict[str, Any]) -> str:
    """Return the key of the training; a keyed digest of it where text of its settings is hidden.

    All else that the key digests is public, so that a list of names would do to find the one that was typed.
    """
    key = str(status["fit"]["key"])
    shown = public_options(resolved.settings, resolved.model_class.listed)
    same = json.dumps(shown, default=str) == json.dumps(resolved.settings, default=str)
    return key if same else hidden(key)


def _stop_settings(resolved: Resolved) -> dict[str, str]:
    """Return what may have ended the training early, where anything may."""
    config = resolved.config
    return {"stop_when": config.stop_when, "watch": config.watch or ""} if config.stop_when else {}


def found_settings(resolved: Resolved) -> dict[str, str]:
    """Return what the model found in its files and the user did not say."""
    return resolved.adapter.found_settings() if isinstance(resolved.adapter, HasFoundSettings) else {}


def environment_of(device: str) -> dict[str, Any]:
    """Return versions and hardware, which records publish."""
    from benchmark.core.environment import describe

    return describe(device)


def parameters(folder: Path) -> int:
    """Count the numbers in the safetensors files of a saved model; 0 where it is saved otherwise."""
    from safetensors import safe_open

    total = 0
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total


def _cost(status: dict[str, Any], numbers: int) -> dict[str, float]:
    """Seconds of each stage, greatest memory, parameters of the saved model, and energy where counters tell."""
    cost = {f"{name}_seconds": float(status[name]["seconds"]) for name in ("fit", "sample", "evaluate")}
    cost["peak_bytes"] = float(max(status[name].get("peak_bytes", 0) for name in ("fit", "evaluate")))
    cost |= {f"{name}_joules": float(status[name]["joules"]) for name in ("fit", "sample") if "joules" in status[name]}
    if numbers:
        cost["parameters"] = float(numbers)
    return cost
