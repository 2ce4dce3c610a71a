"""The local engine with cells that end, fail, are killed or never end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep_work import work

from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.local import Queue, needs, run_cells

HERE = Path(__file__).parents[1]


def cell(index: int, does: str, folder: Path, seed: int = 0, items: int = 10) -> Cell:
    config = RunConfig.of(
        {"model": {"name": "vae"}, "data": {"name": "phantom-mr", "train_items": items}, "runs": folder, "seed": seed,
         "device": "cpu"}, "test",
    )  # fmt: skip
    return Cell(index, {"does": does}, config)


def cells(folder: Path, *does: str) -> list[Cell]:
    return [cell(index, what, folder, seed=index) for index, what in enumerate(does)]


def starts(folder: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in sorted(folder.glob("started-*"))]


def test_killed_cells_are_started_again_and_all_outcomes_are_told_once(tmp_path: Path) -> None:
    told: list[CellOutcome] = []
    planned = cells(tmp_path, "ends", "dies once", "fails", "dies", "exits", "ends")
    outcomes = run_cells(planned, workers=3, fail_fast=False, tell=told.append, work=work)
    assert [outcome.cell.index for outcome in outcomes] == list(range(6))
    assert [(outcome.state, outcome.error) for outcome in outcomes] == [
        ("done", ""),
        ("done", ""),
        ("failed", "the loss is not finite"),
        ("failed", ("the process of this cell was ended by SIGKILL, 3 times: often too little memory, then use fewer "
         "--workers")),
        ("failed", "the process of this cell ended with exit code 7 before its work was done, 3 times"),
        ("done", ""),
    ]  # fmt: skip
    assert starts(tmp_path) == [1, 2, 1, 3, 3, 1]
    final = [outcome.cell.index for outcome in told if outcome.state != "running"]
    assert sorted(final) == list(range(6))
    assert [outcome.folder for outcome in told if outcome.state == "running" and outcome.cell.index == 0] == [
        None,
        tmp_path,
    ]
    assert "cell 0 ends\n" in (tmp_path / "run.log").read_text()  # what a cell prints is in its log


def test_fail_fast_starts_nothing_more_and_ends_what_runs(tmp_path: Path) -> None:
    planned = cells(tmp_path, "sleeps", "fails beside cell 0", "ends", "ends")
    started = time.monotonic()
    outcomes = run_cells(planned, workers=2, fail_fast=True, tell=lambda outcome: None, work=work)
    assert time.monotonic() - started < 300
    assert [outcome.state for outcome in outcomes] == ["skipped", "failed", "skipped", "skipped"]
    assert outcomes[0].error == "not run: the sweep stopped at the first failure"
    assert len(starts(tmp_path)) == 2


def test_cores_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    run_cells(cells(tmp_path, "ends"), workers=3, fail_fast=False, tell=lambda outcome: None, work=work)
    assert (tmp_path / "started-0").read_text() == "2\n"  # 8 cores for 3 cells
    assert os.environ["OMP_NUM_THREADS"] == "1"  # and as it was in this process


def test_cells_of_one_training_do_not_run_side_by_side() -> None:
    """Three seeds with two numbers of samples each, of two training sizes."""
    folder = Path("runs")
    planned = [cell(4 * size + 2 * seed + number, "ends", folder, seed, 10 + size)
               for size in range(2) for seed in range(2) for number in range(2)]  # fmt: skip
    queue = Queue(list(reversed(planned)))
    first = queue.take([])
    assert first is not None
    second = queue.take([first])
    assert second is not None
    assert (first.index, second.index) == (0, 4)  # another training of another cohort
    third = queue.take([first, second])
    assert third is not None
    assert third.index == 2  # the cohort's detector is being made, the training is its own
    fourth = queue.take([first, second, third])
    assert fourth is not None
    assert fourth.index == 6
    assert queue.take([first, second, third, fourth]) is None  # every training is being made: waiting costs nothing
    queue.made.update(needs(first))
    fifth = queue.take([second, third, fourth])
    assert fifth is not None
    assert fifth.index == 1


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}]
from test_local import cells
from sweep_work import work
from benchmark.core.interrupt import listen
from benchmark.runs.sweeps.local import run_cells

if __name__ == "__main__":
    listen()
    run_cells(cells(Path({folder!r}), "sleeps", "sleeps"), workers=2, fail_fast=False, tell=print, work=work)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_driver(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(here=str(HERE), tests=str(Path(__file__).parent), folder=str(tmp_path)))
    driver = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(starts(tmp_path)) == 2)
    below = children(driver.pid)
    assert len(below) >= 2
    driver.send_signal(number)
    assert driver.wait(timeout=600) != 0
    wait_until(lambda: not any(alive(process) for process in below))


def test_ctrl_c_while_cells_are_starting_shows_no_stack_trace(tmp_path: Path) -> None:
    """A terminal sends it to all processes of the group; a new interpreter has no handler yet."""
    code = DRIVER.format(here=str(HERE), tests=str(Path(__file__).parent), folder=str(tmp_path))
    script = tmp_path / "driver.py"
    script.write_text(code.replace("    listen()", "    signal.signal(signal.SIGINT, lambda *_: os._exit(3))")
                      .replace("import sys", "import os, signal, sys"))  # fmt: skip
    driver = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True, start_new_session=True)
    # A bare interpreter has 10 MB: a child that has more imports what the cell needs.
    wait_until(lambda: any(resident_bytes(process) > 25e6 for process in children(driver.pid)))
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.communicate(timeout=120)[1] == ""
    assert driver.returncode == 3


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(process: int) -> list[int]:
    return [int(name) for name in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(reached: object, seconds: float = 600) -> None:
    limit = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.2)
