from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.cohorts.locate import locate
from benchmark.core.errors import MissingDataError

CARD: Any = SimpleNamespace(
    name="brats20", access="Register at the challenge.", licence="research only", citation="Menze 2015", layout="CASE/"
)
HINT = (
    "\n  hint: Register at the challenge."
    "\n  licence: research only; cite: Menze 2015"
    "\n  layout: CASE/"
    "\n  then give the folder with --root, or put it at data/brats20 or $MEMOBENCH_DATA/brats20"
    "\n  without any download: bench run --model ldm --data phantom-mr"
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMOBENCH_DATA", raising=False)


def refusal(arrays: Any, tmp_path: Path, root: Path | None = None) -> str:
    with pytest.raises(MissingDataError) as caught:
        locate(CARD, arrays, root=root, cache=tmp_path / "cache")
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_given_root(arrays: Any, tmp_path: Path) -> None:
    assert locate(CARD, arrays, root=tmp_path, cache=tmp_path) == tmp_path
    assert refusal(arrays, tmp_path, Path("/nowhere")) == ("brats20 is not on this disk: looked in /nowhere" + HINT)


def test_current_folder(arrays: Any, tmp_path: Path) -> None:
    assert refusal(arrays, tmp_path) == "brats20 is not on this disk: looked in data/brats20" + HINT
    (tmp_path / "data" / "brats20").mkdir(parents=True)
    assert locate(CARD, arrays, cache=tmp_path) == Path("data/brats20")


def test_variable_comes_first(arrays: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOBENCH_DATA", "/elsewhere")
    assert refusal(arrays, tmp_path) == (
        "brats20 is not on this disk: looked in /elsewhere/brats20 and in data/brats20" + HINT
    )
    monkeypatch.setenv("MEMOBENCH_DATA", str(tmp_path))
    (tmp_path / "brats20").mkdir()
    assert locate(CARD, arrays, cache=tmp_path) == tmp_path / "brats20"


def test_embedded_is_made(tmp_path: Path) -> None:
    class Made:
        def create(self, root: Path) -> None:
            root.mkdir(parents=True, exist_ok=True)

    made: Any = Made()
    folder = locate(CARD, made, cache=tmp_path / "cache")
    assert folder.is_dir()
    assert folder.parent == tmp_path / "cache" / "embedded"
    assert locate(CARD, made, root=tmp_path / "here", cache=tmp_path) == tmp_path / "here"
    assert (tmp_path / "here").is_dir()
