"""Names on the terminal and in reports: what a terminal obeys is shown, not obeyed."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest

from benchmark.cli.apps import set_verbosity
from benchmark.cli.echo import echo
from benchmark.cli.tables import print_table
from benchmark.core import progress
from benchmark.core.model_files import notice
from benchmark.pages.render import visible

ROOT = Path(__file__).parents[2]
NAME = "P\x1b[31m\u202egnp\nx\udcff\x07"
WRITERS = ("print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write")
SHOWN = r"P\x1b[31m\u202egnp\nx\udcff\x07"


def test_every_way_to_the_terminal_shows_a_name_safely(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    monkeypatch.delenv("BENCH_QUIET", raising=False)
    echo(NAME)
    echo(NAME, err=True)
    progress.to_stderr(NAME)
    notice(NAME)
    with progress.progress(NAME, 1) as advance:
        advance(note=NAME)
    print_table("title \x1b[2J", ("name",), [(NAME.replace("\n", ""),)])
    out, err = capsys.readouterr()
    assert err.splitlines() == [SHOWN, SHOWN, f"note: {SHOWN}", f"{SHOWN}: 1/1, 0 s left, {SHOWN}"]
    assert out.splitlines()[0] == SHOWN
    assert r"title \x1b[2J" in out
    assert SHOWN.replace(r"\n", "") in out
    assert not {"\x1b", "\u202e", "\x07"} & set(out + err)


def test_logs_of_libraries_show_names_safely(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TRACE", "")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    set_verbosity(quiet=False, verbose=True)
    logging.getLogger("library").info("read %s", NAME)
    assert capsys.readouterr().err == "library: read P\\x1b[31m\\u202egnp\nx\\udcff\\x07\n"


def test_pages_show_names_safely() -> None:
    assert visible("a\u202eb\x1bc") == r"a\u202eb\x1bc"
    assert visible("12\xa0mm, Ge\xadrät\n") == "12\xa0mm, Ge\xadrät\n"
    assert visible(3) == 3


def test_commands_print_in_one_way() -> None:
    """Only `echo`, the supervisor, JSON (which is ASCII) and rich tables write to the terminal."""
    found = []
    for path in sorted((ROOT / "benchmark/cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in WRITERS:
                found.append(f"{path.stem}: {ast.unparse(node)}")
    assert found == [
        r"aftermath: sys.stderr.write(printable(text, keep='\n') + '\n')",
        "echo: typer.echo(printable(str(text), keep=keep), err=err)",
        "tables: print(json.dumps(value, indent=2, default=str))",
    ]
