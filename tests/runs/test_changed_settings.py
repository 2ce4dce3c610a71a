"""Hyper-parameters that differ from the preset's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.cohorts.open import DataConfig
from benchmark.runs.changed_settings import changed_settings
from benchmark.runs.config import ModelConfig, Resolved, RunConfig, resolve

FOLDER = """
from dataclasses import dataclass

@dataclass
class Mine:
    path: str
    steps: int = 3
"""


def resolved(data: str, model: str = "ldm", **options: Any) -> Resolved:
    return resolve(RunConfig(model=ModelConfig(name=model, options=options), data=DataConfig(name=data)))


def changed(data: str, model: str = "ldm", **options: Any) -> dict[str, Any]:
    return changed_settings(resolved(data, model, **options))


@pytest.mark.parametrize("data", ["phantom-mr", "phantom-ct"])
def test_the_preset_alone_changes_nothing(data: str) -> None:
    assert changed(data) == {}


def test_what_is_given_is_compared_with_the_preset() -> None:
    steps = resolved("phantom-mr").settings["steps"]
    assert changed("phantom-mr", steps=str(steps), batch_size="7") == {"batch_size": 7}
    assert changed("phantom-mr", steps=str(steps + 1)) == {"steps": steps + 1}


def test_an_option_without_default_is_always_shown(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FOLDER)
    assert changed("phantom-mr", f"{path}:Mine", path="x", steps="3") == {"path": "x"}
