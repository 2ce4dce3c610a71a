"""How the modules of the search depend on each other, and what their compiled loops are cached by."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import benchmark.search
from benchmark.search import compiled

FOLDER = Path(benchmark.search.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def imported_by(module: str) -> set[str]:
    """The modules of the search that one imports, inside functions and for types included."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    sources = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {source.removeprefix("benchmark.search.") for source in sources if source.startswith("benchmark.search")}


def test_no_import_closes_a_circle() -> None:
    graph = {module: imported_by(module) for module in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert sorted(order) == MODULES
    assert sum(map(len, graph.values())) > 30  # or the imports were not seen


def test_every_file_of_compiled_code_names_the_cache() -> None:
    compiling = {module for module in MODULES if "compiled" in imported_by(module)}
    closure = set(compiling)
    while more := {name for module in closure for name in imported_by(module)} - closure:
        closure |= more
    assert closure == set(compiled.FILES)


@pytest.mark.slow
def test_a_change_of_a_loop_recompiles_its_callers_in_other_files(tmp_path: Path) -> None:
    """Numba alone would go on using the old loop, compiled into its caller."""
    for name in ("__init__", *(f"search/{module}" for module in compiled.FILES)):
        (tmp_path / "benchmark" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "benchmark" / f"{name}.py").write_text("")
    (tmp_path / "benchmark" / "search" / "__init__.py").write_text("")
    for module in compiled.FILES:
        shutil.copy(FOLDER / f"{module}.py", tmp_path / "benchmark" / "search")
    code = (
        "import numpy as np; from benchmark.search.kernels_float32 import score_pairs; out = np.empty(1);"
        "rows = np.array([[1.0, -1.0]], np.float32); one = np.array([2.0]);"
        "score_pairs(rows, np.zeros(1), one, rows[0], 0.0, 2.0, out); print(out.item())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)

    def score() -> float:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        )
        return float(done.stdout)

    assert score() == score() == 1.0
    lists = tmp_path / "benchmark" / "search" / "kernels_lists.py"
    text = lists.read_text(encoding="utf-8")
    assert text.count("min(1.0, max(-1.0, ") == 1
    lists.write_text(text.replace("min(1.0, max(-1.0, ", "min(0.5, max(-1.0, "), encoding="utf-8")
    assert score() == 0.5
