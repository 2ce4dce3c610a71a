"""Run folders on a disk: what is listed, and what may be removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.core.errors import MachineError, UsageError
from benchmark.core.sealed import sealed_write, write_sealed_json
from benchmark.core.stages import Stages, exclusive
from benchmark.runs.config import RunConfig
from benchmark.runs.inventory import (
    is_locked,
    list_runs,
    part_bytes,
    read_entry,
    removable,
    remove,
    remove_runs,
    run_folders,
)

DONE = {name: {"state": "done", "key": "k", "seconds": 1.0} for name in ("fit", "sample", "evaluate")}


def make_run(root: Path, name: str, status: dict[str, Any], *, record: bool = False) -> Path:
    folder = root / "cohort" / name / "seed-0"
    config = {"model": {"name": "vae"}, "data": {"name": "openi"}, "cache": root / "cache", "seed": 0}
    folder.mkdir(parents=True)
    with sealed_write(folder / "run.toml") as temporary:
        RunConfig.of(config, "test").write(temporary)
    write_sealed_json(folder / "status.json", status)
    (folder / "fit" / "training").mkdir(parents=True)
    (folder / "fit" / "training" / "training.pt").write_bytes(b"x" * 1000)
    (folder / "samples").mkdir()
    (folder / "samples" / "chunk-00000.npy").write_bytes(b"x" * 300)
    if record:
        write_sealed_json(folder / "record.json", {"hashes": {"cohort": "abc"}})
        Stages(folder, print).enter("record", "record.json")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_run(tmp_path, "done", DONE, record=True)
    make_run(tmp_path, "failed", {"fit": {"state": "failed", "error": "AdapterError: the loss is not finite"}})
    make_run(tmp_path, "half", {"fit": DONE["fit"]})
    make_run(tmp_path, "declined", {"fit": {"state": "failed", "error": "DeclinedError: no checkout"}}, record=True)
    return tmp_path


def test_damaged_runs_are_listed_with_the_others(root: Path) -> None:
    """A run of an earlier version has no digests; an edited one does not fit its own."""
    status, config = (root / "cohort" / name / "seed-0" for name in ("done", "failed"))
    (status / "status.json").write_text("{")
    (config / ".run.toml.seal").unlink()
    entries = {entry.folder.parent.name: entry for entry in list_runs(root)}
    assert (entries["done"].state, entries["half"].state) == ("damaged", "unfinished")
    assert entries["done"].error == f"{status / 'status.json'} has changed since it was written"
    assert entries["failed"].config is None
    assert entries["failed"].error == "AdapterError: the loss is not finite"
    remove_runs([status, config], root)
    assert len(list_runs(root)) == 2


def test_a_run_whose_record_readers_refuse_is_not_said_to_be_done_and_is_kept(root: Path) -> None:
    done = root / "cohort" / "done" / "seed-0"
    write_sealed_json(done / "record.json", {"hashes": {"cohort": "another"}})  # with a digest next to it
    entry = read_entry(done)
    assert (entry.state, entry.error) == (
        "damaged", f"{done / 'record.json'} is not what its run wrote: status.json has another digest of it"
    )  # fmt: skip
    assert not [one for one in removable(root, root / "cache") if one.path.is_relative_to(done)]


def test_runs_are_listed_with_state_and_size(root: Path) -> None:
    entries = {entry.folder.parent.name: entry for entry in list_runs(root)}
    assert {name: entry.state for name, entry in entries.items()} == {
        "declined": "declined", "done": "done", "failed": "failed", "half": "unfinished",
    }  # fmt: skip
    assert entries["failed"].error == "AdapterError: the loss is not finite"
    assert entries["done"].bytes == sum(path.stat().st_size for path in entries["done"].folder.rglob("*.*"))
    parts = part_bytes(entries["done"].folder)
    assert (parts["fit"], parts["samples"], parts["figures"]) == (1000, 300, 0)
    assert sum(parts.values()) == entries["done"].bytes
    assert list(run_folders(entries["done"].folder)) == [entries["done"].folder]


def test_a_folder_that_is_no_run_is_refused(root: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_entry(root / "cohort")
    assert error.value.message == f"{root / 'cohort'} is not a run folder: it has no run.toml"


def test_a_run_that_a_process_works_on_is_not_removed(root: Path) -> None:
    done, half = root / "cohort" / "done" / "seed-0", root / "cohort" / "half" / "seed-0"
    with exclusive(half):
        assert is_locked(half)
        assert read_entry(half).state == "running"
        with pytest.raises(MachineError) as error:
            remove_runs([done, half], root)
        assert str(error.value) == f"a process is working on {half}\n  hint: stop it first, or wait for it"
        assert done.exists()  # all or none
        assert half not in [entry.path for entry in removable(root, root / "cache")]
    assert not is_locked(half)
    remove_runs([done, half], root)
    assert not done.parent.exists()
    assert (root / "cohort" / "failed").exists()


def test_what_may_go_is_said_with_the_reason_and_removed(root: Path) -> None:
    cache = root / "cache"
    for name in ("cohorts/openi-1", "cohorts/phantom-mr-2", "detectors/phantom-mr-copy-3"):
        (cache / name).mkdir(parents=True)
        (cache / name / "pixels.npy").write_bytes(b"x" * 10)
    place = root / "cohort"
    entries = removable(root, cache)
    assert [(entry.path, entry.why, entry.bytes >= 10) for entry in entries] == [
        (place / "failed" / "seed-0", "failed run: it would resume", True),
        (place / "half" / "seed-0", "unfinished run: it would resume", True),
        (place / "done" / "seed-0" / "fit" / "training" / "training.pt", "checkpoint of a finished training", True),
        # openi is not on this machine: whether its run uses the cache cannot be told, so that it stays
        (cache / "cohorts" / "phantom-mr-2", "cache that no run here uses; it would be made again", True),
        (cache / "detectors" / "phantom-mr-copy-3", "cache that no run here uses; it would be made again", True),
    ]
    for entry in entries:
        remove(entry, root)
    assert removable(root, cache) == []
    assert (cache / "cohorts" / "openi-1").exists()
    assert (place / "done" / "seed-0" / "record.json").exists()
    assert sorted(path.name for path in place.iterdir()) == ["declined", "done"]
