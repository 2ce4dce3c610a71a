"""The key of a stage follows the code that the stage runs, and no other; the reference is grimp's graph of imports."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import grimp
import pytest

from benchmark.core import source_digest as installed
from benchmark.core.source_digest import source_digest

ROOT = Path(__file__).parents[2]
STAGES = {
    "prepare": ("cohorts.ingest", "datasets/cxr_pneumonia/dataset.py"),
    "fit ldm": ("models/ldm/adapter.py", "models/ldm/linear.py"),
    "fit copycat": ("models/copycat/adapter.py",),
    "sample": ("adapters.sampling",),
    "detector": ("detectors.copy",),
    "index": ("search.index",),
    "evaluate": ("evaluation.run_evaluation", "detectors.copy", "detectors.pixels"),
}
"""The entry points of each stage, as `run` and `fitted` name them."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module under test, in a copy of the checkout that may be changed."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("benchmark", "models", "datasets"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = place / Path(installed.__file__).relative_to(ROOT)
    spec = importlib.util.spec_from_file_location("copied_source_digest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert path.is_relative_to(module.PACKAGE)
    return module


def entries(module: ModuleType, names: tuple[str, ...]) -> list[Path]:
    return [module.CHECKOUT / name if "/" in name else module.core_module(name) for name in names]


def digests(module: ModuleType) -> dict[str, str]:
    return {stage: module.source_digest(*entries(module, names)) for stage, names in STAGES.items()}


@cache
def graph_of_imports() -> Any:
    return grimp.build_graph("benchmark", exclude_type_checking_imports=True, cache_dir=None)


def imported_by(names: tuple[str, ...]) -> set[str]:
    """The modules of the package that these import, directly or not, by grimp, with the packages that hold them."""
    graph = graph_of_imports()
    found: set[str] = set()
    waiting = [f"benchmark.{name}" for name in names if "/" not in name]
    for name in names:
        if "/" in name:
            words = (ROOT / name).read_text().split()
            waiting += [after for word, after in pairwise(words) if word == "from"]
    while waiting:
        module = waiting.pop()
        if module in graph.modules and module not in found:
            found.add(module)
            waiting += [*graph.find_modules_directly_imported_by(module), module.rpartition(".")[0]]
    return found


def modules_of(package: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_a_changed_module_changes_the_keys_of_just_the_stages_that_use_it(copy: ModuleType) -> None:
    users = {stage: imported_by(names) for stage, names in STAGES.items()}
    before, wrong = digests(copy), []
    for module, path in modules_of(copy.PACKAGE):
        text = path.read_text()
        path.write_text(f"{text}\nCHANGED = 1\n")
        changed = {stage for stage, digest in digests(copy).items() if digest != before[stage]}
        path.write_text(text)
        if changed != (expected := {stage for stage in STAGES if module in users[stage]}):
            wrong.append((module, changed, expected))
    assert wrong == []
    assert digests(copy) == before
    assert {"benchmark.training.state", "benchmark.training.loop"} <= users[
        "fit ldm"
    ]  # the exponential moving average is there
    assert not any("training.state" in module for module in users["sample"] | users["index"])


def test_comments_and_docstrings_change_no_key(copy: ModuleType) -> None:
    before = digests(copy)
    for _, path in modules_of(copy.PACKAGE):
        text = path.read_text()
        if text.startswith('"""'):
            path.write_text(text.replace('"""', '"""Other words. ', 1) + "\n\n# a remark\n")
    assert digests(copy) == before


def test_an_adapter_or_data_set_changes_its_own_stages(copy: ModuleType) -> None:
    before = digests(copy)
    for name, stages in (("models/ldm/linear.py", {"fit ldm"}), ("datasets/cxr_pneumonia/dataset.py", {"prepare"})):
        path = copy.CHECKOUT / name
        text = path.read_text()
        path.write_text(f"{text}\nCHANGED = 1\n")
        assert {stage for stage, digest in digests(copy).items() if digest != before[stage]} == stages
        path.write_text(text)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("x = 1", "x = 1  # one", True),
        ("x = 1", 'x = 1\n"""One."""', True),
        ("def f():\n    return 1", 'def f():\n    """Return one."""\n    return 1', True),
        ("class A:\n    x: int = 1", 'class A:\n    x: int = 1\n    """How many."""', True),
        ("x = (1,\n     2)", "x = (1, 2)", True),
        ("x = 1", "x = 2", False),
        ('x = "a"', 'x = "b"', False),
        ("def f(): assert x", "def f(): pass", False),
    ],
)
def test_what_counts_as_a_change(tmp_path: Path, before: str, after: str, same: bool) -> None:
    path = tmp_path / "a.py"
    path.write_text(before)
    first = source_digest(path)
    path.write_text(f"{after}\n")
    assert (source_digest(path) == first) is same


def test_files_beside_a_users_own_file_count(tmp_path: Path) -> None:
    """`--model ./mine.py:Model`, which imports parts.py of the same folder, and a package that is installed."""
    (tmp_path / "mine.py").write_text("import parts\n")
    (tmp_path / "parts.py").write_text("x = 1\n")
    package = tmp_path / "plugin"
    (package / "inner").mkdir(parents=True)
    for folder in (package, package / "inner"):
        (folder / "__init__.py").write_text("")
    (package / "inner" / "model.py").write_text("from plugin.other import x\nfrom ..third import y\n")
    (package / "other.py").write_text("x = 1\n")
    (package / "third.py").write_text("y = 1\n")
    for entry, part in (("mine.py", "parts.py"), ("plugin/inner/model.py", "plugin/other.py"),
                        ("plugin/inner/model.py", "plugin/third.py")):  # fmt: skip
        first = source_digest(tmp_path / entry)
        (tmp_path / part).write_text("x = y = 22\n")
        assert source_digest(tmp_path / entry) != first


def test_a_digest_does_not_depend_on_where_the_package_lies(copy: ModuleType) -> None:
    fresh = {stage: source_digest(*entries(installed, names)) for stage, names in STAGES.items()}
    assert digests(copy) == fresh
