"""What a command writes by default is never offered to git: it may show patients."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from benchmark.cli.app import app
from benchmark.runs.config import RunConfig

ROOT = Path(__file__).parents[1]
PUBLIC = {"leaderboards", "leaderboards/records"}
"""Defaults that are meant to be committed: boards and submitted records hold no pixels, names or paths."""


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git without the user's own configuration, which may ignore more than .gitignore does."""
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A new repository that holds this project's .gitignore alone."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    assert git(folder, "init", "--quiet").returncode == 0
    shutil.copy(ROOT / ".gitignore", folder)
    return folder


def ignored(repository: Path, path: str) -> bool:
    code = git(repository, "check-ignore", "--quiet", path).returncode
    assert code in (0, 1), f"git check-ignore {path} failed"
    return code == 0


def parameters(command: Any, name: str = "bench") -> Iterator[tuple[str, Any]]:
    """Each parameter of a command and of all commands below it, as ("bench run --cache", parameter)."""
    for parameter in command.params:
        yield f"{name} {parameter.opts[0]}", parameter
    for below, other in getattr(command, "commands", {}).items():
        yield from parameters(other, f"{name} {below}")


def defaults(application: typer.Typer) -> dict[str, Path]:
    """Every parameter whose default is a path."""
    every = parameters(typer.main.get_command(application))
    given = {name: one.default for name, one in every}
    for name, field in RunConfig.model_fields.items():  # `bench run` leaves its defaults to its configuration
        given |= {f"bench run --{name}": field.default} if f"bench run --{name}" in given else {}
    return {name: value for name, value in given.items() if isinstance(value, Path)}


def path_literals(text: str) -> set[str]:
    """Relative paths that are written as Path("...") anywhere in a file."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Path" and call.args]
    values = [call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)]
    return {value for value in values if isinstance(value, str) and not value.startswith("/")}


def code() -> list[Path]:
    return sorted(
        path for place in ("benchmark", "models", "datasets", "scripts") for path in (ROOT / place).rglob("*.py")
    )


def test_every_commands_default_folder_is_ignored(repository: Path) -> None:
    found = defaults(app)
    assert {
        "bench run --runs",
        "bench datasets split --out",
        "bench datasets check --out",
        "bench prompts --out",
    } <= set(found)
    private = {name: path for name, path in found.items() if str(path) not in PUBLIC}
    offered = [f"{name} {path}" for name, path in private.items() if not ignored(repository, f"{path}/any/file.png")]
    assert offered == []
    # The same from a folder inside the checkout.
    below = [f"{name} {path}" for name, path in private.items() if not ignored(repository, f"docs/{path}/any/file.png")]
    assert below == []


def test_a_new_default_is_seen(repository: Path) -> None:
    new = typer.Typer()
    group = typer.Typer()
    group.command("export")(_export)
    group.command("other")(_export)
    new.add_typer(group, name="images")
    assert defaults(new) == {
        "bench images export --out": Path("exported-images"), "bench images other --out": Path("exported-images"),
    }  # fmt: skip
    assert not ignored(repository, "exported-images/any/file.png")


def _export(out: Path = Path("exported-images"), name: str = "") -> None:
    """A command that no .gitignore knows."""


def test_paths_written_in_the_code_are_ignored(repository: Path) -> None:
    """A default may also be set inside a function, where the command's options do not show it."""
    found = {value: path for path in code() for value in path_literals(path.read_text(encoding="utf-8"))}
    assert "runs" in found
    offered = {
        f"{path.relative_to(ROOT)}: {value}"
        for value, path in found.items()
        if value not in PUBLIC and not ignored(repository, f"{value}/any/file.png")
    }
    assert offered == set()


def test_the_reader_of_paths_sees_them() -> None:
    text = 'a = runs or [Path("runs")]\nb = Path("/proc/self")\nc = Path(b)\nd = Path("x/y") / "z"\ne = Other("q")\n'
    assert path_literals(text) == {"runs", "x/y"}


@pytest.mark.parametrize(
    "path",
    [
        "leaderboards/RULES.md", "leaderboards/records/one.json", "leaderboards/msd-0123abcd-p2.html",
        "benchmark/runs/run.py", "benchmark/text2image/studies/plan.py", "tests/runs/test_run.py", "docs/protocol.md",
    ],
)  # fmt: skip
def test_what_is_meant_to_be_committed_is_not_ignored(repository: Path, path: str) -> None:
    assert not ignored(repository, path)


def test_no_tracked_file_is_ignored() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the project is no checkout")
    assert git(ROOT, "ls-files", "--cached", "--ignored", "--exclude-standard").stdout == ""


@pytest.mark.slow
def test_a_check_of_a_cohort_leaves_nothing_to_commit(repository: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for patient in range(12):
        folder = tmp_path / "images" / f"P{patient}"
        folder.mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / "one.png")
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "datasets", "check", "folder", "--root", str(tmp_path / "images"),
         "--image-size", "32"],
        cwd=repository, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(repository.glob("checks/*/contact.png"))
    assert list(repository.glob("cache/cohorts/*/pixels.npy"))
    assert git(repository, "status", "--porcelain", "--untracked-files=all").stdout == "?? .gitignore\n"
    (repository / ".gitignore").unlink()  # in any other repository they ignore themselves
    assert git(repository, "status", "--porcelain", "--untracked-files=all").stdout == ""
