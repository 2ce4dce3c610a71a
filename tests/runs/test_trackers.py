"""Trackers change nothing that a run is known by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.core.errors import UsageError
from benchmark.runs import run as runs
from benchmark.runs.config import RunConfig, resolve
from benchmark.runs.dry_run import dry_run
from benchmark.runs.run_folders import run_folder
from benchmark.runs.stage_keys import fit_key_of


def config(tmp_path: Path, *trackers: str) -> RunConfig:
    values = {"model": {"name": "copycat"}, "data": {"name": "phantom-mr"}, "runs": tmp_path, "trackers": trackers}
    return RunConfig.of(values, "a test")


def test_trackers_change_no_folder_and_no_key(tmp_path: Path) -> None:
    cohort: Any = SimpleNamespace(name="phantom-mr", key="0123", splits=())
    plain, tracked = (resolve(config(tmp_path, *names)) for names in ((), ("mlflow", "wandb")))
    assert run_folder(plain, cohort) == run_folder(tracked, cohort)
    assert fit_key_of(plain, cohort) == fit_key_of(tracked, cohort)


def test_trackers_are_in_the_configuration_file(tmp_path: Path) -> None:
    config(tmp_path, "mlflow").write(tmp_path / "run.toml")
    assert RunConfig.read(tmp_path / "run.toml").trackers == ("mlflow",)


def test_an_unknown_tracker_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        runs.run(config(tmp_path, "tensorbord"), log=pytest.fail)
    assert str(error.value) == "there is no tracker 'tensorbord'\n  hint: known: wandb, mlflow, trackio"
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_what_a_run_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        dry_run(config(tmp_path, "wandb", "wandb"))
    assert str(error.value) == "the tracker wandb was given twice\n  hint: give it once"


def test_trackers_are_told_the_settings_without_paths(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "phantom-mr" / "copycat-smoke-0123abcd" / "seed-0"
    told = runs._tracked(resolve(config(tmp_path, "mlflow")), folder)
    assert told.name == "copycat-smoke-0123abcd-seed-0"
    assert told.settings["set.contamination"] == 1.0
    assert not any(str(tmp_path) in str(value) for value in told.settings.values())
