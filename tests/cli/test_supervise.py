"""A command that is stopped, killed or ended by other code: its exit code, its one message, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from benchmark.cli import supervise
from benchmark.core.files import atomic_write
from benchmark.core.stages import Stages

class Run:
    # A run whose stage is under way, with a file half written.
    def __init__(self):
        Path("runs").mkdir()
        Stages(Path("runs"), print).begin("fit", "key", "")
        self.file = atomic_write(Path("runs/patients.npy"))
        self.file.__enter__().write_bytes(bytes(100))

def started():
    Path("started").write_text(str(os.getpid()))

def work():
    {body}
    return 0

supervise.GRACE_SECONDS = 0.5
sys.argv = ["/usr/bin/bench", *{arguments!r}]
sys.exit(supervise.supervised(work))
"""
RUN = ("run", "--model", "./my model.py:Mine")
RESUME = "stopped; to resume: bench run --model './my model.py:Mine'\n"
DEAF = """kept = Run()
    other = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    Path("other").write_text(str(other.pid))
    started()
    while True:
        try:
            time.sleep(600)
        except BaseException:
            Path("heard").touch()"""


EXECUTE = "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])"
LONG = 120.0
"""Seconds in which anything happens on any machine; what is interrupted would sleep for 600."""
SOON = 30.0
"""Seconds after a signal: at most five on a machine that does nothing else."""


def start(folder: Path, body: str, *arguments: str) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT.format(body=body, arguments=list(arguments or RUN)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, str(script)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_a_caller_that_ignores_its_children_gets_the_exit_code(tmp_path: Path) -> None:
    code = "import sys; from benchmark.cli.supervise import supervised; sys.exit(supervised(lambda: 3))"
    ignoring = f"import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); {EXECUTE}"
    done = subprocess.run([sys.executable, "-c", ignoring, code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "")


def wait_until(true: Callable[[], object]) -> None:
    until = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return "(Z" not in Path(f"/proc/{pid}/stat").read_text() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def state(folder: Path) -> dict[str, str]:
    status: dict[str, dict[str, str]] = json.loads((folder / "runs" / "status.json").read_text())
    return status["fit"]


@pytest.mark.parametrize(("body", "code", "said"), [
    ("pass", 0, ""),
    ("threading.Thread(target=time.sleep, args=(600,)).start()", 0, ""),
    ("Run(); os._exit(0)", 5, (
     "error: code of a model, data set or detector ended the process with exit code 0 before the command was finished\n"
     "  hint: take os._exit and the like out of it: nothing that was not finished counts\n"
    )),
    ("Run(); os.kill(os.getpid(), signal.SIGSEGV)", 5, (
     "error: a library, or code of a model, data set or detector, crashed the process (SIGSEGV)\n"
     "  hint: run it with --verbose, and with PYTHONFAULTHANDLER=1 to see where\n"
    )),
    ("Run(); os.kill(os.getpid(), signal.SIGKILL)", 6, (
     "error: the process of the command was killed (SIGKILL), as the system does when memory is short\n"
     "  hint: run the same command again, with a smaller --search-memory or more memory\n"
    )),
    ("Run(); os.kill(os.getpid(), signal.SIGBUS)", 6, (
     "error: a file was cut off while it was read, or the disk failed (SIGBUS)\n"
     "  hint: run the same command again: files that have changed are made again or named\n"
    )),
], ids=["finished", "a thread remains", "os._exit", "SIGSEGV", "SIGKILL", "SIGBUS"])  # fmt: skip
def test_a_process_that_dies_is_told_with_its_exit_code(tmp_path: Path, body: str, code: int, said: str) -> None:
    process = start(tmp_path, body)
    printed, told = process.communicate(timeout=LONG)
    assert (process.returncode, printed, told) == (code, "", said)
    if code:
        assert state(tmp_path)["state"] == "failed"
        assert said.startswith(f"error: {state(tmp_path)['error'].partition(': ')[2]}")
    assert not list(tmp_path.rglob(".*.part"))
    assert not list(tmp_path.glob("memobench-*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("body", ["kept = Run(); started(); time.sleep(600)", DEAF], ids=["heeds", "deaf"])
def test_a_signal_ends_a_command(tmp_path: Path, number: signal.Signals, code: int, body: str) -> None:
    process = start(tmp_path, body)
    wait_until((tmp_path / "started").exists)
    process.send_signal(number)
    printed, told = process.communicate(timeout=SOON)
    assert (process.returncode, printed, told) == (code, "", RESUME)
    assert state(tmp_path)["state"] == "interrupted"
    assert not list(tmp_path.rglob(".*.part"))
    if body == DEAF:
        assert not alive(int((tmp_path / "other").read_text()))


def test_other_commands_are_only_stopped(tmp_path: Path) -> None:
    process = start(tmp_path, "started(); time.sleep(600)", "models")
    wait_until((tmp_path / "started").exists)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=LONG)[1], process.returncode) == ("stopped\n", 130)


def test_the_same_signal_again_ends_it_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, "supervise.GRACE_SECONDS = 600\n    " + DEAF)
    wait_until((tmp_path / "started").exists)
    process.send_signal(signal.SIGINT)
    wait_until((tmp_path / "heard").exists)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=SOON)[1], process.returncode) == (RESUME, 130)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As `nohup bench run ...` asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path, "started(); time.sleep(1)")
        wait_until((tmp_path / "started").exists)
        process.send_signal(signal.SIGHUP)
        assert (process.communicate(timeout=LONG)[1], process.returncode) == ("", 0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_command_ends_with_a_supervisor_that_is_killed_and_its_files_go_at_the_next_start(tmp_path: Path) -> None:
    process = start(tmp_path, DEAF)
    wait_until((tmp_path / "started").exists)
    process.kill()
    process.communicate(timeout=LONG)
    wait_until(lambda: not alive(int((tmp_path / "started").read_text())))
    os.kill(int((tmp_path / "other").read_text()), signal.SIGKILL)
    assert list(tmp_path.rglob(".*.part"))
    again = "from benchmark.core.stages import exclusive\n    with exclusive(Path('runs')): pass"
    assert start(tmp_path, again).wait(timeout=LONG) == 0
    assert not list(tmp_path.rglob(".*.part"))
