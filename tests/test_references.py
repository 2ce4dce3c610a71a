"""Documents and docstrings name files and modules that exist."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY

ROOT = Path(__file__).parents[1]
PLACES = ("benchmark", "models", "datasets", "scripts")
CODE = sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))
NAMES = {path.name for path in CODE}
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("leaderboards/*.md")), *sorted(ROOT.glob("docs/*.md"))]
FOLDERS = "|".join((*PLACES, "tests", "docs", "leaderboards"))
PATH = re.compile(rf"(?:{FOLDERS})/[\w/]+\.(?:py|md|toml|html|yml|png)\b")
MODULE = re.compile(r"\bbenchmark(?:\.\w+)+")
LINK = re.compile(r"\]\(([^)#:]+)\)")
THEIRS = {"train.py"}
"""Files of other projects that documents compare with."""
WRITTEN = {"leaderboards/site/index.html"}
"""Files that commands of the documents write."""


def placeholder(name: str, written: Collection[str] = ()) -> bool:
    """Return whether a name has a part in capitals, such as models/NAME/card.toml, or is among those written."""
    return name in written or any(part.isupper() for part in re.split(r"[/.]", name))


def missing(text: str, folder: Path, *, markdown: bool) -> Iterator[str]:
    """Names in a text of a folder for which there is no file, module or member of a module."""
    yield from (name for name in PATH.findall(text) if not (ROOT / name).exists() and not placeholder(name, WRITTEN))
    yield from (name for name in re.findall(r"`(\w+\.py)`", text) if name not in NAMES | THEIRS)
    if markdown:
        yield from (link for link in LINK.findall(text) if not (folder / link).exists())
        yield from (name for name in MODULE.findall(text) if not placeholder(name) and not has_member(name))


def has_member(name: str) -> bool:
    """Return whether a dotted name is a module, or is written in the module that its beginning names."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            rest = parts[end : end + 1]
            return not rest or bool(re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")))
    return False


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_what_exists(path: Path) -> None:
    assert sorted(set(missing(path.read_text(encoding="utf-8"), path.parent, markdown=True))) == []


@pytest.mark.parametrize("place", PLACES)
def test_docstrings_name_what_exists(place: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in CODE if path.is_relative_to(ROOT / place)}
    lines = [f"{path}: {name}" for path, text in texts.items() for name in missing(text, ROOT, markdown=False)]
    assert lines == []


def test_what_is_missing_is_seen() -> None:
    text = (
        "`benchmark/search/engine.py` benchmark/search/gone.py `engine.py` `gone.py` `train.py` "
        "benchmark.search.search benchmark.search.gone benchmark.search.engine.nearest benchmark.search.engine.gone "
        "benchmark.gone models/NAME/card.toml [here](README.md) [there](GONE.md) [web](https://example.org)"
    )
    assert list(missing(text, ROOT, markdown=True)) == [
        "benchmark/search/gone.py", "gone.py", "GONE.md", "benchmark.search.gone", "benchmark.search.engine.gone",
        "benchmark.gone",
    ]  # fmt: skip


def undocumented(ids: Iterator[str], text: str) -> list[str]:
    """Ids of scores that a page does not have, neither whole nor as their last part: `.null`, `dcr_share`."""
    parts = {part.removeprefix(".").partition("[")[0] for part in re.findall(r"`([\w.\[\]-]+)`", text)}
    names = (name.partition("[")[0] for name in ids)
    return [name for name in names if not {name, name.partition(".")[2], name.rpartition(".")[2]} & parts]


def test_every_score_is_in_the_page_of_metrics() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    lines = (*LINES, *FURTHER, *QUALITY, *FURTHER_QUALITY, *PROMPTS)
    assert undocumented((line.id for line in lines), page) == []


def test_a_score_without_a_text_is_seen() -> None:
    ids = ["copies.rate", "copies.null", "neighbours.c_t", "quality.new[random-conv]", "exposed.new"]
    assert undocumented(iter(ids), "`copies.rate`, `.null`, `c_t`, `quality.old`") == ["quality.new", "exposed.new"]
