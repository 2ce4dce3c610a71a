"""The whole site from records: seconds, no GPU, no network; the same records give the same files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmark import __version__
from benchmark.core.files import atomic_write
from benchmark.core.forks import each
from benchmark.core.percent import percent
from benchmark.pages import render as pages
from benchmark.records.columns import number
from benchmark.records.leaderboard import CONTROLS, write_table
from benchmark.site import cards, entry, metrics, numbers, plane, published
from benchmark.site.board import Board
from benchmark.site.columns import further

PACKAGE = "benchmark.site"
FOLDERS = ("boards", "rows", "models", "metrics")


@dataclass(frozen=True)
class Site:
    """What all pages are made of."""

    boards: tuple[Board, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """(file, reason) of records that could not be used: the front page says so."""
    sources: tuple[published.Source, ...] = field(default_factory=published.sources)
    glossary: metrics.Glossary = field(default_factory=metrics.Glossary)

    @cached_property
    def models(self) -> dict[str, cards.Model]:
        """Every model that has a row."""
        return cards.models_of(self.boards)


def write_boards(boards: Sequence[Board], out: Path) -> list[Path]:
    """Write COHORT-KEY-PROTOCOL.md and .csv for every board and return their paths.

    The three parts of a name are letters, digits and few signs (`PathPart`, `Key`), the key in whole: two boards never
    have one file. Raises MachineError as `build_site` does.
    """
    return [path for board in boards for path in _write_table(board, out / f"{board.name}-{board.key}-{board.rules}")]


def _write_table(board: Board, stem: Path) -> list[Path]:
    title = f"{board.name}: memorisation board"
    return write_table(stem, title, board.subtitle, board.table, list(board.notes))


def build_site(boards: Sequence[Board], folder: Path, *, left_out: Sequence[tuple[str, str]] = ()) -> Path:
    """Write the site and return the path of its front page.

    What an earlier build wrote there is replaced: a page of a row that no longer exists must not stay.

    Args:
        boards: all that are shown.
        folder: of the site. The pages link to one another only.
        left_out: (file, reason) of records that could not be used.

    Raises MachineError when the disk is full or refuses to be written.
    """
    site = Site(tuple(boards), tuple(left_out))
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    draw = _Renderer(site)
    for name, html in _pages(site, draw):
        (folder / name).write_text(html, encoding="utf-8")
    rows = [(board, one) for board in site.boards for one in board.entries]
    each(lambda row: _write_row(*row, site, draw, folder), rows)
    for board in site.boards:
        _write_tables(board, folder / "boards")
    return folder / "index.html"


def _write_tables(board: Board, folder: Path) -> None:
    """Write the board for people (Markdown, CSV) and for programs (parquet, one line per row and score)."""
    _write_table(board, folder / board.id)
    with atomic_write(folder / f"{board.id}.parquet") as temporary:
        numbers.long_table(board.entries).to_parquet(temporary, index=False)


def _write_row(board: Board, one: entry.Entry, site: Site, draw: _Renderer, folder: Path) -> None:
    html = draw("row.html", root="../", board=board, one=one, **_of_row(one, site))
    (folder / "rows" / f"{one.id}.html").write_text(html, encoding="utf-8")


def _pages(site: Site, draw: _Renderer) -> Iterator[tuple[str, str]]:
    """Yield the name and text of every page but those of the rows, of which there are many."""
    yield "index.html", draw("index.html")
    yield "reported.html", draw("reported.html")
    for name in ("models", "metrics"):
        yield f"{name}/index.html", draw(f"{name}.html", root="../")
    for metric in site.glossary.metrics:
        yield f"metrics/{metric.page}.html", draw("metric.html", root="../", metric=metric)
    for model in site.models.values():
        yield f"models/{model.id}.html", draw("model.html", root="../", model=model)
    for board in site.boards:
        yield f"boards/{board.id}.html", draw("board.html", root="../", table=True, **_of_board(board, site))


def _of_board(board: Board, site: Site) -> dict[str, Any]:
    shares = [end for one in board.models if (end := one.share and (one.share.high or one.share.value))]
    return {
        "board": board,
        "top": max(shares, default=0.0),
        "figure": plane.plane([*board.models, *board.controls], "plane", root="../", detectable=board.least),
        "drawn": len(plane.points_of(board.models)),
        "further": further(board.models),
        "elsewhere": published.of_cohort(board.name, site.sources),
        "data": cards.data_card(board.name),
    }


def _of_row(one: entry.Entry, site: Site) -> dict[str, Any]:
    model = site.models[one.model]
    return {
        "model": model,
        "sections": numbers.lines_of(one, site.glossary),
        "settings": cards.settings_of(one),
        "history": cards.history(model, one),
        "provenance": cards.provenance(one),
    }


class _Renderer:
    """Renders templates with what all of them use, each loaded once."""

    def __init__(self, site: Site) -> None:
        tools = {
            "site": site, "version": __version__, "percent": percent, "number": number, "entry": entry,
            "score_rows": numbers.score_rows,
            "controls": CONTROLS, "bar": plane.bar, "inline": metrics.inline, "data_card": cards.data_card,
            "lines": {"patients": entry.PATIENTS, "share": entry.SHARE, "frechet": entry.FRECHET, "floor": entry.FLOOR},
        }  # fmt: skip
        self._templates = pages.environment(PACKAGE, tools)
        self._templates.filters["data"] = _as_data
        style = [(PACKAGE, "site.css")]
        theme, table = (pages.asset(PACKAGE, name) for name in ("frame.js", "table.js"))
        self._heads = {False: pages.head(style, theme), True: pages.head(style, theme + table)}

    def __call__(self, name: str, *, root: str = "", table: bool = False, **more: Any) -> str:
        """Return a page; `root` leads from its folder to that of the site, `table` adds the script of a table."""
        return self._templates.get_template(name).render(root=root, look="", **self._heads[table], **more)


def _as_data(value: Any) -> Markup:
    """Return JSON for a script element of a type that no browser runs; `<` is escaped, so that it cannot end early."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704
