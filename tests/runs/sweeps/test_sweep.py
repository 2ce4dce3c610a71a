"""A sweep from axes to states: what is run again, what a stopped sweep keeps, and who may work on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.errors import MachineError, UsageError
from benchmark.core.stages import exclusive
from benchmark.runs.sweeps.axes import Axes, make_axes
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.engines import find_engine
from benchmark.runs.sweeps.estimate import Estimate, fitting_workers, require_disk
from benchmark.runs.sweeps.sweep import Result, require_redo, start_again, sweep, sweep_name

SEEDS = 4


@pytest.fixture
def axes(tmp_path: Path, prepared: dict[str, Any]) -> Axes:
    return make_axes({**prepared, "model": "gaussian", "seed": list(range(SEEDS)), "runs": tmp_path / "runs"}, "test")


class Engine:
    """Ends each cell as `states` says by its seed; `stop` after so many."""

    def __init__(self, *states: str, stop: int = 99) -> None:
        self.states, self.stop = states, stop
        self.ran: list[int] = []

    def __call__(
        self, cells: Sequence[Cell], *, workers: int, fail_fast: bool, tell: Callable[[CellOutcome], None]
    ) -> list[CellOutcome]:
        for cell in cells:
            if len(self.ran) == self.stop:
                raise KeyboardInterrupt
            self.ran.append(cell.config.seed)
            state = self.states[cell.config.seed]
            place = cell.config.runs / "cohort" / "model" / f"seed-{cell.config.seed}"
            tell(CellOutcome(cell, "running", place))
            tell(CellOutcome(cell, state, place, "it diverged" if state == "failed" else "", 1.25))  # type: ignore[arg-type]
        return []


def run(axes: Axes, tmp_path: Path, engine: Engine, redo: str = "failed") -> Result:
    return sweep(axes, tmp_path / "sweeps" / "mine", engine, workers=1, redo=require_redo(redo), log=lambda text: None)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "sweeps" / "mine" / "cells.jsonl").read_text().splitlines()]


def test_states_are_kept_one_line_per_cell(axes: Axes, tmp_path: Path) -> None:
    result = run(axes, tmp_path, Engine("done", "failed", "done", "declined"))
    assert [outcome.state for outcome in result.outcomes] == ["done", "failed", "done", "declined"]
    assert result.failed == 1
    kept = lines(tmp_path)
    assert [line["state"] for line in kept] == ["done", "failed", "done", "declined"]
    assert kept[1]["error"] == "it diverged"
    assert kept[1]["axes"]["seed"] == 1
    assert kept[0]["folder"] == "cohort/model/seed-0"  # below the folder of all runs: it may be moved
    assert kept[0]["seconds"] == 1.25


def test_a_stopped_sweep_keeps_what_ended_and_runs_the_rest(axes: Axes, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(axes, tmp_path, Engine(*["failed"] * SEEDS, stop=2))
    assert [line["state"] for line in lines(tmp_path)] == ["failed", "failed", "planned", "planned"]
    with (tmp_path / "sweeps" / "mine" / "cells.jsonl").open("a") as file:
        file.write('{"key": "cut o')  # a killed process
    missing, failed = Engine(*["done"] * SEEDS), Engine(*["done"] * SEEDS)
    result = run(axes, tmp_path, missing, "missing")
    assert missing.ran == [2, 3]
    assert [outcome.state for outcome in result.outcomes] == ["failed", "failed", "done", "done"]
    assert result.outcomes[0].error == "it diverged"
    run(axes, tmp_path, failed)
    assert failed.ran == [0, 1, 2, 3]  # the fake runs have left no record: only a record is a result


def test_two_processes_do_not_run_one_sweep(axes: Axes, tmp_path: Path) -> None:
    with exclusive(tmp_path / "sweeps" / "mine"), pytest.raises(MachineError) as error:
        run(axes, tmp_path, Engine())
    assert error.value.message == f"another process is working on {tmp_path / 'sweeps' / 'mine'}"


def test_starting_again_empties_a_run_folder_that_nobody_works_on(tmp_path: Path) -> None:
    folder = tmp_path / "seed-0"
    (folder / "fit" / "model").mkdir(parents=True)
    (folder / "status.json").write_text("{}")
    with exclusive(folder), pytest.raises(MachineError):
        start_again(folder)
    assert (folder / "status.json").exists()
    start_again(folder)
    assert {path.name for path in folder.iterdir()} <= {".lock"}
    start_again(tmp_path / "nothing")


def test_the_name_of_a_sweep_follows_from_its_axes() -> None:
    base = {"model": ["vae", "ldm"], "data": "phantom-mr"}
    one, same, other = (
        sweep_name(make_axes({**base, **more}, "x")) for more in ({"seed": 1}, {"seed": [1]}, {"seed": 2})
    )
    assert one == same != other
    assert one.startswith("vae-and-1-more-phantom-mr-")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("slurm", {}), "there is no engine 'slurm'\n  hint: choose local or ray"),
        (("local", {"address": "ray://x"}),
         "--address is for a Ray cluster, and the engine is local\n  hint: give --engine ray, or leave it out"),
        (("local", {"processes": 2}),
         "--processes is for a Ray cluster, and the engine is local\n  hint: give --engine ray, or leave it out"),
        (("local", {"cpus": 2}),
         "--cpus is for a Ray cluster, and the engine is local\n  hint: give --engine ray, or leave it out"),
        (("ray", {"processes": 0}), "--processes is 0, and training needs a process\n  hint: give 1 or more"),
        (("ray", {"cpus": 0}), "--cpus is 0, and a process needs a part of a core\n  hint: give a number above 0"),
        (("ray", {"cpus": float("nan")}),
         "--cpus is nan, and a process needs a part of a core\n  hint: give a number above 0"),
    ],
)  # fmt: skip
def test_engines_that_do_not_fit_are_refused(given: tuple[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(UsageError) as error:
        find_engine(given[0], **given[1])
    assert str(error.value) == message


def test_an_unknown_redo_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        require_redo("none")
    assert str(error.value) == "--redo none is not known\n  hint: choose one of missing, failed, all"


def test_a_sweep_that_does_not_fit_on_the_disk_is_refused(tmp_path: Path) -> None:
    require_disk(Estimate(1, 0, 1, 10), [tmp_path / "not" / "yet"])
    with pytest.raises(MachineError) as error:
        require_disk(Estimate(1, 0, 1, 2**60), [tmp_path / "runs"])
    assert error.value.message.startswith("the sweep needs about 1073741824.0 GiB, and ")
    assert error.value.hint == "free some space (`bench runs gc` says what may go), or give another --runs"


def test_memory_bounds_the_cells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_AVPHYS_PAGES": 5 * 2**20, "SC_PAGE_SIZE": 4096}  # 20 GiB
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert fitting_workers(None, Estimate(1, 0, 6 * 2**30, 1), cores=16, gpus=0) == 3
    assert fitting_workers(None, Estimate(1, 2, 2**20, 1), cores=16, gpus=0) == 10  # unknown ones take 2 GiB
    assert fitting_workers(None, Estimate(1, 0, 2**20, 1), cores=16, gpus=2) == 2
    assert fitting_workers(None, Estimate(1, 0, 2**40, 1), cores=16, gpus=0) == 1
    assert fitting_workers(7, Estimate(1, 0, 2**40, 1), cores=16, gpus=0) == 7
    assert fitting_workers(7, Estimate(1, 0, 2**40, 1), cores=16, gpus=0, cluster=True) == 7
    # What a cluster has is not what this machine has: 0 is as many as it has room for.
    assert fitting_workers(None, Estimate(1, 0, 2**40, 1), cores=16, gpus=0, cluster=True) == 0


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("cluster", [False, True])
def test_no_workers_are_refused(count: int, cluster: bool) -> None:
    with pytest.raises(UsageError) as error:
        fitting_workers(count, Estimate(1, 0, 1, 1), cores=16, gpus=0, cluster=cluster)
    assert str(error.value) == f"--workers is {count}\n  hint: give at least 1, or leave it out"
