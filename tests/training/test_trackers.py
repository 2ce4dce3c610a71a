"""Trackers get scalars and public settings, each step once, and never end a training."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from benchmark.core.errors import MachineError, UsageError
from benchmark.training import trackers
from benchmark.training.log import training_log
from benchmark.training.trackers import Tracked, require_trackers, track, tracker_settings, tracking

Calls = list[tuple[Any, ...]]
SETTINGS = {"model": "ldm", "set.steps": 100}


class Run:
    """The part of a wandb or trackio run that is used."""

    def __init__(self, calls: Calls, name: str) -> None:
        self.calls, self.id = calls, name

    def define_metric(self, pattern: str, **more: Any) -> None:
        self.calls.append(("define", pattern, more))

    def log(self, values: dict[str, float], **more: Any) -> None:
        self.calls.append(("log", values, more))

    def finish(self) -> None:
        self.calls.append(("finish",))


class Client:
    """The part of MLflow's client that is used."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*values: Any, **more: Any) -> Any:
            self.calls.append((name, *values, *([more] if more else [])))
            return SimpleNamespace(info=SimpleNamespace(run_id="r1")) if name == "create_run" else "e1"

        return call


def fake(name: str, calls: Calls) -> ModuleType:
    """A module with the functions of a tracker; what it prints must not reach standard output."""
    module = ModuleType(name)

    def init(**given: Any) -> Run:
        print("syncing")
        calls.append(("init", given))
        return Run(calls, given.get("id") or "w1")

    def client(tracking_uri: str) -> Client:
        calls.append(("client", tracking_uri))
        return Client(calls)

    module.__dict__.update(init=init, Settings=lambda **given: given, MlflowClient=client)
    return module


@pytest.fixture(params=["wandb", "mlflow", "trackio"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def calls(name: str, monkeypatch: pytest.MonkeyPatch) -> Calls:
    made: Calls = []
    monkeypatch.setitem(sys.modules, name, fake(name, made))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


def told(folder: Path) -> Tracked:
    return Tracked("ldm-smoke-0-seed-0", SETTINGS, folder / "trackers")


def sent(calls: Calls) -> list[tuple[str, float, int]]:
    """The numbers that were sent: name, value, step."""
    numbers = []
    for call in calls:
        if call[0] == "log" and "step" in call[2]:
            numbers += [(key, value, call[2]["step"]) for key, value in call[1].items()]
        elif call[0] == "log":
            (step,) = [value for key, value in call[1].items() if key.endswith("/step")]
            numbers += [(key, value, step) for key, value in call[1].items() if not key.endswith("/step")]
        elif call[0] == "log_metric":
            numbers.append((call[2], call[3], call[4]["step"]))
    return numbers


def train(folder: Path, name: str, steps: range, done: int = 0) -> None:
    with tracking([name], told(folder)), training_log(folder, done, label="diffusion") as write:
        for step in steps:
            write(step, loss=1 / step, note="text")


def test_numbers_are_sent_with_their_step_and_text_is_not(name: str, calls: Calls, tmp_path: Path) -> None:
    train(tmp_path, name, range(1, 4))
    assert sent(calls) == [("diffusion/loss", 1.0, 1), ("diffusion/loss", 0.5, 2), ("diffusion/loss", 1 / 3, 3)]
    assert calls[-1][0] in ("finish", "set_terminated")
    assert "note" not in repr(calls)


def test_a_resumed_training_goes_to_the_same_run_and_sends_no_step_twice(
    name: str, calls: Calls, tmp_path: Path
) -> None:
    train(tmp_path, name, range(1, 5))
    first = json.loads((tmp_path / "trackers" / "trackers.json").read_text())
    train(tmp_path, name, range(3, 7), done=2)
    assert [step for _, _, step in sent(calls)] == [1, 2, 3, 4, 5, 6]
    again = json.loads((tmp_path / "trackers" / "trackers.json").read_text())
    assert again["runs"] == first["runs"]
    assert again["sent"] == {"diffusion": 6}
    if name == "wandb":
        assert [call[1]["id"] for call in calls if call[0] == "init"] == [None, "w1"]
    if name == "trackio":
        assert len({call[1]["name"] for call in calls if call[0] == "init"}) == 1
    if name == "mlflow":
        assert [call[0] for call in calls].count("create_run") == 1


def test_nothing_but_public_settings_is_told(name: str, calls: Calls, tmp_path: Path) -> None:
    train(tmp_path, name, range(1, 2))
    if name == "mlflow":
        assert [call for call in calls if call[0] == "create_run"] == [
            ("create_run", "e1", {"run_name": "ldm-smoke-0-seed-0", "tags": {"mlflow.user": "-"}})
        ]
        assert [call[2:] for call in calls if call[0] == "log_param"] == list(SETTINGS.items())
        return
    (given,) = (call[1] for call in calls if call[0] == "init")
    assert given["config"] == SETTINGS
    if name == "wandb":
        off = given["settings"]
        assert all(off[switch] for switch in ("disable_code", "disable_git", "x_disable_meta", "x_disable_stats"))
        assert (off["console"], off["host"], off["username"], off["save_code"]) == ("off", "-", "-", False)
        assert off["x_save_requirements"] is False


def test_what_libraries_print_is_no_part_of_our_output(
    name: str, calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, name, range(1, 2))
    assert capsys.readouterr().out == ""


def test_a_tracker_that_fails_is_left_out_and_the_training_continues(
    calls: Calls, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(trackers.TRACKERS[name], "log", broken)
    with caplog.at_level(logging.WARNING):
        train(tmp_path, name, range(1, 5))
    assert [record.message for record in caplog.records] == [
        f"the tracker {name} failed and is left out from here on: ConnectionError: no route"
    ]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_a_tracker_that_cannot_start_is_an_error(
    calls: Calls, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: Tracked, previous: str | None) -> Any:
        raise RuntimeError("no key")

    monkeypatch.setitem(trackers.TRACKERS, name, refuse)
    with pytest.raises(MachineError) as error:
        train(tmp_path, name, range(1, 2))
    assert str(error.value) == (
        f"the tracker {name} could not be started: RuntimeError: no key\n  hint: see its own documentation "
        "(WANDB_MODE=offline, MLFLOW_TRACKING_URI), or leave it out"
    )


def test_without_trackers_nothing_is_opened(tmp_path: Path) -> None:
    with tracking([], told(tmp_path)):
        track("training", 1, {"loss": 1.0})
    track("training", 2, {"loss": 1.0})
    assert not (tmp_path / "trackers").exists()


def test_names_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None if name == "mlflow" else name)
    require_trackers(["wandb", "trackio"])
    for names, message in {
        ("mlflow",): "the tracker mlflow is not installed\n  hint: pip install mlflow, or leave it out",
        ("wandb", "wandb"): "the tracker wandb was given twice\n  hint: give it once",
        ("wand",): "there is no tracker 'wand'\n  hint: did you mean 'wandb'? known: wandb, mlflow, trackio",
    }.items():
        with pytest.raises(UsageError) as error:
            require_trackers(names)
        assert str(error.value) == message


def test_settings_for_trackers_are_numbers_truth_values_and_text() -> None:
    values = {
        "preset": "smoke",
        "channels": ("t1", "flair"),
        "steps": 10,
        "ema": 0.9,
        "none": None,
        "on": True,
    }
    told = {"preset": "smoke", "channels": "t1,flair", "steps": 10, "ema": 0.9, "on": True}
    assert tracker_settings(values) == told
