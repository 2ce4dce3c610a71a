"""`memobench.run`: train (or load) a model, sample from it, and compare its samples with all real images."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.load import load_run
from benchmark.api.wording import python_words
from benchmark.core.options import Selection
from benchmark.core.progress import silent

if TYPE_CHECKING:
    from benchmark.api.results import RunResult


def run(
    model: str | Mapping[str, Any],
    data: str | Mapping[str, Any],
    *,
    runs: str | Path,
    cache: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> RunResult:
    """Do what `bench run` does, and return the result. Finished stages are reused, and interrupted ones resume.

    Args:
        model: a name, with options as `ldm:steps=100`, or the settings of run.toml's [model]:
            {"name": "ldm", "preset": "small", "options": {"steps": 100}}.
        data: the same of the data set: {"name": "openi", "root": "...", "image_size": 64}.
        runs: where run folders go.
        cache: prepared images and detectors; RUNS/cache without it, so that everything is below one folder.
        quiet: print no progress.
        settings: samples, detectors, seed, budget_seconds, device, search_memory.

    Raises UsageError for settings that do not exist or fit, and BenchError as the command line does.
    """
    from benchmark.core.files import private_folder
    from benchmark.runs.config import RunConfig
    from benchmark.runs.run import run as run_stages

    folder = Path(runs)
    with python_words(), silent() if quiet else nullcontext():
        values = {
            "model": _settings(model, "model"), "data": _settings(data, "data set"), "runs": folder,
            "cache": Path(cache) if cache else folder / "cache", **settings,
        }  # fmt: skip
        config = RunConfig.of(values, "run()")
        private_folder(folder)
        return load_run(run_stages(config))


def _settings(given: str | Mapping[str, Any], what: str) -> dict[str, Any]:
    return dict(Selection.parse(given, what=what)) if isinstance(given, str) else dict(given)
