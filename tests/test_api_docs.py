"""The API pages are built from docstrings without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc")

ROOT = Path(__file__).parents[1]


def build(out: Path, *packages: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "build_api_docs.py"), *packages, "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
    return subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True)


def test_pages_have_the_docstrings(tmp_path: Path) -> None:
    done = build(tmp_path / "api", "benchmark.core", "benchmark.metrics")
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "api" / "benchmark").rglob("*.html"))
    assert done.stdout == f"{len(pages)} pages: {tmp_path / 'api' / 'index.html'}\n"
    modules = [path for place in ("core", "metrics") for path in (ROOT / "benchmark" / place).glob("*.py")]
    assert len(pages) == len(modules)
    assert "MissingDataError" in (tmp_path / "api" / "benchmark" / "core" / "errors.html").read_text(encoding="utf-8")


UNREADABLE = '''
class Unreadable:
    """Has no representation."""
    def __repr__(self):
        raise ValueError("no representation")
value = Unreadable()
"""A value."""
'''


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import a_module_that_is_not_installed\n", "No module named 'a_module_that_is_not_installed'"),
        (UNREADABLE, "UserWarning: repr(broken.module.value) raised an exception"),
    ],
    ids=["import", "warning"],
)
def test_what_cannot_be_documented_ends_the_command(tmp_path: Path, text: str, message: str) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text(text)
    done = build(tmp_path / "api", "broken", path=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
