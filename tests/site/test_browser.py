"""The site in headless Chromium: sort, search, filter, columns, theme, links, keyboard; no request, no error, axe.

tests/files/chromium.py says what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import browser, opened
from made_boards import build_site
from made_records import made

SCREENS = [("desktop", 1400, "light"), ("dark", 1400, "dark"), ("phone", 390, "light"), ("dark phone", 390, "dark")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


def board_of(site: Path) -> Path:
    """The larger of the two boards."""
    return max((site / "boards").glob("*.html"), key=lambda path: path.stat().st_size)


def kinds(site: Path) -> dict[str, Path]:
    """One page of each kind: the one that shows most."""
    largest = {
        folder: max((site / folder).glob("*.html"), key=lambda path: path.stat().st_size)
        for folder in ("boards", "rows", "models", "metrics")
    }
    front = {name: site / name for name in ("index.html", "reported.html", "models/index.html", "metrics/index.html")}
    return {**front, **largest}


def models(page: Any) -> list[str]:
    return [str(text) for text in page.locator("#board tbody tr:visible th a").all_text_contents()]


@pytest.mark.parametrize(("screen", "width", "scheme"), SCREENS, ids=[name for name, *_ in SCREENS])
def test_every_kind_of_page_is_clean(chromium: Any, site: Path, screen: str, width: int, scheme: str) -> None:
    for name, path in kinds(site).items():
        with opened(chromium, path, width=width, scheme=scheme) as seen:
            assert seen.requests == [path.as_uri()], name
            assert seen.errors == [], name
            assert seen.overflow() == 0, name
            assert seen.axe() == [], name


def test_a_board_is_sorted_searched_and_filtered(chromium: Any, site: Path) -> None:
    with opened(chromium, board_of(site)) as seen:
        page = seen.page
        assert models(page) == ["vae", "ddpm", "ldm", "vqgan"]
        frechet = page.get_by_role("button", name="Frechet distance")
        frechet.click()
        assert models(page) == ["vqgan", "ldm", "ddpm", "vae"]  # 25, 30, 45, 60
        assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Frechet")
        frechet.click()
        assert models(page) == ["vae", "ddpm", "ldm", "vqgan"]
        page.get_by_role("button", name="exposed share").click()
        page.get_by_role("button", name="exposed share").click()
        assert models(page) == ["ldm", "ddpm", "vae", "vqgan"]  # a refused row is last in either direction
        page.get_by_label("Search").fill("v q")
        assert models(page) == ["vqgan"]
        assert page.locator("#count").inner_text() == "1 of 4 rows"
        page.get_by_label("Search").fill("")
        page.locator("#by-answer").select_option("copies shown")
        assert models(page) == ["ldm", "ddpm"]
        page.locator("#by-model").select_option("ddpm")
        assert models(page) == ["ddpm"]
        page.get_by_role("button", name="Reset").click()
        assert models(page) == ["vae", "ddpm", "ldm", "vqgan"]
        assert page.locator("th[aria-sort]").count() == 0
        assert seen.errors == []


def test_further_columns_come_on_demand(chromium: Any, site: Path) -> None:
    with opened(chromium, board_of(site)) as seen:
        page = seen.page
        before = page.locator("#board thead th").count()
        page.get_by_text("More columns").click()
        page.get_by_label("peak memory").check()
        page.get_by_label("copy rate", exact=True).check()
        heads = page.locator("#board thead th").all_inner_texts()
        assert [head.split("\n")[0].strip() for head in heads[before:]] == ["copy rate", "peak memory"]
        row = page.locator("#board tbody tr", has_text="ddpm")
        assert row.locator("td").nth(-2).inner_text().split() == ["0.060", "0.040", "to", "0.080"]
        assert row.locator("td").last.inner_text() == "1.00 GiB"
        page.get_by_role("button", name="copy rate").click()
        assert page.locator("#board th[aria-sort]").inner_text().startswith("copy rate")
        assert seen.overflow() == 0
        assert seen.axe() == []
        page.get_by_label("copy rate", exact=True).uncheck()
        assert page.locator("#board thead th").count() == before + 1


def test_the_keyboard_is_enough(chromium: Any, site: Path) -> None:
    with opened(chromium, board_of(site)) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        page.locator("#search").focus()
        page.keyboard.type("vae")
        assert models(page) == ["vae"]
        page.locator("#board thead button").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("#board thead th").first.get_attribute("aria-sort") == "ascending"
        page.locator("svg.plane a").first.focus()
        assert page.evaluate("document.activeElement.tagName") == "a"
        page.keyboard.press("Enter")
        page.wait_for_url("**/rows/*.html")
        assert page.locator("#answer").is_visible()


def test_links_lead_from_the_front_page_to_a_definition(chromium: Any, site: Path) -> None:
    with opened(chromium, site / "index.html") as seen:
        page = seen.page
        page.get_by_role("link", name="cxr-pneumonia").click()
        page.locator("#board").get_by_role("link", name="ldm").click()
        assert page.locator("h1").inner_text() == "ldm, smoke"
        page.get_by_role("link", name="exposed.items[copy]", exact=True).click()
        assert page.locator("h1").inner_text() == "exposed.items"
        page.get_by_role("navigation", name="Site").get_by_role("link", name="Boards").click()
        assert page.locator("h1").inner_text() == "Have generative models memorised their training patients?"
        assert all(url.startswith(site.as_uri()) for url in seen.requests)
        assert seen.errors == []


def test_the_theme_can_be_chosen(chromium: Any, site: Path) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    with opened(chromium, board_of(site), scheme="dark") as seen:
        page, button = seen.page, seen.page.locator("#theme")
        assert page.evaluate(back) == "rgb(20, 23, 26)"
        button.click()
        assert (button.inner_text(), page.evaluate(back)) == ("Theme: light", "rgb(255, 255, 255)")
        assert seen.axe() == []
        button.click()
        assert (button.inner_text(), page.evaluate(back)) == ("Theme: dark", "rgb(20, 23, 26)")
        page.reload()
        assert button.inner_text() == "Theme: dark"


def test_a_phone_sorts_by_a_list_and_keeps_the_meaning_of_the_table(chromium: Any, site: Path) -> None:
    with opened(chromium, board_of(site), width=390) as seen:
        page = seen.page
        page.get_by_label("Sort by").select_option(label="Frechet distance, lowest first")
        assert models(page) == ["vqgan", "ldm", "ddpm", "vae"]
        assert page.get_by_role("rowheader", name="ddpm").first.is_visible()
        label = "getComputedStyle(document.querySelector('#board td:nth-child(5)'), '::before').content"
        assert page.evaluate(label) == '"exposed share"'


def test_paper_shows_everything_and_no_buttons(chromium: Any, site: Path) -> None:
    with opened(chromium, kinds(site)["rows"]) as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.locator("details:not([open]) table").first.is_visible()
        assert not seen.page.locator("#theme").is_visible()


def test_a_board_without_scripts_is_whole(chromium: Any, site: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(board_of(site).as_uri())
    assert models(page) == ["vae", "ddpm", "ldm", "vqgan"]
    assert not page.locator("#tools").is_visible()
    context.close()


@pytest.mark.slow
def test_a_board_of_a_thousand_rows_opens_in_a_second(chromium: Any, tmp_path: Path) -> None:
    given = [
        made("vae", 0.001 * (number % 90), spec={"settings": {"width": number}}, quality=20.0 + number % 70)
        for number in range(1000)
    ]
    build_site(given, tmp_path)
    (path,) = (tmp_path / "boards").glob("*.html")
    assert path.stat().st_size < 2_000_000
    with opened(chromium, path) as seen:
        assert seen.page.locator("#count").inner_text() == "1000 of 1000 rows"
        assert 0 < seen.seconds < 5  # of the processor; one second on a machine that does nothing else
