"""Tables of documents that a command has made are what the command makes now: no number in them can go stale."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import made

from benchmark.cli.publish import table_of
from benchmark.site.documents import read_document, refreshed

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/*.md", "leaderboards/*.md") for path in ROOT.glob(pattern))


def stale(path: Path) -> bool:
    """Return whether a table of a document is another one than its command makes."""
    text = read_document(path)
    return refreshed(text, lambda command: table_of(command)[0], str(path)) != text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_fresh(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert not stale(path), f"run: bench leaderboard table --into {path.relative_to(ROOT)}"


def test_a_stale_table_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made("vae", 0.1).submit(tmp_path / "records" / "vae.json")
    document = tmp_path / "results.md"
    document.write_text("<!-- table: bench leaderboard table records -->\n<!-- /table -->\n")
    assert stale(document)
    document.write_text(refreshed(document.read_text(), lambda command: table_of(command)[0]))
    assert not stale(document)
    made("vae", 0.1, seed=1).submit(tmp_path / "records" / "second.json")
    assert stale(document)
    document.write_text("| vae | 0.2 |\n")
    assert not stale(document)
