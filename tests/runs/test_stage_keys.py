"""A run's stage keys follow the code that the stages run: the wiring of `source_digest` in runs and detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.core.source_digest import import_closure
from benchmark.core.types import Cohort, Split
from benchmark.plugins.registry import find_dataset, find_detector, find_model, source_files
from benchmark.runs import stage_keys
from benchmark.runs.config import RunConfig, resolve

ROOT = Path(__file__).parents[2]


def closure(kind: str, name: str) -> set[str]:
    """Files that a plugin's stage runs, relative to the checkout."""
    find = {"models": find_model, "datasets": find_dataset, "detectors": find_detector}[kind]
    paths = import_closure(*source_files(kind, find(name)))  # type: ignore[arg-type]
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_the_exponential_moving_average_is_in_the_key_of_training() -> None:
    for model in ("ldm", "vae", "ddpm", "styled-gan", "vqvae"):
        assert {"benchmark/training/state.py", "benchmark/training/loop.py"} <= closure("models", model)
    assert "benchmark/training/state.py" not in closure("models", "gaussian")


def test_every_file_of_a_models_folder_is_in_its_key() -> None:
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "models" / "stylegan2_ada").glob("*.py")}
    assert own <= closure("models", "stylegan2-ada")
    assert "models/stylegan2_ada/worker.py" in own  # started as a process of its own: no import leads to it


def test_a_detector_trains_on_its_own_code_and_the_loop() -> None:
    copy = closure("detectors", "copy")
    assert {"benchmark/detectors/copy.py", "benchmark/training/state.py", "benchmark/images/transforms.py"} <= copy
    assert "benchmark/detectors/dar2025.py" not in copy


@pytest.mark.parametrize(
    ("key", "arguments", "entry"),
    [
        ("sample_key_of", ("fit",), "adapters.sampling"),
        ("evaluate_key_of", (None, "sample"), "evaluation.run_evaluation"),
    ],
)
def test_sampling_and_evaluation_name_their_entry_points(
    key: str, arguments: tuple[object, ...], entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []

    def core_module(name: str) -> Path:
        named.append(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage_keys, "core_module", core_module)

    class Resolved:
        detectors = ()
        samples = 2

    with pytest.raises(KeyboardInterrupt):
        getattr(stage_keys, key)(Resolved(), *arguments)
    assert named == [entry]


def cohort_of(**texts: tuple[str, ...]) -> Cohort:
    """A cohort of two items in each split, with labels or captions."""
    parts = {
        name: Split(
            name=name, pixels=np.zeros((2, 1, 8, 8), np.uint8), rows=np.arange(2), subjects=(f"{name}1", f"{name}2"),
            items=(f"{name}1", f"{name}2"), channels=("grey",), **texts,
        )
        for name in ("train", "calibration", "test")
    }  # fmt: skip
    return Cohort(name="toy", key="k", files_key="f", spacing_mm=(), **parts)


def test_the_key_of_a_training_follows_all_that_the_model_reads(tmp_path: Path) -> None:
    """Its settings, what its options name, the text of `./file.py` and what that imports, labels and captions."""
    weights, code = tmp_path / "weights", tmp_path / "mine.py"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    (tmp_path / "layers_of_mine.py").write_text("x = 1\n")
    code.write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Model:\n    start: str = ''\n"
        "    dimensions = (2,)\n    def fit(self):\n        import layers_of_mine\n"
    )
    config = RunConfig.model_validate({
        "model": {"name": f"{code}:Model", "options": {"start": str(weights)}}, "data": {"name": "cxr-pneumonia"},
        "cache": tmp_path / "cache",
    })  # fmt: skip
    resolved = resolve(config)
    keys = [stage_keys.fit_key_of(resolved, cohort_of())]
    assert stage_keys.fit_key_of(resolve(config), cohort_of()) == keys[0]
    (weights / "config.json").write_text('{"a": 1}')
    keys.append(stage_keys.fit_key_of(resolved, cohort_of()))
    (tmp_path / "layers_of_mine.py").write_text("x = 2\n")
    keys.append(stage_keys.fit_key_of(resolved, cohort_of()))
    code.write_text(code.read_text() + "    x = 1\n")
    keys.append(stage_keys.fit_key_of(resolved, cohort_of()))
    for texts in ({"labels": ("a", "b")}, {"labels": ("a", "c")}, {"captions": ("a", "b")}):
        keys.append(stage_keys.fit_key_of(resolved, cohort_of(**texts)))
    assert len(set(keys)) == len(keys)
