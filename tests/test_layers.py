"""Who may import whom, where import-linter does not look: adapters, data sets, and what a new process loads.

The order of the packages is a contract in pyproject.toml, which `lint-imports` checks.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "benchmark").rglob("*.py"))
ADAPTERS = sorted(path for place in ("models", "datasets") for path in (ROOT / place).rglob("*.py"))
LOADED = "import json, sys; import {}; print(json.dumps(sorted(sys.modules)))"
COMMAND = """
import json, sys
from benchmark.cli.app import run_command_line
sys.argv = ["bench", *sys.argv[1:]]
run_command_line()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def name_of(path: Path) -> str:
    """benchmark/metrics/twin.py -> benchmark.metrics.twin."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST, *, typing_only: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports, also those inside functions; those under TYPE_CHECKING only when asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not typing_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from statements(other, typing_only=typing_only)
        else:
            yield from statements(node, typing_only=typing_only)


def imports(path: Path, *, typing_only: bool = False) -> set[str]:
    """Absolute names of what a file imports; `from a import b` counts as a and a.b."""
    package = name_of(path).split(".")
    package = package if path.stem == "__init__" else package[:-1]
    found = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), typing_only=typing_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return found


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def loaded(module: str) -> set[str]:
    """Modules that a new process has after importing this one."""
    done = subprocess.run([sys.executable, "-c", LOADED.format(module)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_reader_of_imports_sees_them() -> None:
    text = (
        "import a.b\nfrom . import c\nfrom .d import e\nfrom ..f import g\nif TYPE_CHECKING:\n    import h\n"
        "def i():\n    from j import k\n"
    )
    place = ROOT / "benchmark" / "metrics" / "unwritten.py"
    tree = ast.parse(text)
    kinds = [len(list(statements(tree, typing_only=flag))) for flag in (False, True)]
    assert kinds == [5, 6]
    assert name_of(place) == "benchmark.metrics.unwritten"
    assert "benchmark.core.types" in imports(ROOT / "benchmark" / "search" / "engine.py")
    assert "models.ldm.linear" in imports(ROOT / "models" / "ldm" / "adapter.py")
    assert len(CORE) > 30
    assert len(ADAPTERS) > 5


# Light


@pytest.mark.parametrize(
    "module", ["benchmark.core.types", "benchmark.core.errors", "benchmark.core.files", "benchmark.records.columns"]
)
def test_types_errors_and_files_import_nothing_heavy(module: str) -> None:
    assert not {"numpy", "torch", "pandas", "pydantic", "rich", "typer"} & loaded(module)


@pytest.mark.parametrize("arguments", ["--help", "run --help", "leaderboard build --help", "--version"])
def test_help_imports_nothing_heavy(arguments: str) -> None:
    command = [sys.executable, "-c", COMMAND, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    names = set(json.loads(done.stderr.splitlines()[-1]))
    assert done.stdout
    assert not {"torch", "numpy", "pandas", "rich", "benchmark.plugins.registry"} & names
    if arguments == "--help":  # typer itself looks for pydantic when a parameter is parsed
        assert "pydantic" not in names


@pytest.mark.parametrize(
    "module",
    [
        "benchmark.search", "benchmark.metrics.calibration", "benchmark.metrics.quality", "benchmark.records.record",
        "benchmark.site.build",
    ],
)  # fmt: skip
def test_numbers_need_no_torch(module: str) -> None:
    assert not {"torch", "monai", "diffusers", "pandas"} & loaded(module)


# Layers


@pytest.mark.parametrize("path", [path for path in CORE if under(name_of(path), "benchmark.metrics")], ids=name_of)
def test_metrics_know_no_model_and_no_file(path: Path) -> None:
    ours = {name for name in imports(path, typing_only=True) if under(name, "benchmark")}
    # Errors and percentages are text: they open no file and know no model.
    allowed = ("benchmark.core.types", "benchmark.core.errors", "benchmark.core.percent", "benchmark.metrics")
    assert [name for name in ours if not under(name, *allowed)] == []
    files = ("pathlib", "os", "io", "json", "shutil", "pickle", "tempfile")
    assert [name for name in imports(path) if under(name, *files)] == []


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_names_no_adapter(path: Path) -> None:
    adapters = ("models", "datasets", "benchmark.models", "benchmark.datasets")
    assert [name for name in imports(path, typing_only=True) if under(name, *adapters)] == []


SHARED_FILES = {
    "datasets.phantom_mr": ("datasets.brats20",),
    "datasets.brats21": ("datasets.brats20",),
    "datasets.phantom_ct": ("datasets.phantom_mr.fields",),
    "datasets.phantom_cxr": ("datasets.phantom_ct",),
}
"""Data sets that write each other's files, or simulate the same patients."""


@pytest.mark.parametrize("path", ADAPTERS, ids=name_of)
def test_adapters_stand_alone(path: Path) -> None:
    """They import packages up to the frames of adapters and their own folder, never the evaluation."""
    own = ".".join(name_of(path).split(".")[:2])
    named = imports(path, typing_only=True)
    others = {name for name in named if under(name, "models", "datasets") and not under(name, own)}
    others = {name for name in others if not under(name, *SHARED_FILES.get(own, ()))}
    assert others == set()
    above = ("models", "datasets", "evaluation", "runs", "cli", "records", "metrics")
    assert [name for name in named if under(name, *(f"benchmark.{part}" for part in above))] == []


@pytest.mark.parametrize("path", ADAPTERS, ids=name_of)
def test_adapters_import_their_own_folder_relatively(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    absolute: list[str] = []
    for node in statements(tree, typing_only=True):
        if isinstance(node, ast.Import):
            absolute += [alias.name for alias in node.names]
        elif not node.level:
            absolute.append(node.module or "")
    siblings = {other.stem for other in path.parent.iterdir()}
    assert [name for name in absolute if name.split(".")[0] in {*siblings, "models", "datasets"}] == []


# Top-level folders


def test_models_and_datasets_are_no_regular_packages() -> None:
    for place in ("models", "datasets"):
        assert list((ROOT / place).rglob("__init__.py")) == []


def test_the_folder_datasets_hides_no_installed_package(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("theirs = True\n")
    code = "import sys; sys.path.append(sys.argv[1]); import datasets; print(datasets.__file__)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == str(tmp_path / "datasets" / "__init__.py")


def test_adapters_are_modules_of_the_package() -> None:
    code = "import benchmark.models.copycat.adapter as a; print(a.__file__, a.Copycat.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == [
        str(ROOT / "models" / "copycat" / "adapter.py"), "benchmark.models.copycat.adapter",
    ]  # fmt: skip
