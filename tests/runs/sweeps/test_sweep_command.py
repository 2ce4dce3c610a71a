"""`bench sweep` and `bench runs` from the command line, with real runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench_calls import FAST
from conftest import Bench

from benchmark.records.record import Record
from benchmark.runs.sweeps.readings import PRIVATE_REASON

SOAK = Path(__file__).parents[3] / "scripts" / "soak_sweep.py"


def options(prepared: dict[str, Any]) -> tuple[object, ...]:
    return (
        "--data", "cxr-pneumonia", "--root", prepared["data.root"], "--image-size", 32, "--cache", prepared["cache"],
        "--samples", 30, "--device", "cpu",
    )  # fmt: skip


@pytest.mark.slow
def test_a_sweep_its_second_call_and_another_sweep_share_their_cells(
    bench: Bench, tmp_path: Path, prepared: dict[str, Any]
) -> None:
    toys = FAST.parent / "toy_models.py"
    models = f"gaussian,{toys}:Crashes"
    done = bench("sweep", "--model", models, "--train-items", "40", "--name", "mine", *options(prepared))
    assert done.returncode == 5, done.stderr
    assert "1 done, 1 failed; states: sweeps/mine/cells.jsonl\n" in done.stdout
    assert "run the failed cells again with: bench sweep --config sweeps/mine/sweep.toml --name mine\n" in done.stdout
    reason = "crashes failed in fit: ZeroDivisionError: the learning rate was 0"
    assert re.search(
        rf"^model={re.escape(str(toys))}:Crashes: failed in \d+ s: {re.escape(reason)}; ", done.stderr, re.M
    )
    lines = [json.loads(line) for line in (tmp_path / "sweeps/mine/cells.jsonl").read_text().splitlines()]
    assert [(line["state"], line["error"]) for line in lines] == [("done", ""), ("failed", reason)]
    folder = tmp_path / "runs" / lines[0]["folder"]
    assert Record.read(folder / "record.json").cohort.items["train"] == 40
    assert "evaluate: done" in (folder / "run.log").read_text()

    shown = bench("runs", "show", "sweeps/mine")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "page: sweeps/mine/index.html"
    assert "cells without numbers" in shown.stdout
    assert shown.stdout in done.stdout
    table = pd.read_parquet(tmp_path / "sweeps/mine/table.parquet").drop_duplicates("cell")
    assert table[["state", "reason"]].to_numpy().tolist() == [["done", ""], ["failed", PRIVATE_REASON]]
    claimed = bench(
        "sweep", "--model", "gaussian", "--train-items", "40,20", "--claim", "train-items=falls", "--name",
        "mine", *options(prepared),
    )  # fmt: skip
    assert claimed.returncode == 2, claimed.stdout
    assert claimed.stderr == (
        "error: sweeps/mine was begun with other --claim and --order, and a claim that is made after the results "
        "proves nothing\n  hint: leave them out, or begin another sweep: --name NAME\n"
    )
    assert [json.loads(line)["state"] for line in (tmp_path / "sweeps/mine/cells.jsonl").read_text().splitlines()] == [
        "done", "failed",
    ]  # fmt: skip

    (tmp_path / "runs").rename(tmp_path / "moved")
    plan = bench(
        "sweep", "--model", "gaussian", "--train-items", "40,20", "--runs", "moved", "--dry-run", "--json",
        *options(prepared),
    )  # fmt: skip
    assert plan.returncode == 0, plan.stderr
    assert [cell["state"] for cell in json.loads(plan.stdout)["cells"]] == ["cached", "planned"]
    again = bench("sweep", "--model", "gaussian", "--train-items", "40", "--runs", "moved", *options(prepared))
    assert again.returncode == 0, again.stderr
    assert "1 cached; states: sweeps/" in again.stdout

    listed = json.loads(bench("runs", "list", "--runs", "moved", "--json").stdout)
    assert sorted(run["state"] for run in listed) == ["done", "failed"]
    removed = bench("runs", "rm", "moved/" + lines[0]["folder"], "--runs", "moved", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert not (tmp_path / "moved" / lines[0]["folder"]).exists()


@pytest.mark.slow
def test_killed_drivers_and_workers_change_no_result(tmp_path: Path) -> None:
    """The short form of `scripts/soak_sweep.py`: 4 kills, 2 cells."""
    done = subprocess.run(
        [sys.executable, str(SOAK), "--kills", "4", "--seeds", "1", "--models", "copycat,vae:steps=60",
         "--train-items", "20", "--out", str(tmp_path / "soak")],
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 cells, differing: none"
