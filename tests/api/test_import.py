"""`import memobench` is cheap, complete and typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import memobench as mb

ROOT = Path(__file__).parents[2]


def test_import_loads_nothing_heavy() -> None:
    code = "import json, sys, memobench; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not {"numpy", "torch", "pandas", "pydantic", "matplotlib", "rich"} & set(json.loads(done.stdout))


def test_every_name_is_there_and_documented() -> None:
    assert dir(mb) == sorted(mb.__all__)
    assert [name for name in mb.__all__ if getattr(mb, name) is None] == []
    functions = [getattr(mb, name) for name in ("audit", "search", "plant", "run", "load")]
    assert all(callable(function) and function.__doc__ for function in functions)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in ("audit", "search", "plant", "run", "load") if f"`mb.{name}(" not in page] == []


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'memobench' has no attribute 'audits'"):
        _ = mb.audits  # type: ignore[attr-defined]


def test_both_packages_are_typed() -> None:
    assert (ROOT / "memobench" / "py.typed").is_file()
    assert (ROOT / "benchmark" / "py.typed").is_file()
