"""A run from image files to its record, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import FAST, Bench

from benchmark.core.percent import percent
from benchmark.records.record import Record

LDM = (
    "--set", "autoencoder=vq", "--set", "autoencoder_widths=8,8", "--set", "autoencoder_steps=30", "--set", "widths=16",
    "--set", "attention=0", "--set", "head_channels=8", "--set", "steps=60", "--samples", "60",
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
    return [sys.executable, str(FAST), *common, "--cache", str(cache), "--runs", str(runs), *LDM]


def _state(runs: Path, stage: str) -> str:
    for path in runs.glob("*/*/*/status.json"):
        found: dict[str, Any] = json.loads(path.read_text())
        return str(found.get(stage, {}).get("state", ""))
    return ""


def _kill_in(stage: str, command: list[str], runs: Path) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while _state(runs, stage) != "running":
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(runs.rglob("record.json"))


@pytest.mark.slow
def test_a_run_killed_in_each_stage_ends_with_the_same_scores(xrays: Path, tmp_path: Path) -> None:
    command = _arguments(xrays, tmp_path / "cache-a", tmp_path / "a")
    whole = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stderr
    command = _arguments(xrays, tmp_path / "cache-b", tmp_path / "b")
    for stage in ("fit", "sample", "evaluate"):
        _kill_in(stage, command, tmp_path / "b")
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    first, second = (next(path.rglob("record.json")) for path in (tmp_path / "a", tmp_path / "b"))
    assert Record.read(first).scores == Record.read(second).scores
    assert Record.read(first).hashes == Record.read(second).hashes


@pytest.mark.slow
def test_torchrun_trains_in_two_processes(xrays: Path, tmp_path: Path) -> None:
    command = _arguments(xrays, tmp_path / "cache", tmp_path / "runs")
    launch = [
        command[0],
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29517",
        *command[1:],
    ]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").rglob("record.json"))) == 1
    assert done.stdout.count("exposed patients") == 1
