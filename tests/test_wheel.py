"""A wheel holds what the commands read: `uvx` and `pipx run` have no checkout next to it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILT = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
NEEDED = (
    "benchmark/models/ldm/card.toml", "benchmark/models/ldm/adapter.py", "benchmark/datasets/folder/card.toml",
    "benchmark/datasets/phantom_mr/simulate.py", "benchmark/detectors/cards/copy.toml", "benchmark/docs/metrics.md",
    "benchmark/evaluation/report/templates/report.html", "benchmark/pages/templates/page.html",
    "benchmark/pages/assets/page.css", "benchmark/site/published.toml", "benchmark/site/templates/board.html",
    "benchmark/site/assets/table.js", "benchmark/cli/demo.py", "benchmark/py.typed",
    "benchmark/adapters/template/adapter.py", "benchmark/adapters/template/card.toml",
    "benchmark/adapters/template/test_my_model.py",
)  # fmt: skip
"""What `bench demo`, the lists and `bench metrics` read, one of each kind."""


def placed(name: str) -> str:
    """Return where the wheel has a file of the checkout; empty for one that it leaves out."""
    for source, target in BUILT["force-include"].items():
        if name == source or name.startswith(f"{source}/"):
            return str(target) + name.removeprefix(source)
    return name if name.split("/")[0] in BUILT["packages"] else ""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_what_commands_read_is_placed_in_the_wheel() -> None:
    places = {placed(name) for name in tracked()}
    assert [name for name in NEEDED if name not in places] == []


@pytest.mark.parametrize("name", ["bench", "memobench"])
def test_both_scripts_are_the_same_command(name: str) -> None:
    module, _, function = PROJECT["project"]["scripts"][name].partition(":")
    assert getattr(import_module(module), function) is import_module("benchmark.cli.app").main


@pytest.mark.slow
def test_a_built_wheel_holds_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        scripts = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {place for name in tracked() if (place := placed(name))} <= names
    assert "memobench = benchmark.cli.start:main" in scripts
