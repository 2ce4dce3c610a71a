"""The two pages: every number, every name escaped, nothing private in the summary, never a false all-clear."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from benchmark.core.types import Score
from benchmark.evaluation.report import page as pages
from benchmark.evaluation.report.data import ReportImages, ReportInput
from benchmark.evaluation.report.texts import GLOSSARY, PLANTED
from benchmark.evaluation.report.viewer import show
from benchmark.evaluation.verdict import ABOVE, TOO_WEAK
from benchmark.images.registration import Placement

from .conftest import COPY, HOSTILE, PIXELS, Made, images_of, smooth, suspect

Written = Callable[..., tuple[str, str]]
VOID = {"meta", "img", "input", "br", "link", "wbr"}


class Page(HTMLParser):
    """The elements of a page, each with its attributes and all text within it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs}, [""])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, [""]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element[2][0] += data

    def all(self, tag: str, **attributes: str) -> list[str]:
        """The texts of all elements with this tag and these attributes."""
        return [
            " ".join(text[0].split())
            for name, given, text in self.elements
            if name == tag and all(given.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]


def rows(page: Page) -> list[list[str]]:
    """The cells of all rows of all tables."""
    cells: list[list[str]] = []
    for tag, _, text in page.elements:
        if tag == "tr":
            cells.append([])
        elif tag in ("td", "th"):
            cells[-1].append(" ".join(text[0].split()))
    return cells


def shown(score: Score, digits: int) -> str:
    """What the page must show, written a second time."""
    if score.value is None:
        return score.reason.partition(":")[0]
    if score.low is None or score.high is None:
        return f"{score.value:.{digits}f}"
    return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"


WHOLE = {
    "exposed.patients", "exposed.verbatim", "withheld.items", "withheld.false_items", "growth.times10",
    "growth.times100", "detectable.patients",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["hold", "nothing found", "cannot tell"])
@pytest.mark.parametrize("which", [0, 1], ids=["report", "summary"])
def test_every_number_of_every_detector_is_there(written: Written, made: Made, kind: str, which: int) -> None:
    given = made(kind)
    table = rows(Page(written(given)[which]))
    for one in given.detectors:
        for name, score in one.scores.items():
            if name.startswith("detector."):
                continue
            digits = 0 if name in WHOLE else 2 if name == "privacy.epsilon" else 3
            count = "" if score.n is None else str(score.n)
            lines = [row for row in table if row and row[0] == name]
            assert len(lines) == len(given.detectors)
            assert all(row[1:3] == [shown(score, digits), count] for row in lines), name


def test_a_score_that_differs_between_detectors_is_under_its_own(written: Written, made: Made) -> None:
    given = made()
    other = {**given.detectors[1].scores, "members.auc": Score(value=0.5432, low=0.5, high=0.6, n=90)}
    report = replace(given, detectors=(given.detectors[0], replace(given.detectors[1], scores=other)))
    values = [row[1] for row in rows(Page(written(report)[0])) if row and row[0] == "members.auc"]
    assert values == ["0.617 [0.551, 0.683]", "0.543 [0.500, 0.600]"]


def test_the_verdict_comes_first_with_its_three_numbers(written: Written, made: Made) -> None:
    for html in written(made()):
        page = Page(html)
        assert page.all("h2")[0] == "Hold: copies of training images were found"
        assert page.all("dd")[:3] == [
            "7.1 % (4.3 % to 11.9 %) estimate and 95 % interval, of 40 images",
            "3 (2 to 6) estimate and 95 % interval, of 60 patients",
            "3.4 % with 95 % probability",
        ]
        sentence = "2 of 40 synthetic images look like one particular training patient (comparison of grey values)."
        assert page.all("p", class_="sentence") == [sentence]


def test_planted_copies_show_recall_at_both_thresholds(written: Written, made: Made) -> None:
    for html in written(made()):
        table = {row[-3]: row[-2:] for row in rows(Page(html)) if len(row) >= 3}
        assert table["Identical copy"] == ["98 % (95 % to over 99 %) at tau 100 % (97 % to 100 %)"] * 2
        assert table["Rotated by 15 degrees"] == ["11 % (7 % to 17 %) at tau 33 % (26 % to 40 %)"] * 2
        assert table["Only a part copied: 16 % of the image"] == ["not measured"] * 2


def test_limits_name_what_would_be_missed(written: Written, made: Made) -> None:
    limits = Page(written(made())[0]).all("li")
    assert "No detector counts half of the copies that were altered like this: rotated by 15 degrees." in limits
    untested = next(line for line in limits if line.startswith("This audit did not measure"))
    assert all(words.lower() in untested for name, words in PLANTED.items() if name in ("flip", "local16", "local25"))
    assert "identical" not in untested


HEADLINES = {
    TOO_WEAK: "Nothing found, but this audit was too weak",
    ABOVE: "Nothing found, but the upper end is above the limit",
}


@pytest.mark.parametrize("which", [0, 1], ids=["report", "summary"])
def test_cannot_tell_never_looks_like_an_all_clear(written: Written, made: Made, which: int) -> None:
    html = written(made("cannot tell"))[which]
    page = Page(html)
    (body,) = (given["class"].split() for tag, given, _ in page.elements if tag == "body")
    assert body[0] == "unsure"
    assert page.all("h2")[0] == "Cannot tell: this is not an all-clear"
    assert page.all("dd")[0] == "not scored cannot tell: 60 training patients and 1 held-out patient"
    assert page.all("dd")[2] == "3.4 % in an audit of this size that can tell: this one could not"
    assert "nothing found" not in page.all("main")[0].lower()
    if which == 0:
        empty = "No image was listed. As this audit could not tell, that is not evidence of no copies."
        assert page.all("p", class_="empty") == [empty]


@pytest.mark.parametrize("code", [TOO_WEAK, ABOVE])
def test_nothing_found_without_power_is_no_all_clear(written: Written, made: Made, code: int) -> None:
    given = made("nothing found")
    for html in written(replace(given, verdict=replace(given.verdict, exit_code=code))):
        page = Page(html)
        assert page.all("h2")[0] == HEADLINES[code]
        assert any(tag == "body" and attributes["class"].startswith("unsure") for tag, attributes, _ in page.elements)


def test_nothing_found_with_power_says_that_it_is_no_proof(written: Written, made: Made) -> None:
    page = Page(written(made("nothing found"))[0])
    assert page.all("h2")[0] == "Nothing found"
    assert any(tag == "body" and given["class"].startswith("clear") for tag, given, _ in page.elements)
    assert any(text.startswith("This is no proof that there are no copies.") for text in page.all("p"))


def hostile(made: Made) -> ReportInput:
    one = suspect(0, file=HOSTILE, train_file=HOSTILE, patient=HOSTILE, heldout_file=HOSTILE)
    return made(title=HOSTILE, suspects=(one, suspect(1)), notes=(HOSTILE,), not_compared=(HOSTILE,))


def test_hostile_names_are_text(written: Written, made: Made) -> None:
    html = written(hostile(made))[0]
    page = Page(html)
    assert [tag for tag, _, _ in page.elements].count("script") == 1
    assert HOSTILE not in html
    plain = " ".join(HOSTILE.split())
    assert page.all("h1") == page.all("title")[:1] == [plain]
    assert page.all("span", class_="file")[:2] == [plain, plain]
    cells = next(row for row in rows(page) if row[0] == "1")
    assert cells[1:4] == [plain, plain, plain]
    assert page.all("li").count(plain) == 2
    assert page.all("dd").count(plain) == 2  # patient and held-out file


@pytest.mark.parametrize("which", [0, 1], ids=["report", "summary"])
def test_the_policy_allows_this_script_and_style_and_no_request(written: Written, made: Made, which: int) -> None:
    html = written(hostile(made))[which]
    page = Page(html)
    (policy,) = (
        given["content"] for tag, given, _ in page.elements if given.get("http-equiv") == "Content-Security-Policy"
    )

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"style-src 'sha256-{digest(style)}'" in policy
    if which == 0:
        (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        assert f"script-src 'sha256-{digest(script)}'" in policy
    for _, given, _ in page.elements:
        assert not [name for name in given if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action", "srcset", "data"):
            assert given.get(name, "#").startswith(("#", "data:image/"))
    assert "url(" not in style.replace("url(#window)", "")
    assert "@import" not in style


def test_the_summary_holds_no_name_and_no_image(written: Written, made: Made) -> None:
    given = replace(
        made(title="Secret title"), not_compared=("broken-mueller.png",),
        suspects=tuple(suspect(number) for number in range(2)),
    )  # fmt: skip
    private, summary = written(given)
    names = [given.title, *given.notes, *given.not_compared]
    names += [name for one in given.suspects for name in (one.file, one.train_file, one.patient, one.heldout_file)]
    for name in names:
        assert name in private
        assert name not in summary
    assert not {tag for tag, _, _ in Page(summary).elements} & {"img", "script", "canvas", "image"}
    assert "data:" not in summary.replace("img-src data:", "")
    assert "1 synthetic file could not be read and not be compared: withhold them." in Page(summary).all("li")


def test_the_private_page_says_so(written: Written, made: Made) -> None:
    private, summary = written(made())
    assert Page(private).all("aside") == ["Private: shows patients. Do not share, upload or send."]
    assert Page(summary).all("aside") == ["Numbers only: no image, no file name, no patient."]


def opened(uri: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_each_suspect_shows_its_images_without_loss(written: Written, made: Made) -> None:
    page = Page(written(made())[0])
    images = [given for tag, given, _ in page.elements if tag == "img" and "Suspect 2" in given.get("alt", "")]
    assert [given["alt"].partition(": ")[2].partition(",")[0] for given in images] == [
        "the synthetic image", "the training image", "where the two differ: black is equal",
        "correlation near each point: light is alike", "the most similar image that the model has not seen",
        "grey values of the synthetic image",
    ]  # fmt: skip
    assert np.array_equal(opened(images[0]["src"])[..., 0], smooth(1, 48, 40)[::-1])
    aligned = opened(images[1]["src"])[..., 0].astype(float)
    assert np.corrcoef(aligned.ravel(), smooth(1, 48, 40)[::-1].ravel())[0, 1] > 0.95
    assert all(given["loading"] == "lazy" for given in images)
    facts = page.all("dd")
    assert "original resolution, no detail lost" in facts
    assert "0.9750" in facts
    assert "0.9890" in facts


def test_a_volume_is_a_sheet_of_slices_as_radiologists_see_them(written: Written, made: Made) -> None:
    volume = smooth(0, 20, 24, 16)
    page = Page(written(made(count=1, dimensions=3), images_of(20, 24, 16))[0])
    (card,) = (given for tag, given, _ in page.elements if given.get("class") == "suspect")
    assert (card["data-columns"], card["data-size"], card["data-spacing"]) == ("4", "20 24 16", "1.0 1.0 1.0")
    first = next(given for tag, given, _ in page.elements if tag == "img" and "Suspect 1" in given["alt"])
    sheet = opened(first["src"])[..., 0].astype(int)
    assert sheet.shape == (4 * 24, 4 * 20)
    # Slice 6 is in row 1, column 2; right is on the left, front on top. Black and white are percentiles.
    shown_slice = sheet[24:48, 40:60]
    expected = volume[::-1][::-1, ::-1, 6].T.astype(float)
    low, high = np.percentile(volume, [0.5, 99.5])
    assert np.abs(shown_slice - ((expected - low) / (high - low) * 255).clip(0, 255)).max() <= 1


def test_each_channel_has_its_own_panels_and_colour_comes_first(written: Written, made: Made) -> None:
    images = colour_images("red", "green", "blue")
    page = Page(written(made(count=1), images)[0])
    (chosen,) = [given["id"] for name, given, _ in page.elements if name == "select"]
    assert chosen == "channel"
    assert page.all("option") == ["colour", "red", "green", "blue"]
    views = [given for name, given, _ in page.elements if given.get("class") == "panels"]
    assert [("hidden" in given) for given in views] == [False, True, True, True]
    drawn = [
        opened(given["src"]) for _, given, _ in page.elements if given.get("alt", "").endswith(": the synthetic image")
    ]
    expected = np.stack([images.synthetic(0, channel) for channel in range(3)], axis=-1)
    assert np.array_equal(drawn[0], expected)
    for channel in range(3):
        assert np.array_equal(drawn[1 + channel][..., 0], expected[..., channel])


def test_channels_that_are_no_colours_are_shown_one_by_one(written: Written, made: Made) -> None:
    page = Page(written(made(count=1), colour_images("t1", "t2", "flair"))[0])
    assert page.all("option") == ["t1", "t2", "flair"]


def test_all_channels_are_moved_as_the_first_one_is(made: Made) -> None:
    images = colour_images("t1", "t2", "flair")
    asked = []

    def placement(number: int, row: int) -> Placement:
        asked.append((number, row))
        return Placement((True, False), ())

    shown = show(suspect(0), replace(images, placement=placement), 10**6)
    assert asked == [(0, 0), (0, 50)]
    for channel, view in enumerate(shown.views):
        training = opened(view.panels[1].uri)[..., 0]
        assert np.array_equal(training, images.real(0, channel)[::-1])


def colour_images(*channels: str) -> ReportImages:
    """Images whose channels differ; the synthetic ones are mirrored."""

    def real(row: int, channel: int = 0) -> np.ndarray:
        return smooth(row + 1000 * channel, 48, 40)

    return ReportImages(
        synthetic=lambda number, channel=0: real(number, channel)[::-1], real=real, channels=channels
    )  # fmt: skip


def test_without_held_out_images_no_such_panel(written: Written, made: Made) -> None:
    alone = suspect(0, heldout_row=-1, heldout_file="", heldout_similarity=-1.0)
    html = written(made(count=1, suspects=(alone,)))[0]
    page = Page(html)
    assert "Nearest held-out, aligned" not in page.all("figcaption")
    assert "Nearest held-out image" not in page.all("dt")
    assert "then with the held-out image" not in page.all("main")[0]


def test_suspects_beyond_the_shown_ones_are_in_the_list(
    written: Written, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pages.SHOWN, 2, 1)
    monkeypatch.setattr(pages, "TABLE_ROWS", 2)
    page = Page(written(made(count=5))[0])
    assert len(page.all("article")) == 1
    listed = [row for row in rows(page) if len(row) == 9 and row[0].isdigit()]
    assert [row[1] for row in listed] == [f"made-{number}.png" for number in range(5)]
    assert {row[-1] for row in listed} == {"withhold"}  # nothing is kept by default
    assert page.all("summary")[1:4] == ["1 to 2", "3 to 4", "5 to 5"]


def test_ten_thousand_suspects_stay_below_the_limit(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list takes what the images leave of 20 MB; names are as long as those of hospitals."""
    monkeypatch.setitem(pages.SHOWN, 2, 1)
    long = "1.2.840.113619.2.55.3.604688119.971.1449845123.467"
    many = tuple(
        suspect(number, file=f"{long}.{number}.dcm", train_file=f"train/{long}/{number}.dcm")
        for number in range(10_000)
    )
    path = pages.write_report(replace(made(), suspects=many), images_of(24, 24), tmp_path)
    assert path.stat().st_size < 20e6 - pages.IMAGE_BYTES * 4 / 3


def test_noisy_images_are_compressed_until_they_fit(
    written: Written, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "IMAGE_BYTES", 3_000)
    page = Page(written(made())[0])
    images = [given["src"] for tag, given, _ in page.elements if tag == "img" and "Suspect" in given["alt"]]
    assert sum(len(uri) for uri in images) < 1.4 * 3_000 + 2 * 3_000  # two plots
    assert any("compressed (WebP" in text for text in page.all("dd"))


def test_the_glossary_explains_every_term(written: Written, made: Made) -> None:
    page = Page(written(made())[0])
    assert page.all("dt")[-len(GLOSSARY) :] == [term for term, _ in GLOSSARY]


def test_every_element_has_an_id_once(written: Written, made: Made) -> None:
    for html in written(made()):
        page = Page(html)
        names = [given["id"] for _, given, _ in page.elements if "id" in given]
        assert len(names) == len(set(names))
        targets = {given["href"][1:] for _, given, _ in page.elements if given.get("href", "").startswith("#")}
        assert targets <= set(names)
        assert {COPY, PIXELS} <= set(page.all("code"))


def test_without_planted_copies_nobody_knows_what_would_be_found(written: Written, made: Made) -> None:
    given = made("cannot tell")
    alone = replace(
        given.detectors[0],
        scores={name: score for name, score in given.detectors[0].scores.items() if not name.startswith("detector.")},
    )
    for html in written(replace(given, detectors=(alone,))):
        page = Page(html)
        assert "Nobody knows: no copies were planted in this audit." in page.all("p")
        assert "Identical copy" not in html
        expected = "No copies were planted, so nobody knows which altered copies this audit would have found."
        assert expected in page.all("li")
