"""Locks between processes, and between nodes whose file system does not pass flock on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import Timeout

from benchmark.core import locks
from benchmark.core.errors import MachineError
from benchmark.core.locks import Held, held
from benchmark.core.progress import to_stderr
from benchmark.core.stages import Stages

LEASE = 3.0
LONG = 60.0
"""Seconds in which anything happens on any machine."""
NODE = """
import contextlib, pathlib, socket, sys
from benchmark.core import locks

class Local:  # as on a file system that grants flock on each node separately
    def __init__(self, path): pass
    def acquire(self, **options): pass
    def release(self): pass

locks.FileLock, locks.LEASE_SECONDS = Local, float(sys.argv[2])
socket.gethostname = lambda: "another-node"
with locks.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
"""A process that looks like one of another node: process numbers of its host name say nothing here."""

Node = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locks, "LEASE_SECONDS", LEASE)
    return tmp_path / ".lock"


@pytest.fixture
def node(lock: Path) -> Iterator[Node]:
    """Start another node that holds the lock until it is killed."""
    started = []

    def start() -> subprocess.Popen[str]:
        one = subprocess.Popen(
            [sys.executable, "-c", NODE, str(lock), str(locks.LEASE_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(one)
        assert one.stdout is not None
        assert one.stdout.readline() == "held\n"
        return one

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_another_node_holds_the_lock_although_flock_does_not_show_it(
    lock: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LEASE_SECONDS", 4 * LEASE)  # renewed every second, in time on a busy machine too
    node()
    started = time.monotonic()
    with pytest.raises(Timeout), held(lock, wait=False):
        pass
    assert time.monotonic() - started < 4 * LEASE  # seen by a renewal


def test_a_node_that_waits_gets_the_lock_when_the_other_has_finished(lock: Path, node: Node) -> None:
    holder, told = node(), []
    assert holder.stdin is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    with held(lock, waiting=lambda: told.append("waits")):
        assert holder.wait(LONG) == 0
    assert len(told) <= 1  # none where it had ended already


@pytest.mark.parametrize("wait", [True, False])
def test_the_lock_of_a_dead_node_is_taken_over_after_the_lease_and_not_before(
    lock: Path, node: Node, *, wait: bool
) -> None:
    holder, told = node(), []
    holder.kill()
    holder.wait()
    started = time.monotonic()
    with held(lock, wait=wait, waiting=lambda: told.append("waits")):
        assert time.monotonic() - started >= LEASE
    assert told == ["waits"]


def test_a_suspended_holder_is_told_that_it_has_lost_the_lock(
    lock: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(lock) as ours:
        ours.require()
        Path(ours.lease.lock_file).unlink()  # what another node does that takes it over
        node()
        stages = Stages(lock.parent, to_stderr, ours)
        deadline = time.monotonic() + LONG
        while ours.lease.compromise is None and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(MachineError) as error:
            stages.run("fit", "key", dict)
        assert not stages.path.exists()
    assert str(error.value) == (
        f"another node has taken over {lock.parent}, because this process gave no sign for 3 s\n"
        "  hint: nothing is lost: let the other one finish, and run the same command again"
    )


def test_a_killed_process_of_this_machine_leaves_nothing_to_wait_for(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LEASE_SECONDS", LONG)
    code = "import pathlib, sys, time\nfrom benchmark.core import locks\nlocks.LEASE_SECONDS = float(sys.argv[2])\n"
    code += "with locks.held(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    holder = subprocess.Popen([sys.executable, "-c", code, str(lock), str(LONG)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Timeout), held(lock, wait=False):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with held(lock, wait=False) as ours:
        assert isinstance(ours, Held)
    assert time.monotonic() - started < LONG / 2
    assert not Path(ours.lease.lock_file).exists()
