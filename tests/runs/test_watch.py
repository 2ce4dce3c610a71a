"""`bench run --watch`: the curve, the early end, exact resume, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Bench
from safetensors.torch import load_file
from test_run import record_of

from benchmark.adapters.weights import WEIGHTS
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import read_json
from benchmark.core.stages import Stages
from benchmark.core.types import Split
from benchmark.evaluation import watch_plan
from benchmark.evaluation.watch import Look, open_watch
from benchmark.evaluation.watch_plan import PROBE
from benchmark.runs import run as run_module
from benchmark.runs.config import Resolved, RunConfig, resolve
from benchmark.runs.run_folders import run_folder
from benchmark.runs.run_record import protocol_of, public_spec
from benchmark.runs.watch_options import WatchOptions, watch_options
from benchmark.runs.watching import RunWatcher, few_looks

REPLAYING = f"{Path(__file__).parent / 'replaying_model.py'}:Replaying"
WATCH = {"watch": "10", "watch_budget": "100000%"}
CLOCKS = ["sampling_seconds", "search_seconds"]


@dataclass
class Fitted:
    """A run up to its samples, in this process."""

    folder: Path
    resolved: Resolved
    said: list[str]

    @property
    def curve(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "curve.parquet")

    @property
    def weights(self) -> dict[str, Any]:
        return load_file(self.folder / "fit" / "model" / WEIGHTS)

    @property
    def fit_key(self) -> str:
        return str(read_json(self.folder / "status.json")["fit"]["key"])

    def same_weights(self, other: Fitted) -> bool:
        return all(torch.equal(value, other.weights[name]) for name, value in self.weights.items())


Fit = Callable[..., Fitted]


@pytest.fixture
def fit(xrays: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Train the replaying model and draw its samples; toy trainings are over in the time of a few comparisons."""
    monkeypatch.setattr(watch_plan, "SEARCH_SHARE", 1e9)
    cache = tmp_path_factory.getbasetemp() / "cache"

    def call(runs: str = "runs", **options: Any) -> Fitted:
        data = {"name": "cxr-pneumonia", "root": str(xrays), "image_size": 32}
        values = {"model": {"name": REPLAYING}, "data": data, "samples": 60, "cache": cache, "device": "cpu"}
        resolved = resolve(RunConfig.of({**values, "runs": tmp_path / runs, **options}, "test"))
        said: list[str] = []
        cohort = run_module.open_split(resolved, said.append)
        run_module._require_watch_power(resolved, cohort)
        folder = run_folder(resolved, cohort)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run_module._fit_and_sample(resolved, cohort, Stages(folder, said.append))
        finally:
            resolved.model_class.end()
        return Fitted(folder, resolved, said)

    return call


def test_a_watched_run_has_a_curve_and_the_same_weights(fit: Fit) -> None:
    plain, watched = fit("plain"), fit(**WATCH)
    assert not (plain.folder / "curve.parquet").exists()
    assert plain.same_weights(watched)
    curve = watched.curve
    assert curve["step"].tolist() == [10, 20, 30, 40, 50, 60, 70, 73, 83, 93, 103, 114]
    assert curve["look"].tolist() == list(range(1, 13))
    assert curve["exposed"].tolist() == [step > 60 for step in curve["step"]]
    sentences = [line for line in watched.said if line.startswith("watch, ")]
    assert len(sentences) == 12
    assert sentences[0].startswith("watch, step 10: no patient shown to be exposed by 300 samples (0 to ")
    log = [json.loads(line) for line in (watched.folder / "fit/training/log.jsonl").read_text().splitlines()]
    name = "watch/exposed_patients_sure"
    logged = {line["step"]: line[name] for line in log if name in line}
    assert logged == dict(zip(curve["step"], curve["exposed_patients_sure"], strict=True))
    assert plain.fit_key == watched.fit_key
    assert plain.folder.name == watched.folder.name
    assert protocol_of(watched.resolved) == "p2"
    assert "watch" not in public_spec(watched.resolved).settings


def test_it_stops_at_the_onset_and_keeps_the_model_from_before(fit: Fit) -> None:
    stopped, whole = fit(**WATCH, stop_when="exposed"), fit(**WATCH)
    assert stopped.curve["step"].tolist() == [10, 20, 30, 40, 50, 60, 70, 73]
    assert int(stopped.weights["seen"]) == 60
    assert int(whole.weights["seen"]) == 120
    assert stopped.folder != whole.folder
    assert stopped.fit_key != whole.fit_key
    assert protocol_of(stopped.resolved) == "custom"
    spec = public_spec(stopped.resolved)
    assert {name: spec.changed[name] for name in ("stop_when", "watch")} == {"stop_when": "exposed", "watch": "10"}
    assert spec.settings["stop_when"] == "exposed"
    other = fit(**{**WATCH, "watch": "20"}, stop_when="exposed")
    assert int(other.weights["seen"]) == 60
    assert other.folder != stopped.folder


@pytest.mark.parametrize("stop", [None, "exposed"])
def test_a_killed_run_continues_its_curve(fit: Fit, stop: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_STEPS", "25")
    whole = fit("whole", **WATCH, stop_when=stop)
    monkeypatch.setenv("INTERRUPT_AT", "73")
    with pytest.raises(AdapterError, match=r"replaying failed in fit: InterruptedTraining: "):
        fit("cut", **WATCH, stop_when=stop)
    monkeypatch.delenv("INTERRUPT_AT")
    (curve,) = whole.folder.parents[3].glob("cut/**/curve.parquet")
    assert pd.read_parquet(curve)["step"].max() == 70  # later than the last checkpoint, of step 50
    cut = fit("cut", **WATCH, stop_when=stop)
    pd.testing.assert_frame_equal(whole.curve.drop(columns=CLOCKS), cut.curve.drop(columns=CLOCKS))
    assert whole.same_weights(cut)


def test_a_new_training_without_watch_removes_the_old_curve(fit: Fit) -> None:
    watched = fit(**WATCH)
    assert (watched.folder / "curve.parquet").exists()
    (watched.folder / "status.json").write_text("{}")
    fit()
    assert not (watched.folder / "curve.parquet").exists()
    late = fit(**WATCH)
    assert late.said[-3:] == [
        "fit: cached",
        "watch: no look was made, since the model was trained before, or --watch-budget was too small",
        "sample: cached",
    ]  # fmt: skip


def test_too_few_patients_are_refused_before_the_training(fit: Fit, xrays: Path, tmp_path: Path) -> None:
    data = {"name": "cxr-pneumonia", "root": str(xrays), "image_size": 32, "train_items": 2}
    with pytest.raises(UsageError) as error:
        fit(**WATCH, data=data)
    assert error.value.message == (
        "1 training and 30 held-out patients are too few to watch a training: even if every patient were copied, no "
        "look could show it"
    )
    assert not list(tmp_path.glob("runs/**/fit"))


@pytest.mark.slow
def test_from_the_command_line_to_a_record(run: Bench, tmp_path: Path) -> None:
    options = ("--watch", 10, "--watch-budget", "100000%", "--stop-when", "exposed")
    done = run("--samples", 300, *options, model=REPLAYING)
    record = record_of(done, tmp_path)
    assert "watch, step 73: at least " in done.stderr
    assert "training patients are exposed; the network of step 60 is kept" in done.stderr
    assert record.scores["exposed.patients[pixels]"].low == 0
    assert (record.protocol, record.spec.changed["stop_when"]) == ("custom", "exposed")


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"watch": "5%", "model": {"name": "copycat"}},
            (
                "--watch does not work with copycat: it draws no samples while it trains\n  hint: leave it out; a "
                "training loop of your own can use memobench.watch (docs/watching.md)"
            ),
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


def test_too_few_looks_are_told(tmp_path: Path) -> None:
    one = watcher(tmp_path, 1e6)
    said: list[str] = []
    one.log = said.append
    one.start(0, 100)
    assert said == [
        "watch: next look at step 10 of 100; copies of 10 patients among its 300 samples are certain to be seen"
    ]
    one.allowance.note(PROBE, 0.1, 0.0)
    one.update(10, noise(300), sampling_seconds=0.1)
    assert few_looks(one.path) == (
        "watch: one look only, and an onset takes two: raise --watch-budget, or lower the interval"
    )
    one.update(20, noise(300), sampling_seconds=0.1)
    assert few_looks(one.path) == ""


def test_a_budget_that_is_too_small_is_told_at_the_first_look(tmp_path: Path) -> None:
    sentence = (
        "watch: a sample takes 1 s, so that fewer than 2 looks fit into --watch-budget 10% of about 400 s; one full "
        "look takes 75 %"
    )
    for budget, told in ((0.1, True), (0.8, False)):
        one, said = watcher(tmp_path, budget), list[str]()
        one.start(0, 100)
        one.log = said.append
        assert one.wanted(10, 40.0) == PROBE
        one.update(10, noise(PROBE), sampling_seconds=8.0)
        assert said == told * [sentence]
        assert one.wanted(10, 40.0) == 0


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
