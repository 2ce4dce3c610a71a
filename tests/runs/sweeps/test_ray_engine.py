"""Cells as Ray tasks: outcomes, logs, fail-fast, a lost node, Ctrl-C, and all that is refused before training."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from benchmark import __version__
from benchmark.core import cluster as core_cluster
from benchmark.core.cluster import connected, require_reachable
from benchmark.core.cluster_nodes import missing_on_this_node
from benchmark.core.errors import MachineError, UsageError
from benchmark.core.files import read_json
from benchmark.core.stages import Stages, exclusive
from benchmark.images.readers.limits import VARIABLE
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps import ray_engine
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.ray_engine import run_cells
from benchmark.runs.sweeps.ray_task import Answer, with_absolute_paths

ROOT = Path(__file__).parents[3]
Work = Callable[..., CellOutcome]


def cells(runs: Path, count: int, **settings: Any) -> list[Cell]:
    """Cells that differ in their seed."""
    values = {"model": {"name": "copycat"}, "data": {"name": "phantom-mr"}, "runs": runs, **settings}
    return [Cell(seed, {"seed": seed}, RunConfig.of({**values, "seed": seed}, "test")) for seed in range(count)]


def staged(seconds: float = 0.0, until: str = "") -> Work:
    """Stand for a run: the run folder with its lock and status.json, and two stages that take so long each.

    The second one also waits until a file is in the folder of the runs, where `until` names one.
    """

    def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
        folder = cell.config.runs / f"seed-{cell.config.seed}"
        folder.mkdir(exist_ok=True)
        began(folder)

        def computed(name: str) -> dict[str, Any]:
            for _ in range(int(20 * seconds)):  # like the steps of a training: Ctrl-C comes between two
                time.sleep(0.05)
            while name == "sample" and until and not (cell.config.runs / until).exists():
                time.sleep(0.05)
            with (cell.config.runs / "computed.txt").open("a") as file:
                file.write(f"{name} {cell.index}\n")
            return {}

        def log(text: str) -> None:
            print(text, file=sys.stderr)

        with exclusive(folder, wait=True, log=log) as lock:
            stages = Stages(folder, log, lock)
            try:
                stages.run("fit", "key", lambda: computed("fit"))
                stages.run("sample", "key", lambda: computed("sample"))
            except BaseException as error:
                stages.fail(error)
                raise
        return CellOutcome(cell, "done", folder, "", seconds)

    return work


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A head without cores for cells, and one node with two."""
    ray = core_cluster.require_ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_outcomes_are_in_order_and_what_a_cell_prints_is_in_its_folder(
    ray_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "0.25")  # --max-source-gib
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")  # what the sweep stores of it may be moved with it
    told: list[CellOutcome] = []

    def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
        folder = cell.config.runs / str(cell.index)
        folder.mkdir()
        began(folder)
        os.system(
            "echo $OMP_NUM_THREADS $NUMBA_NUM_THREADS $BENCH_PROCESSES $BENCH_MAX_SOURCE_GIB"
        )  # a process that the cell starts
        if cell.index == 1:
            return CellOutcome(cell, "declined", folder, "takes no volumes", 2.5)
        if cell.index == 2:
            raise ZeroDivisionError("of a plugin")
        return CellOutcome(cell, "done", folder)

    plan = cells(runs, 4)
    outcomes = run_cells(
        plan, workers=2, fail_fast=False, tell=told.append, address=ray_cluster.address, work=work, cpus=1
    )
    assert outcomes == [
        CellOutcome(plan[0], "done", runs / "0"),
        CellOutcome(plan[1], "declined", runs / "1", "takes no volumes", 2.5),
        CellOutcome(plan[2], "failed", error="ZeroDivisionError: of a plugin"),
        CellOutcome(plan[3], "done", runs / "3"),
    ]
    begun = sorted((one.cell.index, one.folder) for one in told if one.state == "running")
    assert begun == [(index, runs / str(index)) for index in range(4)]
    assert {outcome.cell.index: outcome for outcome in told} == dict(enumerate(outcomes))  # the last one told of each
    printed = [(runs / str(index) / "run.log").read_text() for index in range(4)]
    assert printed == [f"on node {socket.gethostname()}\n1 1 1 0.25\n"] * 4
    assert not list(runs.glob(".sweep-*"))


def test_a_failure_stops_all_cells_where_that_was_asked_for(ray_cluster: Any, tmp_path: Path) -> None:
    slow, told = staged(600), list[CellOutcome]()

    def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
        while cell.index == 0 and not (cell.config.runs / "seed-1" / "status.json").exists():
            time.sleep(0.1)
        return CellOutcome(cell, "failed", error="no disk") if cell.index == 0 else slow(cell, began=began)

    started = time.monotonic()
    outcomes = run_cells(
        cells(tmp_path, 4), workers=2, fail_fast=True, tell=told.append, address=ray_cluster.address, work=work
    )
    assert time.monotonic() - started < 300
    assert [outcome.state for outcome in outcomes] == ["failed", "skipped", "skipped", "skipped"]
    assert outcomes[1].error == "the sweep stopped before this cell had ended: run it again, and the cell resumes"
    assert [outcome.cell.index for outcome in told if outcome.state == "running"] == [1]  # those that had begun
    # The cell that ran was interrupted and not killed: its state says so.
    assert read_json(tmp_path / "seed-1" / "status.json")["fit"]["state"] == "interrupted"


def test_a_lost_node_loses_no_cell_and_nothing_is_computed_twice(
    ray_cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node, states = ray_cluster.add_node(num_cpus=2, object_store_memory=80 << 20), list[str]()
    lost: list[int] = []

    def tell(outcome: CellOutcome) -> None:
        states.append(outcome.state)
        if states.count("running") == 4 and not lost:  # both nodes are at work
            wait_until_all_sample(tmp_path, 4)
            lost.append(len(states))
            lose(ray_cluster, node)
            (tmp_path / "lost").touch()

    outcomes = run_cells(
        cells(tmp_path, 6), workers=4, fail_fast=True, tell=tell, address=ray_cluster.address,
        work=staged(until="lost"),
    )  # fmt: skip
    assert lost
    assert [outcome.state for outcome in outcomes] == ["done"] * 6
    assert states.count("running") > 6  # some cells were started again
    assert capfd.readouterr().out == ""  # Ray's messages would be in the JSON of a command
    computed = (tmp_path / "computed.txt").read_text().split("\n")
    assert sorted(filter(None, computed)) == sorted(f"{name} {seed}" for name in ("fit", "sample") for seed in range(6))


def wait_until_all_sample(runs: Path, count: int) -> None:
    """Wait until so many cells are in their second stage: a kill just before a stage is done would repeat it."""
    deadline = time.monotonic() + 240
    while (
        sum(read_json(path).get("sample", {}).get("state") == "running" for path in runs.glob("*/status.json")) < count
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lose(cluster: Any, node: Any) -> None:
    """Take a node away with all its processes at once, as a machine that is switched off.

    Ray alone kills the raylet, and a worker that has not noticed it yet goes on.
    """
    raylet = node.all_processes["raylet"][0].process.pid
    workers = psutil.Process(raylet).children(recursive=True)
    assert len(workers) >= 2
    cluster.remove_node(node, allow_graceful=False)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_two_cells_of_one_run_folder_are_computed_once(ray_cluster: Any, tmp_path: Path) -> None:
    one, two = cells(tmp_path, 1)[0], cells(tmp_path, 2)[1]
    twin = Cell(1, two.axes, one.config)
    outcomes = run_cells(
        [one, twin], workers=2, fail_fast=True, tell=lambda _: None, address=ray_cluster.address, work=staged(0.2)
    )
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
    assert (tmp_path / "computed.txt").read_text() == "fit 0\nsample 0\n" or (
        (tmp_path / "computed.txt").read_text() == "fit 1\nsample 1\n"
    )


# Refused before anything is trained


def test_a_node_without_the_data_is_named(ray_cluster: Any, tmp_path: Path) -> None:
    data = {"name": "cxr-pneumonia", "root": tmp_path / "xrays"}
    with pytest.raises(MachineError) as error:
        run_cells(
            cells(tmp_path, 2, data=data), workers=2, fail_fast=False, tell=lambda _: None,
            address=ray_cluster.address, work=staged(),
        )  # fmt: skip
    assert str(error.value) == (
        f"node {socket.gethostname()} does not have {tmp_path / 'xrays'}\n"
        "  hint: install the same version of memobench and mount the same folders on every node, "
        "or start that node with --num-cpus 0, so that it gets no cells"
    )
    assert not (tmp_path / "computed.txt").exists()


def test_what_a_node_lacks(tmp_path: Path) -> None:
    name = socket.gethostname()
    shared = tmp_path / "runs" / ".sweep-1"
    assert missing_on_this_node(__version__, (str(tmp_path),), "") == ""
    assert missing_on_this_node("9.9", (), "") == f"node {name} has memobench {__version__}, and this machine 9.9"
    assert missing_on_this_node(__version__, (str(tmp_path),), str(shared)) == (
        f"node {name} does not see what this machine writes to {tmp_path / 'runs'}"
    )


def test_a_demand_that_no_node_meets(ray_cluster: Any, tmp_path: Path) -> None:
    def refused(**options: Any) -> str:
        device = options.pop("device", "cpu")
        with pytest.raises((MachineError, UsageError)) as error:
            run_cells(
                cells(tmp_path, 2, device=device), workers=1, fail_fast=False, tell=lambda _: None,
                address=ray_cluster.address, **options,
            )  # fmt: skip
        return str(error.value)

    hint = "add such a node to the cluster, or demand less: fewer processes per cell, or --device cpu"
    assert refused(device="cuda", processes=2) == (
        f"a cell demands 2 CPU cores and 2 GPUs, and no node of the Ray cluster has that much\n  hint: {hint}"
    )
    assert (
        refused(cpus=5) == f"a cell demands 5 CPU cores, and no node of the Ray cluster has that much\n  hint: {hint}"
    )
    assert refused(device="cuda:1") == (
        "a Ray cluster chooses the GPU of a cell, and cuda:1 names one\n  hint: give --device cuda"
    )


def test_a_connected_process_starts_no_cluster_of_its_own(ray_cluster: Any) -> None:
    with pytest.raises(UsageError) as error, connected(None):
        pass
    assert str(error.value) == (
        "this process is connected to a Ray cluster already\n  hint: give its address, or `auto`, to use it"
    )


def test_a_cluster_that_cannot_be_reached() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(MachineError) as error:
            require_reachable(address)
    assert time.monotonic() - started < core_cluster.PROBE_SECONDS  # no process of Ray was started
    assert str(error.value) == (
        f"the Ray cluster at {address} cannot be reached: [Errno 111] Connection refused\n"
        "  hint: start it (`ray start --head`) and this command on one of its nodes, or leave the address out"
    )


def test_what_answers_but_is_no_ray_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_cluster, "PROBE_SECONDS", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(MachineError) as error:
            require_reachable(address)
    assert error.value.message == f"the Ray cluster at {address} cannot be reached: no answer within 5 s"


OF_CLIENT = """ray://head:10001 is an address of Ray Client, which is not supported
  hint: start the command on a node of the cluster, with the address auto (docs/clusters.md)"""


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("head", "'head' is no address of a Ray cluster\n  hint: give auto, or host:port such as head:6379"),
        ("ray://head:10001", OF_CLIENT),
    ],
)
def test_what_is_no_address(address: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        require_reachable(address)
    assert str(error.value) == message


def test_without_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        run_cells(cells(tmp_path, 1), workers=1, fail_fast=False, tell=lambda _: None)
    assert str(error.value) == "Ray is not installed\n  hint: install it: pip install 'memobench[ray]'"


# Memory, paths


def test_few_tasks_are_submitted_at_a_time_whatever_the_number_of_cells(tmp_path: Path) -> None:
    most, submitted = 0, set[object]()

    def remote(*_: Any) -> object:
        nonlocal most
        submitted.add(ref := object())
        most = max(most, len(submitted))
        return ref

    def get(ref: Any) -> Any:
        if ref == []:  # events
            return ref
        submitted.remove(ref)
        return Answer("done", None, "", 0.0)

    fake = SimpleNamespace(
        get=get, wait=lambda refs, **_: (refs[:1], refs[1:]), cluster_resources=lambda: {"CPU": 8.0},
        exceptions=SimpleNamespace(TaskCancelledError=KeyError, RayTaskError=KeyError, RayError=KeyError),
    )  # fmt: skip
    task = SimpleNamespace(remote=remote)
    events = SimpleNamespace(take=SimpleNamespace(remote=list))
    one = cells(tmp_path, 1)[0]
    plan = (Cell(index, {}, one.config) for index in range(10_000))
    sweep = ray_engine._Sweep(fake, task, events, None, plan, 0, False, lambda _: None)  # type: ignore[arg-type]
    assert len(sweep.run()) == 10_000
    assert most == 8 + ray_engine.WAITING


def test_paths_mean_the_same_on_a_node_that_starts_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"name": "folder", "root": "images", "exclude": "not.csv", "trained_on": "patients.csv"}
    config = with_absolute_paths(cells(Path("runs"), 1, data=data, cache="cache")[0].config)
    read = (config.data.root, config.data.exclude, Path(str(config.data.trained_on)))
    assert (config.runs, config.cache) == (tmp_path / "runs", tmp_path / "cache")
    assert read == (tmp_path / "images", tmp_path / "not.csv", tmp_path / "patients.csv")


# A cluster of our own

INTERRUPTED = """
import sys, time
from pathlib import Path
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.ray_engine import run_cells

def main(runs):
    def work(cell, began):
        try:
            (runs / f"started-{cell.index}").touch()
            for _ in range(12000):
                time.sleep(0.05)
        finally:
            (runs / f"ended-{cell.index}").touch()

    values = {"model": {"name": "copycat"}, "data": {"name": "phantom-mr"}, "runs": runs}
    plan = [Cell(i, {}, RunConfig.of(values, "test")) for i in range(5)]
    run_cells(plan, workers=2, fail_fast=False, tell=lambda _: None, work=work)

main(Path(sys.argv[1]))
"""


def test_ctrl_c_interrupts_the_cells_and_leaves_no_process_or_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}  # a cluster not to be touched
    sweep = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    deadline = time.monotonic() + 600
    while len(list(tmp_path.glob("started-*"))) < 2 and time.monotonic() < deadline and sweep.poll() is None:
        time.sleep(0.1)
    sweep.send_signal(signal.SIGINT)
    _, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == -signal.SIGINT, errors
    assert "KeyboardInterrupt" in errors
    assert sorted(path.name for path in tmp_path.glob("ended-*")) == ["ended-0", "ended-1"]
    assert not list(tmp_path.glob("ray-*"))
    assert not _processes_of(sweep.pid)


def _processes_of(parent: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "sid,pgid,ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(parent) in line.split()[:3]]
