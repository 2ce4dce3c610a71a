"""The files of a plugin's code: of `./file.py` also what only running it tells, of a package its whole distribution."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.core.source_digest import source_digest
from benchmark.plugins import registry
from benchmark.plugins.registry import find_model, load_class, source_files


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """Forget the modules that a test has imported."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def digest_of(name: str) -> str:
    card = find_model(name)
    load_class("models", card)
    return source_digest(*source_files("models", card))


def test_a_module_that_only_running_the_file_names_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hidden_part.py").write_text("import deeper_part\n")
    (tmp_path / "deeper_part.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text(
        "import importlib\nimportlib.import_module('hidden_' + 'part')\nclass Model: pass\n"
    )
    name = f"{tmp_path}/mine.py:Model"
    first = digest_of(name)
    assert digest_of(name) == first
    for part in ("hidden_part", "deeper_part"):
        (tmp_path / f"{part}.py").write_text("x = 2\n")
        second = digest_of(name)
        assert second != first, part
        first = second


def test_a_module_of_the_search_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH leads to it, from another folder than that of the file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.syspath_prepend(str(elsewhere))
    (elsewhere / "blocks_of_mine.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text("def fit():\n    from blocks_of_mine import x\n")
    first = source_digest(tmp_path / "mine.py")
    (elsewhere / "blocks_of_mine.py").write_text("x = 2\n")
    assert source_digest(tmp_path / "mine.py") != first


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution of two packages and a file of weights; its entry point is in one package."""
    site = tmp_path / "site-packages"
    for name, text in (
        ("some_plugin/__init__.py", ""),
        ("some_plugin/adapter.py", "class Model: pass\n"),
        ("some_plugin/weights.bin", "12"),
        ("some_other/__init__.py", ""),
        ("some_plugin-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-plugin\nVersion: 1.0\n"),
        ("some_plugin-1.0.dist-info/entry_points.txt", "[benchmark.models]\nsome = some_plugin.adapter:Model\n"),
        ("some_plugin-1.0.dist-info/RECORD", "some_plugin/adapter.py,,\nsome_other/__init__.py,,\n../bin/run,,\n"),
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    monkeypatch.syspath_prepend(str(site))
    registry.listing.cache_clear()
    yield site
    registry.listing.cache_clear()


def test_every_file_of_a_distribution_counts(installed: Path) -> None:
    first = digest_of("some")
    for name in ("some_plugin/adapter.py", "some_plugin/weights.bin", "some_other/__init__.py"):
        (installed / name).write_text("x = 22\nclass Model: pass\n")
        second = digest_of("some")
        assert second != first, name
        first = second
    (installed / "some_plugin-1.0.dist-info" / "RECORD").write_text("some_other/__init__.py,,\n")
    (installed / "some_plugin" / "adapter.py").write_text("# said\nx = 22\nclass Model: pass\n")
    assert digest_of("some") == first, "neither notes of the installation nor comments count"
