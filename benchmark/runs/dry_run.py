"""What `bench run` would do: nothing is written, and no pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cohorts.ingest import patient_sources
from benchmark.cohorts.locate import locate
from benchmark.cohorts.open import open_prepared
from benchmark.cohorts.splits import FRACTIONS
from benchmark.core.types import Cohort, Embedded, Source
from benchmark.evaluation.exposure import possible_for
from benchmark.metrics.detectable import detectable
from benchmark.runs.config import Resolved, RunConfig, resolve
from benchmark.runs.run import what_can_be_shown
from benchmark.runs.run_folders import run_folder
from benchmark.runs.stage_keys import finished_stages
from benchmark.runs.trained_on import require_fair_list
from benchmark.training.trackers import require_trackers

UNKNOWN = "known once the data set is read"


@dataclass(frozen=True)
class Known:
    """What is known of a cohort before a run reads it."""

    sentence: str
    power: str = UNKNOWN
    """What so many patients and samples can show."""
    cohort: Cohort | None = None
    """From the cache, where it is there."""


def dry_run(config: RunConfig) -> dict[str, Any]:
    """Return what a run would do, ready for JSON. Raises BenchError for what `bench run` refuses before it reads."""
    resolved = resolve(config)
    require_trackers(config.trackers)
    require_fair_list(resolved)
    known = _known(resolved)
    folder = run_folder(resolved, known.cohort) if known.cohort else None
    return {
        "model": resolved.model.name,
        "preset": config.model.preset,
        "settings": resolved.settings,
        "data": resolved.data.name,
        "cohort": known.sentence,
        "power": known.power,
        "samples": resolved.samples,
        "detectors": [choice.name for choice in resolved.detectors],
        "seed": config.seed,
        "device": config.device,
        "stages": _stages(resolved, known.cohort, folder),
        "folder": None if folder is None else str(folder),
        "cache": str(config.cache),
    }


def _known(resolved: Resolved) -> Known:
    """Return the cohort of the cache, or what the names of the files tell."""
    config = resolved.config
    if isinstance(resolved.dataset, Embedded):  # `locate` would write its files
        root = config.data.root or config.cache / "embedded" / resolved.data.name
        if not root.is_dir():
            return Known("not prepared: its files are written when it runs")
    else:
        root = locate(resolved.data, resolved.dataset, root=config.data.root, cache=config.cache)
    cohort = open_prepared(config.data, resolved.data, resolved.dataset, root, cache=config.cache)
    if cohort is None:
        return _listed(resolved, root)
    sizes = ", ".join(f"{part.name} {len(part)} items / {len(set(part.subjects))} patients" for part in cohort.splits)
    possible = what_can_be_shown(possible_for(cohort, resolved.samples), resolved.samples)
    return Known(f"prepared, key {cohort.key[:8]}: {sizes}", possible, cohort)


def _listed(resolved: Resolved, root: Path) -> Known:
    """Tell from the list of files how many patients there are, and about what so many can show."""
    config = resolved.config
    sources = patient_sources(resolved.data.name, resolved.dataset, root)[0]
    patients = len({source.subject for source in sources})
    sentence = f"not prepared: {_files(sources)} files of {patients} patients in {root}"
    asked = config.data
    smaller = asked.train_items or asked.train_patients
    if asked.split != "patients" or asked.trained_on not in (None, "split") or smaller or asked.exclude:
        return Known(sentence)
    # Duplicates are found by their pixels, and move some patients to the other side: this is an estimate.
    train = round(FRACTIONS[0] * patients)
    possible = detectable(train, patients - train, resolved.samples)
    return Known(sentence, f"about: {what_can_be_shown(possible, resolved.samples)}")


def _files(sources: Sequence[Source]) -> int:
    return sum(len(source.files) for source in sources)


def _stages(resolved: Resolved, cohort: Cohort | None, folder: Path | None) -> dict[str, str]:
    """Return for each stage `cached` or `to do`."""
    finished = {} if cohort is None or folder is None else finished_stages(resolved, cohort, folder)
    states = {
        "prepare": cohort is not None,
        **{name: finished.get(name, False) for name in ("fit", "sample", "evaluate")},
    }
    return {name: "cached" if done else "to do" for name, done in states.items()}


def rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, value) rows for a table on the terminal."""
    settings = ", ".join(f"{name}={value}" for name, value in plan["settings"].items())
    return [
        ("model", f"{plan['model']} ({plan['preset']}, seed {plan['seed']})"),
        ("settings", settings),
        ("data set", plan["data"]),
        ("cohort", plan["cohort"]),
        ("samples", str(plan["samples"])),
        ("can be shown", plan["power"]),
        ("detectors", ", ".join(plan["detectors"])),
        ("device", plan["device"]),
        *((f"stage {name}", state) for name, state in plan["stages"].items()),
        ("run folder", plan["folder"] or UNKNOWN),
        ("cache", plan["cache"]),
    ]
