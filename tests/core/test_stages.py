"""Stages of a run: what is skipped, what is done again, what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.errors import AdapterError, MachineError
from benchmark.core.stages import Stages, exclusive

HOLD = """
import sys, pathlib
from benchmark.core.stages import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Run:
    """A run folder whose stage `fit` writes a file and counts how often it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said, self.worked = folder, list[str](), 0
        self.stages = Stages(folder, self.said.append)

    def work(self) -> dict[str, Any]:
        self.worked += 1
        (self.folder / "fit").mkdir(exist_ok=True)
        (self.folder / "fit" / f"made-{self.worked}").touch()
        return {"items": 3}

    def fit(self, key: str, *, owns: str = "fit") -> bool:
        return self.stages.run("fit", key, self.work, owns=owns)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "fit").iterdir())

    def entry(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "status.json").read_text())["fit"])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def fail(run: Run, key: str, error: BaseException) -> None:
    """A stage that wrote something and then failed, as `benchmark.runs.run` treats it."""

    def work() -> dict[str, Any]:
        run.work()
        raise error

    with pytest.raises(type(error)):
        run.stages.run("fit", key, work, owns="fit")
    run.stages.fail(error)


# Skipped, or done


def test_a_new_run_has_an_empty_status(run: Run) -> None:
    assert run.stages.status() == {}
    assert not run.stages.finished("fit", "k")
    assert run.stages.facts("fit") == {}


def test_a_finished_stage_is_skipped(run: Run) -> None:
    assert run.fit("k") is False
    assert run.fit("k") is True
    assert run.worked == 1
    assert run.said == ["fit: done in 0 s", "fit: cached"]
    seconds = run.entry()["seconds"]
    assert 0 <= seconds < 1
    assert run.entry() == run.stages.facts("fit") == {"state": "done", "key": "k", "seconds": seconds, "items": 3}


def test_another_process_finds_it_finished(run: Run) -> None:
    run.fit("k")
    assert Run(run.folder).fit("k") is True


def test_a_changed_key_empties_the_owned_folder(run: Run) -> None:
    run.fit("k")
    (run.folder / "samples").mkdir()
    (run.folder / "samples" / "other").touch()
    assert run.fit("changed") is False
    assert run.files() == ["made-2"]
    assert (run.folder / "samples" / "other").exists()
    assert run.entry()["key"] == "changed"
    assert not run.stages.finished("fit", "k")


def test_a_stage_that_owns_nothing_removes_nothing(run: Run) -> None:
    run.fit("k", owns="")
    run.fit("changed", owns="")
    assert run.files() == ["made-1", "made-2"]


def test_files_of_an_unknown_origin_are_removed(run: Run) -> None:
    (run.folder / "fit").mkdir()
    (run.folder / "fit" / "stale").touch()
    run.fit("k")
    assert run.files() == ["made-1"]


def test_stages_do_not_touch_each_other(run: Run) -> None:
    run.fit("k")
    run.stages.run("sample", "s", lambda: {"drawn": 5})
    assert run.stages.finished("fit", "k")
    assert run.stages.finished("sample", "s")
    assert run.stages.facts("sample")["drawn"] == 5
    run.stages.run("sample", "t", dict)
    assert run.fit("k") is True


# Cut off, or failed


def test_a_running_stage_is_marked_before_it_works(run: Run) -> None:
    seen = []
    run.stages.run("fit", "k", lambda: seen.append(run.entry()) or {})  # type: ignore[func-returns-value]
    assert seen == [{"state": "running", "key": "k"}]


def test_a_stage_that_was_killed_goes_on_where_it_was(run: Run) -> None:
    run.stages.begin("fit", "k", "fit")
    run.work()
    assert run.entry()["state"] == "running"
    assert run.fit("k") is False
    assert run.files() == ["made-1", "made-2"]


def test_a_stage_that_was_killed_with_another_key_starts_again(run: Run) -> None:
    run.stages.begin("fit", "k", "fit")
    run.work()
    run.fit("changed")
    assert run.files() == ["made-2"]


def test_a_failed_stage_keeps_reason_and_files(run: Run) -> None:
    run.stages.run("prepare", "p", dict)
    fail(run, "k", AdapterError("the loss is not finite", "lower the rate"))
    assert run.entry() == {
        "state": "failed",
        "key": "k",
        "error": "AdapterError: the loss is not finite\n  hint: lower the rate",
    }
    assert run.stages.finished("prepare", "p")
    assert run.files() == ["made-1"]
    assert run.fit("k") is False
    assert run.files() == ["made-1", "made-2"]
    assert "error" not in run.entry()


def test_a_failure_before_any_stage_writes_no_stage(run: Run) -> None:
    run.stages.fail(ValueError("x"))
    assert run.stages.status() == {}


# One process at a time


def test_two_processes_on_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "seed-0"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(MachineError) as error, exclusive(folder):
        pass
    assert str(error.value) == (
        f"another process is working on {folder}\n  hint: wait for it, or choose another --seed or --runs"
    )
    holder.kill()  # a killed process holds nothing
    holder.wait()
    with exclusive(folder):
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), exclusive(tmp_path):
        raise ValueError("x")
    with exclusive(tmp_path):
        pass
