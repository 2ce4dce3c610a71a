"""The public record of a run, from what its stages left."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmark.core.options import without_paths
from benchmark.core.sealed import read_sealed_json
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.stages import Stages
from benchmark.core.types import Cohort, HasFoundSettings
from benchmark.plugins.registry import source_files
from benchmark.records.cohort_facts import facts_of
from benchmark.records.public_text import public_name, public_text
from benchmark.records.record import PROTOCOL, Record, Spec
from benchmark.runs.changed_settings import changed_settings
from benchmark.runs.config import Resolved
from benchmark.runs.run_folders import ENVIRONMENT, EVALUATION
from benchmark.runs.trained_on import trained_on


def write_record(resolved: Resolved, cohort: Cohort, stages: Stages) -> None:
    """Write record.json of a finished run. Raises DamagedError where what it is made from was changed."""
    results = read_sealed_json(stages.folder / EVALUATION)
    status = stages.status()
    record = Record(
        protocol=protocol_of(resolved),
        spec=public_spec(resolved),
        cohort=facts_of(cohort),
        scores=results["scores"],
        replicates=results["replicates"],
        cost=_cost(status),
        environment={**read_sealed_json(stages.folder / ENVIRONMENT), "search": results["engines"]},
        hashes={**results["hashes"], **source_digests(resolved), **_of_cohort(cohort), "fit": status["fit"]["key"]},
        receipts=results.get("receipts", {}),
    )
    record.sealed().write(stages.folder / "record.json")


def write_declined(resolved: Resolved, cohort: Cohort, stages: Stages, reason: str) -> None:
    """Leave a record without scores, so that the board shows why the cell is empty."""
    record = Record(
        protocol=protocol_of(resolved),
        status="declined",
        reason=public_text(reason),
        spec=public_spec(resolved),
        cohort=facts_of(cohort),
        scores={},
        cost={},
        environment=environment_of(resolved.config.device),
        hashes={**source_digests(resolved), **_of_cohort(cohort)},
    )
    record.sealed().write(stages.folder / "record.json")


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
    """Return what a record says of the configuration: no paths."""
    config, split = resolved.config, resolved.config.data
    share = split.repeat_share if split.repeat > 1 else None
    repeats = {} if share is None else {"repeat": split.repeat, "repeat_share": share}
    return Spec(
        model=resolved.model.name, preset=config.model.preset,
        settings=_public(resolved.settings | found_settings(resolved) | _stop_settings(resolved)),
        changed=_public(changed_settings(resolved) | _stop_settings(resolved)) | repeats,
        data=resolved.data.name, data_options=_public(asdict(resolved.dataset)),  # type: ignore[call-overload]
        split=split.split, split_seed=split.split_seed, train_items=split.train_items,
        train_patients=split.train_patients, samples=resolved.samples, repeat=split.repeat, repeat_share=share,
        trained_on=trained_on(resolved),
        seed=config.seed, budget_seconds=config.budget_seconds,
    )  # fmt: skip


def _public(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as a record may hold them: no paths, and no text that is obeyed where it is shown."""
    shown = without_paths(settings).items()
    return {public_name(name): public_text(value) if isinstance(value, str) else value for name, value in shown}


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


def _cost(status: dict[str, Any]) -> dict[str, float]:
    """Seconds of each stage, greatest memory, parameters of the saved model, and energy where counters tell."""
    cost = {f"{name}_seconds": float(status[name]["seconds"]) for name in ("fit", "sample", "evaluate")}
    cost["peak_bytes"] = float(max(status[name].get("peak_bytes", 0) for name in ("fit", "evaluate")))
    cost |= {f"{name}_joules": float(status[name]["joules"]) for name in ("fit", "sample") if "joules" in status[name]}
    if status["fit"].get("parameters"):
        cost["parameters"] = float(status["fit"]["parameters"])
    return cost
