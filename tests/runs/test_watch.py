"""`bench run --watch`: the curve, the early end, exact resume, and what is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Bench
from test_run import folder_of, record_of

from benchmark.core.errors import UsageError
from benchmark.core.files import read_json
from benchmark.core.types import Split
from benchmark.evaluation.watch import Look, open_watch
from benchmark.evaluation.watch_plan import PROBE
from benchmark.runs.config import RunConfig, resolve
from benchmark.runs.watch_options import WatchOptions, watch_options
from benchmark.runs.watching import RunWatcher

REPLAYING = f"{Path(__file__).parent / 'replaying_model.py'}:Replaying"
WATCH = ("--watch", 10, "--watch-budget", "100000%")
CLOCKS = ["sampling_seconds", "search_seconds"]


def curve_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "curve.parquet")


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "fit" / "model" / "weights.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    pairs = [weights_of(folder) for folder in (first, second)]
    return all(torch.equal(value, pairs[1][name]) for name, value in pairs[0].items())


@pytest.mark.slow
def test_a_watched_run_has_a_curve_and_the_same_weights(run: Bench, tmp_path: Path) -> None:
    plain = folder_of(run("--samples", 60, "--runs", "plain", model=REPLAYING), tmp_path)
    done = run("--samples", 60, *WATCH, model=REPLAYING)
    folder = folder_of(done, tmp_path)
    assert not (plain / "curve.parquet").exists()
    assert same_weights(plain, folder)
    curve = curve_of(folder)
    assert curve["look"].tolist() == list(range(1, len(curve) + 1))
    assert curve["step"].is_unique
    assert not curve.loc[curve["step"] <= 60, "exposed"].any()
    assert curve.loc[curve["step"] > 60, "exposed"].all()
    assert len(curve) >= 10
    assert "watch, step 10: no patient shown to be exposed by 300 samples (0 to " in done.stderr
    log = [json.loads(line) for line in (folder / "fit/training/log.jsonl").read_text().splitlines()]
    logged = {
        line["step"]: line["watch/exposed_patients_sure"] for line in log if "watch/exposed_patients_sure" in line
    }
    assert logged == dict(zip(curve["step"], curve["exposed_patients_sure"], strict=True))
    assert [read_json(one / "status.json")["fit"]["key"] for one in (plain, folder)] == 2 * [
        read_json(folder / "status.json")["fit"]["key"]
    ]
    assert record_of(done, tmp_path).protocol == "p2"


@pytest.mark.slow
def test_it_stops_at_the_onset_and_the_kept_model_copies_nobody(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 300, *WATCH, "--stop-when", "exposed", model=REPLAYING)
    folder, record = folder_of(done, tmp_path), record_of(done, tmp_path)
    curve = curve_of(folder)
    assert curve["step"].tolist()[-2:] == [70, 73]
    assert curve["exposed"].tolist() == [False] * 6 + [True, True]
    assert int(weights_of(folder)["seen"]) == 60
    assert record.scores["exposed.patients[pixels]"].low == 0
    assert record.protocol == "custom"
    assert record.spec.changed["stop_when"] == "exposed"
    assert record.spec.changed["watch"] == "10"
    again = run("--samples", 300, *WATCH, "--stop-when", "exposed", model=REPLAYING)
    assert "fit: cached" in again.stderr
    whole = folder_of(run("--samples", 300, *WATCH, model=REPLAYING), tmp_path)
    assert whole != folder
    assert int(weights_of(whole)["seen"]) == 120


@pytest.mark.slow
@pytest.mark.parametrize("stop", [(), ("--stop-when", "exposed")], ids=["watch", "stop"])
def test_a_killed_run_continues_its_curve(
    run: Bench, tmp_path: Path, stop: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_STEPS", "25")
    whole = folder_of(run("--samples", 60, *WATCH, *stop, "--runs", "whole", model=REPLAYING), tmp_path)
    monkeypatch.setenv("KILL_AT", "73")
    killed = run("--samples", 60, *WATCH, *stop, model=REPLAYING)
    assert killed.returncode == -9
    curve = next(tmp_path.glob("runs/**/curve.parquet"))
    assert pd.read_parquet(curve)["step"].max() == 70  # later than the last checkpoint, of step 50
    monkeypatch.delenv("KILL_AT")
    cut = folder_of(run("--samples", 60, *WATCH, *stop, model=REPLAYING), tmp_path)
    pd.testing.assert_frame_equal(curve_of(whole).drop(columns=CLOCKS), curve_of(cut).drop(columns=CLOCKS))
    assert same_weights(whole, cut)


@pytest.mark.slow
def test_a_new_training_without_watch_removes_the_old_curve(run: Bench, tmp_path: Path) -> None:
    folder = folder_of(run("--samples", 60, *WATCH, model=REPLAYING), tmp_path)
    (folder / "status.json").write_text("{}")
    folder_of(run("--samples", 60, model=REPLAYING), tmp_path)
    assert not (folder / "curve.parquet").exists()
    late = run("--samples", 60, *WATCH, model=REPLAYING)
    assert "watch: no curve, since no look was made while this model trained" in late.stderr


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"watch": "5%", "model": {"name": "copycat"}},
            "--watch does not work with copycat: it draws no samples while it trains\n  hint: leave it out; a training"
            " loop of your own can use memobench.watch (docs/watching.md)",
        ),
        (
            {"watch": "0"},
            "--watch 0 is no interval\n  hint: give steps, such as 500, or a share of the training, such as 5%",
        ),
        (
            {"watch": "101%"},
            "--watch 101% is no interval\n  hint: give steps, such as 500, or a share of the training, such as 5%",
        ),
        (
            {"watch": "5%", "watch_budget": "10"},
            "--watch-budget 10 is no share of the training time\n  hint: give a percentage, such as 10%",
        ),
        (
            {"watch": "5%", "watch_budget": "nan%"},
            "--watch-budget nan% is no share of the training time\n  hint: give a percentage, such as 10%",
        ),
        (
            {"watch": "5%", "stop_when": "bored"},
            "--stop-when does not know 'bored'\n  hint: it knows: exposed",
        ),
        (
            {"stop_when": "exposed"},
            "--stop-when exposed was given without --watch\n  hint: add --watch, such as --watch 5%",
        ),
        (
            {"watch_budget": "5%"},
            "--watch-budget 5% was given without --watch\n  hint: add --watch, such as --watch 5%",
        ),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    values = {"model": {"name": "ddpm"}, "data": {"name": "phantom-mr"}, **options}
    with pytest.raises(UsageError) as error:
        resolve(RunConfig.of(values, "test"))
    assert str(error.value) == message


def test_options_are_read() -> None:
    def read(**options: str) -> WatchOptions | None:
        return watch_options(RunConfig.of({"model": {"name": "m"}, "data": {"name": "d"}, **options}, "test"))

    assert read() is None
    half = read(watch="0.5%")
    assert half == WatchOptions(0.005, 0.1, "")
    assert [half.steps(total) for total in (100, 1000, 40_000)] == [1, 5, 200]
    fixed = read(watch="500", watch_budget="3.5%", stop_when="exposed")
    assert fixed == WatchOptions(500, pytest.approx(0.035), "exposed")
    assert fixed.steps(10) == 500


@pytest.mark.slow
def test_too_few_patients_are_refused_before_the_training(bench: Bench, xrays: Path, tmp_path: Path) -> None:
    few = ("--train-items", 8, "--samples", 60, *WATCH)
    done = bench("run", "--model", REPLAYING, "--data", "cxr-pneumonia", "--root", xrays, "--image-size", 32, *few)
    assert done.returncode != 0
    assert "4 training and 30 held-out patients are too few to watch a training" in done.stderr
    assert not list(tmp_path.glob("runs/**/fit"))


# The watcher of a run


def watcher(path: Path, budget: float, **options: Any) -> RunWatcher:
    rng = np.random.default_rng(0)

    def split(name: str) -> Split:
        names = tuple(f"{name}{number}" for number in range(40))
        pixels = rng.integers(0, 255, (40, 1, 8, 8)).astype(np.uint8)
        return Split(name=name, pixels=pixels, rows=np.arange(40), subjects=names, items=names, channels=("x",))

    sides = split("t"), split("h")
    return RunWatcher(
        WatchOptions(10, budget, ""), lambda: open_watch(*sides, every=1), path / "curve.parquet", lambda text: None
    )


def noise(count: int) -> Any:
    return np.random.default_rng(1).uniform(-1, 1, (count, 1, 8, 8)).astype(np.float32)


def test_a_probe_comes_first_and_is_counted_with_the_first_look(tmp_path: Path) -> None:
    one = watcher(tmp_path, 0.1)
    one.start(0, 100)
    assert one.wanted(9, 100.0) == 0
    assert one.wanted(10, 100.0) == PROBE
    assert one.update(10, noise(PROBE), sampling_seconds=0.16) == {}
    assert not (tmp_path / "curve.parquet").exists()
    assert one.wanted(10, 100.0) == 300
    assert one.update(10, noise(300), sampling_seconds=6.0)["samples"] == 300
    assert pd.read_parquet(tmp_path / "curve.parquet")["sampling_seconds"].tolist() == pytest.approx([6.16])
    assert one.wanted(20, 110.0) == 242  # 11 s in all, 6.16 s spent, 20 ms each
    assert one.wanted(20, 70.0) == 0


def test_what_was_spent_before_a_kill_counts(tmp_path: Path) -> None:
    first = watcher(tmp_path, 0.1)
    first.start(0, 100)
    first.allowance.note(PROBE, 0.16, 0.0)
    first.update(10, noise(300), sampling_seconds=6.0)
    second = watcher(tmp_path, 0.1)
    second.start(15, 100)
    assert second.wanted(20, 110.0) == 250
    assert second.wanted(20, 70.0) == 0
    third = watcher(tmp_path, 0.1)
    third.start(5, 100)
    assert third.watch is not None
    assert third.watch.looks == []


def test_only_looks_after_the_checkpoint_are_made_again(tmp_path: Path) -> None:
    one = watcher(tmp_path, 1e6)
    one.start(0, 100)
    one.allowance.note(PROBE, 0.1, 0.0)
    for step in (10, 20, 30):
        one.update(step, noise(300), sampling_seconds=0.1)
    two = watcher(tmp_path, 1e6)
    two.start(20, 100)
    assert two.watch is not None
    assert [look.step for look in two.watch.looks] == [10, 20]
    assert all(isinstance(look, Look) for look in two.watch.looks)
    assert two.watch.next_step == 30
