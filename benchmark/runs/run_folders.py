"""Run folders: where a run is kept, and the configuration that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import content_key
from benchmark.core.sealed import require_intact
from benchmark.core.stages import require_entered
from benchmark.core.types import Cohort
from benchmark.runs.config import Resolved, RunConfig, read_toml

CONFIG = "run.toml"
"""The configuration in a run folder: private, since it may name paths."""
MODEL_LOG = "model.log"
"""Stack trace of what a model raised last: private, since it may hold anything."""
EVALUATION, ENVIRONMENT, RECORD, SUMMARY = "evaluation.json", "environment.json", "record.json", "summary.html"
MODEL = "fit/model"
"""The trained model in a run folder."""
AGAIN = "run it again: bench run"


def run_folder(resolved: Resolved, cohort: Cohort) -> Path:
    """Return runs/COHORT/MODEL-PRESET-KEY/seed-N[-VARIANT]; the key digests model, settings and training data."""
    return resolved.config.runs / run_place(resolved, cohort.name, cohort.key)


def run_place(resolved: Resolved, cohort_name: str, cohort_key: str) -> Path:
    """Return the run folder's path below the folder of all runs."""
    config = resolved.config
    parts = (resolved.model.entry, resolved.settings, cohort_key, config.budget_seconds)
    key = content_key(*parts, *repeats_of(config), *stopping_of(resolved), length=8)
    last = f"seed-{config.seed}" + (f"-{config.variant}" if config.variant else "")
    return Path(cohort_name) / f"{resolved.model.name}-{config.model.preset}-{key}" / last


def repeats_of(config: RunConfig) -> tuple[int | float, ...]:
    """Return how training images are repeated; nothing where each is there once."""
    return (config.data.repeat, config.data.repeat_share) if config.data.repeat > 1 else ()


def stopping_of(resolved: Resolved) -> tuple[str, ...]:
    """Return the options of watching where they may change the model: a look alone does not, an early end does."""
    config = resolved.config
    if not config.stop_when:
        return ()
    return (f"stop when {config.stop_when}", f"watch {config.watch}", f"budget {config.watch_budget}")


def read_run(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run folder, as nested values.

    Raises UsageError for what is no run folder, DamagedError where the configuration was changed after the run.
    """
    require_run_folder(folder)
    changed = f"run it again with the options that you want: bench run --config {folder / CONFIG}"
    path = require_intact(folder / CONFIG, changed)
    return read_toml(require_entered(path, changed, stage="configuration"))


def written(path: Path, advice: str = AGAIN) -> Path:
    """Return the path of a file of a run. Raises DamagedError where it is not as the run has written it."""
    return require_entered(require_intact(path, advice), advice)


def has_record(folder: Path) -> bool:
    """Whether a run folder has a record that its run wrote, so that readers accept it."""
    try:
        return written(folder / RECORD).exists()
    except (BadDataError, OSError):
        return False


def require_run_folder(folder: Path) -> None:
    """Raise UsageError for what is no run folder."""
    if (folder / CONFIG).exists():
        return
    if (folder / "spec.json").exists():
        raise UsageError(
            f"{folder} was written by an older version of memobench, whose runs this version does not read",
            "run it again with this version, or evaluate it with that one",
        )
    raise UsageError(f"{folder} is not a run folder: it has no {CONFIG}", "give the folder that `bench run` printed")
