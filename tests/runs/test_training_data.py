"""Runs whose training data are repeated or fewer, and runs that share a training."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bench

from benchmark.core.files import read_json
from benchmark.records.record import Record


def only_run(tmp_path: Path, pattern: str = "runs/*/*/*") -> Path:
    (folder,) = tmp_path.glob(pattern)
    return folder


def test_repeated_patients_and_few_patients_are_in_the_record(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 20, "--train-patients", 20, "--repeat", 3, "--repeat-share", 0.2)
    assert done.returncode == 0, done.stderr
    folder = only_run(tmp_path)
    record = Record.read(folder / "record.json")
    assert record.protocol == "custom"
    assert (record.spec.train_patients, record.spec.repeat, record.spec.repeat_share) == (20, 3, 0.2)
    assert record.spec.changed["repeat"] == 3
    assert record.cohort.patients["train"] == 20
    # Copycat keeps what it was trained on: 20 patients with 2 films, 4 of them three times.
    import numpy as np

    with np.load(folder / "fit" / "model" / "copycat.npz") as arrays:
        assert len(arrays["pixels"]) == 40 + 2 * 8
        assert len(np.unique(arrays["pixels"], axis=0)) == 40
    assert record.cohort.items["train"] == 40


def test_a_variant_takes_the_trained_model_of_its_neighbour(
    run: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--samples", 20).returncode == 0
    (tmp_path / "more.toml").write_text('variant = "samples-30"\n')
    done = run("--samples", 30, "--config", "more.toml")
    assert done.returncode == 0, done.stderr
    assert "fit: taken from seed-0\nfit: cached" in done.stderr
    first, second = sorted(tmp_path.glob("runs/*/*/*"))
    assert (first.name, second.name) == ("seed-0", "seed-0-samples-30")
    assert read_json(first / "status.json")["fit"] == read_json(second / "status.json")["fit"]
    model = Path("fit/model/copycat.npz")
    assert (first / model).samefile(second / model)
    assert [Record.read(folder / "record.json").spec.samples for folder in (first, second)] == [20, 30]
    # Torchrun's other processes do not begin a training in which the first one has no part.
    monkeypatch.setenv("RANK", "1")
    (tmp_path / "more.toml").write_text('variant = "samples-40"\n')
    run("--samples", 40, "--config", "more.toml")
    assert sorted(tmp_path.glob("runs/*/*/*")) == [first, second]
