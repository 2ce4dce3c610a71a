"""What every command has: -h, --quiet, --verbose, completion; and what it says when it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.progress import progress, quiet, to_stderr

SLOW_MODEL = '''
import time
from dataclasses import dataclass


@dataclass
class Slow:
    """Trains for a minute; sets its mark first."""

    def fit(self, train, *, folder, budget, seed, device):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "started").write_text("")
        time.sleep(60)

    def sample(self, count, *, seed, prompts=None):
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError

    @classmethod
    def load(cls, folder, *, device):
        raise NotImplementedError


class Broken(Slow):
    def fit(self, train, *, folder, budget, seed, device):
        raise ZeroDivisionError("the learning rate was 0")
'''


def commands(command: Any, name: str = "bench") -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, other in getattr(command, "commands", {}).items():
        yield from commands(other, f"{name} {below}")


EVERY = [name for name, _ in commands(typer.main.get_command(app))]


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_the_short_help_and_the_two_switches(name: str) -> None:
    done = CliRunner().invoke(app, [*name.split()[1:], "-h"])
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert (
        "-q, --quiet Print results, warnings and errors only. "
        "-v, --verbose Print stack traces, and what the libraries log. "
    ) in text
    assert "-h, --help Show this message and exit." in text


def test_there_are_commands() -> None:
    assert {"bench", "bench run", "bench datasets", "bench datasets check", "bench models install"} <= set(EVERY)


def test_a_shell_completes_commands() -> None:
    environment = os.environ | {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench d", "COMP_CWORD": "1"}
    command = str(Path(sys.executable).with_name("bench"))
    done = subprocess.run([command], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.split() == ["demo", "datasets", "detectors"]
    shell = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # no shell may be above
    command_line = [command, "--show-completion", "bash"]
    script = subprocess.run(command_line, capture_output=True, text=True, env=shell, timeout=60)
    assert script.stdout.splitlines()[-1] == "complete -o default -F _bench_completion bench"


def test_quiet_prints_no_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.core.progress.EVERY_SECONDS", 0.0)
    for silent in (False, True):
        monkeypatch.setenv("BENCH_QUIET", "1" if silent else "")
        assert quiet() is silent
        to_stderr("a line")
        with progress("work", 2) as advance:
            advance(1, "loss 3")
        assert capsys.readouterr().err == ("" if silent else "a line\nwork: 1/2, 0 s left, loss 3\n")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """12 patients of one image each, and a file with models."""
    random = np.random.default_rng(0)
    for patient in range(12):
        folder = tmp_path / "images" / f"P{patient}"
        folder.mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / "one.png")
    (tmp_path / "models.py").write_text(SLOW_MODEL)
    return tmp_path / "images"


def run_of(name: str, images: Path) -> list[str]:
    place = ["--image-size", "16", "--cache", "cache", "--samples", "10"]
    return [
        "run",
        "--model",
        f"{images.parent / 'models.py'}:{name}",
        "--data",
        "folder",
        "--root",
        str(images),
        *place,
    ]


@pytest.mark.parametrize("position", ["before", "behind"])
def test_verbose_shows_the_stack_and_quiet_only_the_error(bench: Any, images: Path, position: str) -> None:
    def call(switch: str) -> subprocess.CompletedProcess[str]:
        own = run_of("Broken", images)
        arguments = [switch, *own] if position == "before" else [*own, switch]
        return bench(*arguments)  # type: ignore[no-any-return]

    verbose, quiet_one = call("-v"), call("-q")
    assert "Traceback (most recent call last):" in verbose.stderr
    line = SLOW_MODEL.splitlines().index('        raise ZeroDivisionError("the learning rate was 0")') + 1
    assert f'models.py", line {line}, in fit' in verbose.stderr
    assert (quiet_one.returncode, quiet_one.stdout) == (5, "")
    (log,) = images.parent.rglob("model.log")
    assert quiet_one.stderr == (
        "error: broken failed in fit: ZeroDivisionError: the learning rate was 0\n"
        f"  hint: the stack trace is in {log.relative_to(images.parent)}\n"
    )
