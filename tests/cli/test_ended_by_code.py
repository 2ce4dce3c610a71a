"""Code that ends a command (`sys.exit(0)`, KeyboardInterrupt of its own) is exit code 5, and never an all-clear."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import app as command_line
from benchmark.cli.outcome import begin, nothing_to_write, require_written, written
from benchmark.core import interrupt
from benchmark.core.errors import AdapterError
from benchmark.records.collecting import Gathered

PLUGINS = """
import sys
from dataclasses import dataclass


@dataclass
class Model:
    def fit(self, train, *, folder, budget, seed, device):
        sys.exit(0)

    def sample(self, count, *, seed, prompts=None):
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError

    @classmethod
    def load(cls, folder, *, device):
        raise NotImplementedError


@dataclass
class Data:
    channels = ("grey",)

    def sources(self, root):
        raise KeyboardInterrupt

    def read(self, source):
        raise NotImplementedError
"""

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the command line in this process, without its supervisor."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "_listening", True)
    (tmp_path / "plugins.py").write_text(PLUGINS)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        code = command_line.run_command_line()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_a_model_that_exits_does_not_conform(bench: Bench) -> None:
    code, printed, told = bench("check", "./plugins.py:Model", "--only", "trains")
    assert (code, [line for line in told.splitlines() if not line.startswith("check model: ")]) == (5, [])  # progress
    assert printed.splitlines()[-1] == ("fault: trains (all cohorts): it called sys.exit(0): return, or raise an error")


def test_a_data_set_that_raises_an_interruption_has_no_all_clear(bench: Bench, tmp_path: Path) -> None:
    code, printed, told = bench("datasets", "check", "./plugins.py:Data", "--root", tmp_path, "--cache", "cache")
    assert (code, printed) == (5, "")
    assert told == (
        "error: data set data failed in sources: KeyboardInterrupt\n  hint: run with --verbose for the stack trace\n"
    )


def test_a_module_that_exits_when_it_is_imported(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("import sys\nsys.exit(0)\n")
    code, printed, told = bench("models", "show", "./early.py:Model")
    assert (code, printed) == (5, "")
    assert told == (
        "error: model called sys.exit(0) in import\n"
        "  hint: a model returns or raises an error: it must not end its process\n"
    )


def test_a_fault_is_one_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(kind: str) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("benchmark.plugins.registry.listing", listing)
    code, printed, told = bench("models")
    assert (code, printed) == (5, "")  # this file is of no package: it counts as a plugin
    line = listing.__code__.co_firstlineno + 1
    assert told == (
        f"error: ZeroDivisionError: by zero ({__file__}, line {line}, in listing)\n"
        "  hint: run with --verbose for the stack trace\n"
    )


def test_the_signal_decides_the_exit_code(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(kind: str) -> None:
        monkeypatch.setattr(interrupt, "_received", 15)
        raise ImportError("an import that the signal has broken")

    monkeypatch.setattr("benchmark.plugins.registry.listing", listing)
    assert bench("models") == (143, "", "")


def test_a_command_that_makes_a_file_has_to_name_it(tmp_path: Path) -> None:
    begin()
    with pytest.raises(AdapterError) as nothing:
        require_written("run")
    written(tmp_path / "record.json")
    with pytest.raises(AdapterError) as missing:
        require_written("run")
    (tmp_path / "record.json").write_text("{}")
    require_written("run")
    begin()
    nothing_to_write()
    require_written("run")
    assert nothing.value.message == "bench run ended before it wrote its result"
    assert missing.value.message == f"bench run has not written {tmp_path}/record.json"


def test_a_command_without_its_result_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.records.collecting.gather", lambda places: Gathered({}, ()))
    monkeypatch.setattr("benchmark.site.build.write_boards", lambda *_: [])
    monkeypatch.setattr("benchmark.site.build.build_site", lambda _, folder, **__: folder / "index.html")
    code, printed, told = bench("leaderboard", "build")
    assert (code, printed) == (5, "leaderboards/site/index.html\n")
    assert told == (
        "error: bench build has not written leaderboards/site/index.html\n"
        "  hint: run it with --verbose, and look at the code of the models, data sets and detectors\n"
    )
