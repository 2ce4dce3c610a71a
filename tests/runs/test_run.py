"""A run from image files to its record, from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench_calls import FAST
from conftest import Bench

from benchmark.core.percent import percent
from benchmark.records.record import Record

KILLED = FAST.with_name("killed_bench.py")
LDM = (
    "--set", "autoencoder=vq", "--set", "autoencoder_widths=8,8", "--set", "autoencoder_steps=15", "--set", "widths=16",
    "--set", "attention=0", "--set", "head_channels=8", "--set", "steps=40", "--samples", "60",
)  # fmt: skip


def folder_of(done: subprocess.CompletedProcess[str], tmp_path: Path) -> Path:
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("record: "))
    return (tmp_path / line.removeprefix("record: ")).parent


def record_of(done: subprocess.CompletedProcess[str], tmp_path: Path) -> Record:
    return Record.read(folder_of(done, tmp_path) / "record.json")


def test_copycat_from_files_to_record(run: Bench, tmp_path: Path) -> None:
    done = run("--set", "contamination=0.3", "--samples", 300)
    folder, record = folder_of(done, tmp_path), record_of(done, tmp_path)
    for detector in ("copy", "pixels"):
        share, patients = (record.scores[f"exposed.{name}[{detector}]"] for name in ("items", "patients"))
        assert share.low is not None
        assert share.high is not None
        assert 0 < share.low <= 0.3 <= share.high
        assert patients.low is not None
        assert patients.low > 0
        assert record.scores[f"detector.recall.exact[{detector}]"].value == 1.0
    matches = pd.read_parquet(folder / "matches.parquet")
    copied = matches["similarity[pixels]"] > 1 - 1e-9
    assert len(matches) == 300
    assert copied.sum() == 90
    assert matches.loc[copied, "withhold[pixels]"].all()
    members = pd.read_parquet(folder / "members.parquet")
    assert members["split"].value_counts().to_dict() == record.cohort.items
    assert (folder / "environment.json").exists()
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "samples.png",
        "pairs-copy.png",
        "pairs-pixels.png",
        "similarity-copy.png",
        "similarity-pixels.png",
    }
    assert "exposed patients" in done.stdout
    last = done.stdout.splitlines()[-1]
    listed = int(matches[["withhold[copy]", "withhold[pixels]"]].sum().max())
    assert last.startswith(f"HOLD: {listed} of 300 synthetic images look like one particular training patient (")
    for detector in ("copy", "pixels"):
        share = record.scores[f"exposed.items[{detector}]"]
        assert f"{detector}: {percent(share.low)} to {percent(share.high)} of all" in last


def test_full_contamination_is_flagged(run: Bench, tmp_path: Path) -> None:
    record = record_of(run("--set", "contamination=1.0", "--samples", 200), tmp_path)
    for detector in ("copy", "pixels"):
        value = record.scores[f"copies.rate[{detector}]"].value
        assert value is not None
        assert value >= 0.95


def test_no_patient_and_no_path_in_the_record(run: Bench, tmp_path: Path, xrays: Path) -> None:
    folder = folder_of(run("--samples", 100), tmp_path)
    text = (folder / "record.json").read_text()
    assert "person" not in text
    assert "IM-0" not in text
    assert str(xrays) not in text
    assert str(tmp_path) not in text


def test_second_call_is_cached(run: Bench, tmp_path: Path) -> None:
    first = run("--samples", 100)
    again = run("--samples", 100)
    lines = [line for line in again.stderr.splitlines() if line.split(":")[0] in ("fit", "sample", "evaluate")]
    assert lines == ["fit: cached", "sample: cached", "evaluate: cached"]
    assert again.stdout == first.stdout


def test_changed_samples_redo_only_what_depends_on_them(run: Bench) -> None:
    run("--samples", 100)
    lines = run("--samples", 120).stderr.splitlines()
    assert "fit: cached" in lines
    assert not {"sample: cached", "evaluate: cached"} & set(lines)


def test_evaluate_again_gives_the_same_scores(run: Bench, bench: Bench, tmp_path: Path) -> None:
    folder = folder_of(run("--samples", 100), tmp_path)
    before = Record.read(folder / "record.json")
    done = bench("evaluate", folder)
    assert done.returncode == 0, done.stderr
    assert Record.read(folder / "record.json").scores == before.scores


def _arguments(xrays: Path, cache: Path, runs: Path) -> list[str]:
    common = ["run", "--model", "ldm", "--data", "cxr-pneumonia", "--root", str(xrays), "--image-size", "32"]
    return [*common, "--cache", str(cache), "--runs", str(runs), *LDM]


def _state(runs: Path, stage: str) -> str:
    (path,) = runs.glob("*/*/*/status.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return str(found[stage]["state"])


@pytest.mark.slow
def test_a_run_killed_in_each_stage_ends_with_the_same_scores(
    bench: Bench, xrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_STEPS", "10")
    whole = bench(*_arguments(xrays, tmp_path / "cache-a", tmp_path / "a"))
    assert whole.returncode == 0, whole.stderr
    arguments = _arguments(xrays, tmp_path / "cache-b", tmp_path / "b")
    for stage in ("fit", "sample", "evaluate"):
        monkeypatch.setenv("KILLED_IN", stage)
        assert bench(*arguments, script=KILLED).returncode == -signal.SIGKILL
        assert _state(tmp_path / "b", stage) == "running"
        assert not list((tmp_path / "b").rglob("record.json"))
    resumed = bench(*arguments)
    assert resumed.returncode == 0, resumed.stderr
    first, second = (next(path.rglob("record.json")) for path in (tmp_path / "a", tmp_path / "b"))
    assert Record.read(first).scores == Record.read(second).scores
    assert Record.read(first).hashes == Record.read(second).hashes


@pytest.mark.slow
def test_torchrun_trains_in_two_processes(
    xrays: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(FAST)]
    command = [*launch, *_arguments(xrays, tmp_path_factory.getbasetemp() / "cache", tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").rglob("record.json"))) == 1
    assert done.stdout.count("exposed patients") == 1
