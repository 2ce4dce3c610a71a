"""Stages of a run: what is skipped, what is done again, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.core import interrupt, stages
from benchmark.core.errors import AdapterError, BadDataError, DamagedError, MachineError
from benchmark.core.sealed import seal, sealed_write, write_sealed_json
from benchmark.core.stages import Stages, exclusive, read_status, require_entered

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
        with sealed_write(self.folder / "fit" / f"made-{self.worked}") as temporary:
            temporary.write_text(f"made {self.worked}")
        return {"items": 3}

    def fit(self, key: str, *, owns: str = "fit") -> bool:
        return self.stages.run("fit", key, self.work, owns=owns, outputs=("fit/*",))

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "fit").iterdir() if not path.name.startswith("."))

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
    assert run.entry() == run.stages.facts("fit") == {
        "state": "done", "key": "k", "seconds": seconds, "items": 3, "patterns": ["fit/*"],
        "outputs": {"fit/made-1": hashlib.sha256(b"made 1").hexdigest()},
    }  # fmt: skip


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
    assert [(entry["state"], entry["key"]) for entry in seen] == [("running", "k")]


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
    entry = run.entry()
    assert (entry["state"], entry["key"]) == ("failed", "k")
    assert entry["error"] == "AdapterError: the loss is not finite\n  hint: lower the rate"
    assert run.stages.finished("prepare", "p")
    assert run.files() == ["made-1"]
    assert run.fit("k") is False
    assert run.files() == ["made-1", "made-2"]
    assert "error" not in run.entry()


def test_a_failure_before_any_stage_writes_no_stage(run: Run) -> None:
    run.stages.fail(ValueError("x"))
    assert run.stages.status() == {}


# What changed between two calls


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def remove(path: Path) -> None:
    path.unlink()


def add(path: Path) -> None:
    path.with_name("stray").touch()


@pytest.mark.parametrize(("damage", "named"), [(flip, "made-1"), (remove, "made-1"), (add, "stray")])
def test_a_changed_output_runs_the_stage_again(run: Run, damage: Callable[[Path], None], named: str) -> None:
    run.fit("k")
    damage(run.folder / "fit" / "made-1")
    assert run.fit("k") is False
    assert run.said[1] == f"{run.folder / 'fit' / named} is not what fit wrote: the stage runs again"
    assert run.worked == 2


def test_an_output_that_was_sealed_again_by_another_program_is_seen(run: Run) -> None:
    run.fit("k")
    with sealed_write(run.folder / "fit" / "made-1") as temporary:
        temporary.write_text("of another run")
    assert run.fit("k") is False
    assert run.files() == ["made-2"], "a stage that finds its own files keeps them"


@pytest.mark.parametrize("content", [None, '{"fit": {"state": "done", "key": "k"}}', "{"])
def test_a_changed_status_costs_no_files(run: Run, content: str | None) -> None:
    run.fit("k")
    if content is None:
        (run.folder / "status.json").unlink()
    else:
        (run.folder / "status.json").write_text(content)
    run.said.clear()
    assert run.fit("k") is False
    assert run.files() == ["made-1", "made-2"]
    path = run.folder / "status.json"
    told = [f"{path} has changed since it was written: every stage is looked at again"] if content else []
    assert sorted(set(run.said)) == sorted([*told, "fit: done in 0 s"])


def test_seconds_add_up_over_interruptions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(stages.time, "time", lambda: clock[0])
    run.stages.begin("fit", "k", "fit")
    run.work()
    os.utime(run.folder / "fit" / "made-1", (1000, 1007))  # killed: its last file is of 7 s after its start
    for path in (run.folder / "status.json", *(run.folder / "fit").glob(".*")):
        os.utime(path, (1000, 1000))
    run.stages.begin("fit", "k", "fit")
    assert run.entry()["before"] == 7
    clock[0] = 1004.0
    run.stages.fail(ValueError("x"))
    assert run.entry()["seconds"] > 10.9
    run.fit("k")
    assert 10.9 < run.entry()["seconds"] < 12
    assert run.fit("other") is False
    assert run.entry()["seconds"] < 1


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


def test_a_signal_is_no_failure_and_a_swallowed_one_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Stages(tmp_path, lambda text: None)

    def work() -> dict[str, Any]:
        monkeypatch.setattr(interrupt, "_received", 2)  # a training loop that ends early at Ctrl-C, and returns
        return {}

    with pytest.raises(interrupt.Interrupted) as stopped:
        own.run("fit", "key", work)
    own.fail(stopped.value)
    assert own.facts("fit")["state"] == "interrupted"
    assert "error" not in own.facts("fit")


def test_a_status_that_cannot_be_written_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    own = Stages(tmp_path, told.append)
    own.begin("fit", "key", "")

    def full(path: Path, value: object) -> None:
        raise MachineError(f"the disk is full: {path} could not be written", "free some space")

    monkeypatch.setattr("benchmark.core.stages.write_sealed_json", full)
    own.fail(ValueError("the first error"))
    where = f"{tmp_path}/status.json"
    (line,) = told
    assert line == f"{where} does not say how this run ended: the disk is full: {where} could not be written"


# Replaced by others, digests included


def replace(path: Path, text: str) -> None:
    """As another process does it that knows the code: the digest next to a file belongs to its new content."""
    path.write_text(text)
    path.with_name(f".{path.name}.seal").write_text(hashlib.sha256(text.encode()).hexdigest())


def test_an_output_that_was_replaced_while_its_stage_ran_is_not_what_the_stage_wrote(tmp_path: Path) -> None:
    with exclusive(tmp_path) as lock:
        stages = Stages(tmp_path, lambda text: None, lock)

        def sample() -> dict[str, int]:
            for name in ("chunk-0", "chunk-1"):
                with sealed_write(tmp_path / "samples" / name) as part:
                    part.write_text(name)
                replace(tmp_path / "samples" / "chunk-0", "copies no more")
            return {}

        stages.run("sample", "k", sample, owns="samples", outputs=("samples/*",))
        assert not stages.finished("sample", "k")
        assert stages.require("sample", "samples/chunk-1").read_text() == "chunk-1"
        with pytest.raises(DamagedError) as refused:
            stages.require("sample", "samples/chunk-0", "run it again")
    place = tmp_path / "samples" / "chunk-0"
    assert str(refused.value) == (f"{place} is not what sample wrote: something has replaced it\n  hint: run it again")


def test_a_status_that_was_replaced_counts_for_nothing_while_the_folder_is_locked(tmp_path: Path) -> None:
    with exclusive(tmp_path) as lock:
        stages = Stages(tmp_path, lambda text: None, lock)
        stages.adopt("fit", {"state": "done", "key": "k"})
        replace(tmp_path / "status.json", '{"fit": {"state": "done", "key": "other"}}')
        assert stages.finished("fit", "k")
        stages.adopt("sample", {"state": "done", "key": "s"})
    assert Stages(tmp_path, lambda text: None).facts("fit")["key"] == "k"


def test_a_file_of_a_run_has_the_digest_in_its_status(tmp_path: Path) -> None:
    path, stages = tmp_path / "record.json", Stages(tmp_path, lambda text: None)
    write_sealed_json(path, {"excess": 0.3})
    assert require_entered(path, "") == path, "a file alone has no status"
    stages.enter("record", "record.json")
    assert require_entered(path, "") == path
    write_sealed_json(path, {"excess": 0.0})
    with pytest.raises(DamagedError) as refused:
        require_entered(path, "evaluate again")
    assert str(refused.value) == (
        f"{path} is not what its run wrote: status.json has another digest of it\n  hint: evaluate again"
    )
    with pytest.raises(DamagedError) as refused:
        require_entered(tmp_path / "status.json", "evaluate again")
    assert refused.value.message.endswith("status.json has no digest of it")


@pytest.mark.parametrize("status", [
    [], None, "done", {"fit": []}, {"fit": {"state": 1}}, {"fit": {"outputs": ["a"]}}, {"fit": {"outputs": {"a": 1}}},
    {"fit": {"seconds": "long"}}, {"fit": {"key": None}}, {"sample": {"count": "many"}},
])  # fmt: skip
def test_a_status_of_another_shape_is_named_and_every_stage_runs_again(tmp_path: Path, status: Any) -> None:
    path, said = tmp_path / "status.json", list[str]()
    path.write_text(json.dumps(status))
    seal(path)
    with pytest.raises(BadDataError) as refused:
        read_status(path)
    assert str(path) in refused.value.message
    assert Stages(tmp_path, said.append).status() == {}
    assert said == [f"{refused.value.message}: every stage is looked at again"]
