"""The site of the boards: which rows meet, what each page says, that links lead somewhere, and that texts stay text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from made_boards import build_site, write_boards
from made_records import declined, made, several

from benchmark.core.errors import BadDataError
from benchmark.records.definitions import definitions
from benchmark.records.record import Record
from benchmark.site import plane, published
from benchmark.site.board import Board, boards_of
from benchmark.site.columns import further
from benchmark.site.entry import ANSWERS, cost_text, duration
from benchmark.site.metrics import Glossary, inline
from benchmark.site.numbers import lines_of
from benchmark.site.standing import Standing, joined, key_of

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>" onload="x\' \x1b[31m\u202e'


@dataclass
class Page(HTMLParser):
    """Tags, attributes and text of a page as a browser reads them."""

    html: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [given[attribute] or "" for name, given in self.tags if name == tag and attribute in given]


def board(*records: Record, standings: dict[str, Standing] | None = None) -> Board:
    (one,) = boards_of(records, standings or {}, {})
    return one


def page_of(folder: Path, model: str) -> Page:
    """The page of the only row of a model."""
    (found,) = (path for path in (folder / "rows").glob("*.html") if f"<h1>{model}, smoke" in path.read_text())
    return Page(found.read_text())


# Rows and ranks


def test_controls_refusals_and_failures_are_apart() -> None:
    one = next(one for one in boards_of(several(), {}, {}) if one.name == "cxr-pneumonia")
    assert [(row.model, row.rank) for row in one.models] == [("vae", 1), ("ddpm", 2), ("ldm", 3), ("vqgan", "")]
    assert [row.answer.words for row in one.models] == ["none shown", "copies shown", "copies shown", "refused"]
    assert [row.model for row in one.controls] == ["copycat", "gaussian"]
    assert [(row.model, row.record.reason) for row in one.absent] == [("stylegan2-ada", "no checkout")]
    assert [len(row.row.seeds) for row in one.models] == [1, 1, 2, 1]
    assert (one.counted("hold"), one.counted("none"), one.counted("unsure")) == (2, 1, 1)
    assert one.heldout == ("0.0 %", "0.0 % to 1.0 %", 6, 6)
    assert not one.blind


def test_a_row_that_cannot_tell_has_no_rank(tmp_path: Path) -> None:
    """Noise copies nobody: with a rank it would be first. The tables say the same."""
    noise = made("noise")
    noise.scores["samples.unlike"] = noise.scores["detectable.share"].model_copy(
        update={"value": 0.9, "reason": "90 % of the samples are unlike the training images"}
    )
    one = board(noise, made("ddpm", 0.1))
    assert [(row.model, row.rank, row.answer.words) for row in one.models] == [
        ("ddpm", 1, "copies shown"), ("noise", "", "cannot tell"),
    ]  # fmt: skip
    markdown, _ = write_boards([noise, made("ddpm", 0.1)], tmp_path)
    assert [line.split(" | ")[:3] for line in markdown.read_text().splitlines() if "smoke" in line] == [
        ["| 1", "1 to 1", "ddpm"], ["| ", "", "noise"],
    ]  # fmt: skip


def test_the_worst_seed_decides() -> None:
    one = board(made("ldm", 0.0), made("ldm", 0.3, seed=1), made("vae", 0.0), made("vae", None, seed=1))
    assert {row.model: row.answer.words for row in one.models} == {"ldm": "copies shown", "vae": "refused"}


def test_a_positive_control_that_shows_nothing_is_said(tmp_path: Path) -> None:
    assert board(made("copycat", 0.0), made("vae")).blind
    build_site([made("copycat", 0.0), made("vae")], tmp_path)
    (page,) = (tmp_path / "boards").glob("*.html")
    assert "no row is an all-clear" in Page(page.read_text()).text


def test_every_kind_of_answer_is_known() -> None:
    given = [made("a", 0.3), made("b", 0.0), made("c", None), declined("d")]
    assert [board(one).entries[0].answer.words for one in given] == [
        "copies shown", "none shown", "refused", "not scored",
    ]  # fmt: skip
    assert set(ANSWERS) == {"HOLD", "REFUSED", "CANNOT TELL", "NOT SCORED", "NOTHING FOUND"}


def test_a_withdrawn_row_stays_with_its_reason(tmp_path: Path) -> None:
    first, second = made("vae", 0.1), made("ldm", 0.2)
    standings = {key_of(first): Standing(retracted="trained on test patients"), key_of(second): Standing("verified")}
    one = board(first, second, standings=standings)
    assert [(row.model, row.rank) for row in one.entries] == [("ldm", 1), ("vae", "withdrawn")]
    build_site([first, second], tmp_path, standings=standings)
    assert "trained on test patients" in page_of(tmp_path, "vae").text
    assert "Receipt verified" in page_of(tmp_path, "ldm").text
    assert "No receipt was checked" in page_of(tmp_path, "vae").text
    (page,) = (tmp_path / "boards").glob("*.html")
    assert "trained on test patients" in Page(page.read_text()).text


def test_a_row_is_verified_where_all_of_its_records_are() -> None:
    assert joined([Standing("verified"), Standing("verified")]) == Standing("verified")
    assert joined([Standing("verified"), Standing()]) == Standing()
    assert joined([Standing("verified"), Standing("differs", "x")]) == Standing("differs", "x")


def test_a_page_keeps_its_name_when_seeds_join() -> None:
    before, after = board(made("ldm")), board(made("ldm"), made("ldm", seed=1))
    assert before.entries[0].id == after.entries[0].id
    twice = board(made("ldm"), made("ldm", 0.1))
    assert len({row.id for row in twice.entries}) == 2


# Pages


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for path in pages:
        page = Page(path.read_text())
        ids = {given["id"] for _, given in page.tags if "id" in given}
        for link in page.all("a", "href"):
            parts = urlsplit(link)
            if parts.scheme:
                assert link.startswith("https://arxiv.org/")
                continue
            assert not link.startswith("/")
            assert not parts.path or (path.parent / parts.path).is_file(), (path, link)
            assert parts.path or parts.fragment in ids, (path, link)


def test_no_page_requests_anything(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = Page(path.read_text())
        loading = [(tag, given) for tag, given in page.tags if {"src", "srcset", "data", "action"} & given.keys()]
        assert loading == []
        assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "img", "base")]
        assert not [name for _, given in page.tags for name in given if name.startswith("on") or name == "style"]
        (policy,) = [given["content"] for _, given in page.tags if given.get("http-equiv")]
        assert (policy or "").startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_file_names_come_from_digests(tmp_path: Path) -> None:
    build_site([made(HOSTILE, checked=False), made("../../up", checked=False)], tmp_path / "site")
    names = [path.name for path in (tmp_path / "site").rglob("*") if path.is_file() and path.parent.name != "metrics"]
    assert all(re.fullmatch(r"(index|reported|[0-9a-f]{16})\.(html|csv|md|parquet)", name) for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_texts_of_a_record_stay_text(tmp_path: Path) -> None:
    hostile = made(
        HOSTILE, spec={"preset": HOSTILE, "settings": {"a": HOSTILE, "path": "/home/anna/x.csv"}},
        cohort={"notes": (HOSTILE,), "channels": (HOSTILE,)}, environment={"memobench": HOSTILE, "device": HOSTILE},
        checked=False,
    )  # fmt: skip
    hostile.scores[f"own.score[{HOSTILE}]"] = made().scores["detectable.share"].model_copy(update={"reason": HOSTILE})
    given = [hostile, declined(HOSTILE, HOSTILE, checked=False), made("vae")]
    standings = {key_of(given[2]): Standing(retracted=HOSTILE)}
    build_site(given, tmp_path, standings=standings, left_out=[(HOSTILE, HOSTILE)])
    for path in tmp_path.rglob("*.html"):
        html = path.read_text()
        page = Page(html)
        assert "img" not in [tag for tag, _ in page.tags], path
        assert len(page.all("script", "type")) + html.count("<script>") == [tag for tag, _ in page.tags].count("script")
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert "anna" not in html
    (front,) = [Page((tmp_path / "index.html").read_text())]
    assert "<script>alert(1)</script>" in front.text


def test_data_in_a_page_cannot_end_its_element(tmp_path: Path) -> None:
    record = made("a</script><b>", checked=False)
    record.environment["device"] = "</script><b>\u202e"
    build_site([record], tmp_path)
    (page,) = (tmp_path / "boards").glob("*.html")
    data = re.search(r'id="further">(.*?)</script>', page.read_text(), re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    assert "\\u003c/script>" in data[1]
    (cells,) = json.loads(data[1])["rows"].values()
    assert "</script><b>\\u202e" in cells


def test_a_row_page_has_every_score_with_direction_n_and_definition(site: Path) -> None:
    page = page_of(site, "ldm")
    scores = made().scores
    for name, score in scores.items():
        assert name in page.text
        assert str(score.n) in page.text
    links = page.all("a", "href")
    assert "../metrics/exposed-patients.html" in links
    assert "../metrics/copies-null.html" in links
    assert "0.300" in page.text
    assert "1f3f44305933" in page.text


def test_the_page_of_a_model_lists_all_of_its_rows(site: Path) -> None:
    pages = [Page(path.read_text()) for path in (site / "models").glob("*.html") if path.name != "index.html"]
    (vae,) = (page for page in pages if "sampled from a normal fitted" in page.text)
    assert "cxr-pneumonia" in vae.text
    assert "phantom-mr" in vae.text
    assert "Apache-2.0" in vae.text


def test_a_model_without_a_card_is_said(tmp_path: Path) -> None:
    build_site([made("somebody-elses")], tmp_path)
    (page,) = (path for path in (tmp_path / "models").glob("*.html") if path.name != "index.html")
    assert "is not part of this installation" in Page(page.read_text()).text


def test_other_versions_of_a_configuration_are_its_history(tmp_path: Path) -> None:
    given = [made("ldm"), made("ldm", protocol="custom", environment={"memobench": "0.0.9"})]
    build_site(given, tmp_path)
    pages = [Page(path.read_text()) for path in (tmp_path / "rows").glob("*.html")]
    assert len(pages) == 2
    assert sum("0.0.9" in page.text for page in pages) == 2


def test_every_definition_has_a_page(site: Path) -> None:
    for row in definitions():
        page = next(one for one in Glossary().metrics if one.definition.ids == row.ids)
        text = Page((site / "metrics" / f"{page.page}.html").read_text()).text
        assert inline(row.meaning).striptags() in " ".join(text.split())
        assert inline(row.fails).striptags() in " ".join(text.split())


def test_refused_files_are_named_on_the_front_page(site: Path) -> None:
    text = Page((site / "index.html").read_text()).text
    assert "1 file was refused" in text
    assert "records/broken.json" in text


def test_an_earlier_build_leaves_no_page(tmp_path: Path) -> None:
    build_site([made("old")], tmp_path)
    build_site([made("new")], tmp_path)
    assert len(list((tmp_path / "rows").iterdir())) == 1
    assert "old, smoke" not in "".join(path.read_text() for path in tmp_path.rglob("*.html"))


def test_the_same_records_give_the_same_files(tmp_path: Path) -> None:
    build_site(several(), tmp_path / "a")
    build_site(several(), tmp_path / "b")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_parquet_has_numbers(site: Path) -> None:
    tables = [pd.read_parquet(path) for path in (site / "boards").glob("*.parquet")]
    table = max(tables, key=len)
    headline = table[(table["score"] == "exposed.items[copy]") & (table["model"] == "ddpm")]
    assert headline[["value", "low", "high"]].to_numpy().tolist() == [[0.1, pytest.approx(0.07), pytest.approx(0.12)]]
    refused = table[(table["score"] == "exposed.items[copy]") & (table["model"] == "vqgan")]
    assert refused["value"].isna().all()
    assert refused["reason"].tolist() == ["refused: the split is not fair"]
    absent = table[table["model"] == "stylegan2-ada"]
    assert absent[["score", "reason", "status"]].to_numpy().tolist() == [["", "no checkout", "declined"]]


# Parts


def test_points_link_to_their_rows_and_say_their_numbers() -> None:
    one = board(made("vae", 0.1, quality=40.0), made("copycat", 0.3), made("none", None))
    drawn = plane.plane([*one.models, *one.controls], "plane", root="../", detectable=one.least)
    page = Page(str(drawn))
    assert sorted(page.all("a", "href")) == sorted(
        f"../rows/{row.id}.html" for row in one.entries if row.model != "none"
    )
    assert "vae, smoke: copies shown; exposed share 10.0 % (7.0 % to 12.0 %), Frechet distance 40.0" in page.text
    assert page.tags[0][1]["role"] == "group"
    assert "below 1.5 % nothing can be shown" in page.text
    assert plane.plane(board(made("none", None)).models, "plane", root="../") is None


def test_names_of_near_points_do_not_cover_each_other() -> None:
    given = [made(model, 0.0, quality=40.0 + 0.1 * number) for number, model in enumerate(("vae", "vqvae", "ldm"))]
    drawn = str(plane.plane(board(*given).models, "plane", root=""))
    places = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*class="halo">', drawn)
    assert len(set(places)) == len(places) > 1
    assert "on-demand" not in str(plane.plane(board(made("vae", 0.1)).models, "plane", root=""))
    crowd = [made("vae", 0.0, quality=40.0, spec={"settings": {"width": number}}) for number in range(8)]
    assert "on-demand" in str(plane.plane(board(*crowd).models, "plane", root=""))


def test_many_points_have_no_whiskers() -> None:
    given = [made("vae", 0.1, spec={"settings": {"width": number}}) for number in range(plane.WHISKERS + 1)]
    one = board(*given)
    assert "whisker" in str(plane.plane(one.models[:-1], "plane", root=""))
    crowded = str(plane.plane(one.models, "plane", root=""))
    assert "whisker" not in crowded
    assert "Lines are 95 % intervals" not in crowded


@pytest.mark.parametrize(
    ("low", "value", "high", "path"),
    [(0.0, 0.05, 0.1, "M2 5H98"), (0.025, 0.05, 0.2, "M26 5H98"), (None, 0.05, None, "")],
)
def test_a_bar_ends_where_its_interval_does(low: float | None, value: float, high: float | None, path: str) -> None:
    score = made().scores["detectable.share"].model_copy(update={"low": low, "value": value, "high": high})
    paths = Page(str(plane.bar(score, 0.1))).all("path", "d")
    assert paths == ["M2 5H98", *([path] if path else [])]
    assert 'cx="50"' in str(plane.bar(score, 0.1))


def test_further_columns_are_those_that_a_row_has() -> None:
    one = board(made("vae"), made("ldm", 0.1))
    given = further(one.models)
    titles = [column["title"] for column in given["columns"]]
    assert {"copy rate", "copy rate: null", "samples", "peak memory", "device"} <= set(titles)
    assert not {"model", "settings", "exposed share", "fit", "receipt"} & set(titles)
    row = dict(zip(titles, given["rows"][one.models[0].id], strict=True))
    assert (row["copy rate"], row["peak memory"]) == ("0.060 [0.040, 0.080]", "1.00 GiB")


def test_scores_are_grouped_as_in_the_document() -> None:
    (row,) = board(made("vae")).entries
    groups = lines_of(row, Glossary())
    assert list(groups["Exposure, for each detector"]) == ["copy", "pixels", ""]
    (line,) = (line for line in groups["Exposure, for each detector"]["copy"] if line.name == "copies.null[copy]")
    assert (line.value, line.interval, line.n, line.better) == ("0.050", "0.030 to 0.070", "400", "lower")


def test_published_figures_name_their_paper_and_version() -> None:
    given = published.sources()
    assert all(one.citation and one.version and one.figures for one in given)
    (one,) = published.of_cohort("cxr-pneumonia", given)
    assert [figure.value for figure in one.figures] == ["0.87679", "0.90564", "0.89733", "0.92314"]
    assert published.of_cohort("phantom-mr", given) == ()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("fit_seconds", 12.4, "12 s"), ("fit_seconds", 600, "10.0 min"), ("peak_bytes", 2**30, "1.00 GiB"),
        ("parameters", 474_000, "474,000"), ("parameters", 4.1e6, "4.10 million"), ("fit_joules", 30_000, "30.0 kJ"),
    ],
)  # fmt: skip
def test_costs_have_units(name: str, value: float, text: str) -> None:
    assert cost_text(name, value) == text
    assert duration(200_000) == "2.3 days"


def test_markdown_of_the_document_becomes_code_and_text() -> None:
    assert (
        str(inline("`a<b` is in [protocol.md](protocol.md) <i>")) == "<code>a&lt;b</code> is in protocol.md &lt;i&gt;"
    )


def test_a_site_of_no_records_has_a_front_page(tmp_path: Path) -> None:
    """All records were refused: the page says so, and no error hides it."""
    build_site([], tmp_path, left_out=[("a.json", str(BadDataError("broken", "fix it")))])
    assert "1 file was refused" in Page((tmp_path / "index.html").read_text()).text
