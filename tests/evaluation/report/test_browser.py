"""The page in headless Chromium: keys, decisions, window, slices; no request, no error, nothing serious from axe.

Needs Chromium and the extra `web-test`, whose packages hold Node, playwright-core and axe (tests/files/chromium.py).
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import node

from benchmark.core.sealed import seal
from benchmark.evaluation.report.data import ReportImages, ReportInput
from benchmark.evaluation.report.page import write_report
from benchmark.evaluation.report.prompts import write_prompts_report
from benchmark.text2image.top_images import FILE

from .conftest import HOSTILE, images_of, report_of, suspect
from .test_page import colour_images
from .test_prompts import images, scored

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_report_page.mjs"


@dataclass(frozen=True)
class Browser:
    """Chromium, and what the script needs to drive it."""

    chromium: str
    node: str
    packages: Path


@pytest.fixture(scope="module", autouse=True)
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """The tests skip where Chromium or the extra is missing."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    return Browser(chromium, *node(tmp_path_factory.mktemp("node")))


def drive(browser: Browser, folder: Path, report: ReportInput, images: ReportImages) -> dict[str, Any]:
    return look(browser, write_report(report, images, folder))


def look(browser: Browser, path: Path) -> dict[str, Any]:
    command = [browser.node, str(SCRIPT), str(path), browser.chromium]
    given = {**os.environ, "NODE_PATH": str(browser.packages)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=given)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["errors"] == []
    assert seen["requests"] == []
    assert set(seen["overflow"].values()) == {0}
    assert [finding for screen in seen["axe"].values() for finding in screen] == []
    return seen


def test_a_review_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    hostile = suspect(1, file=HOSTILE, patient='=1+1,"x"')
    seen = drive(browser, tmp_path, replace(report_of(), suspects=(suspect(0), hostile)), images_of())
    assert (seen["first"], seen["second"]) == ("1", "2")
    assert seen["progress"] == "Suspect 2: keep. 2 of 2 reviewed"
    assert seen["slopeAfterMouse"] == pytest.approx(256 / (256 - 2 * 50))  # the script drags 50 pixels to the left
    assert seen["slopeAfterKey"] == pytest.approx(256 / (256 - 2 * 50 + 16))
    assert seen["zoom"] == 1.25
    assert seen["afterReset"] == [1, 1]
    first, swapped, last = seen["captions"]
    assert first == last
    assert swapped[:2] == ["Training in its place", "Synthetic in its place"]
    assert seen["progressWithoutKeys"] == seen["progress"]
    assert seen["csvName"] == "decisions.csv"
    head = "rank,file,train_file,patient,similarity,full_size,reason,confidence,decision,reviewed"
    assert list(csv.reader(seen["csv"].splitlines())) == [
        head.split(","),
        ["1", "made-0.png", "train/xray-0.png", "person-0", "0.9900", "0.9750", "verbatim", "near-certain", "withhold",
         "yes"],
        ["2", HOSTILE, "train/xray-1.png", "'=1+1,\"x\"", "0.9890", "0.9750", "nearest", "review", "keep", "yes"],
    ]  # fmt: skip
    # A name with | has every cell in quotation marks.
    assert seen["csv"].startswith(f'"{head.replace(",", chr(34) + "," + chr(34))}"')


def test_names_that_a_spreadsheet_would_run_are_made_text(browser: Browser, tmp_path: Path) -> None:
    names = {
        "=cmd()": "'=cmd()", "+1+1": "'+1+1", "-a": "'-a", "@sum": "'@sum", "'=x": "''=x", "-0.5": "-0.5",
        "plain.png": "plain.png", "'plain": "'plain",
    }  # fmt: skip
    suspects = tuple(suspect(number, file=name) for number, name in enumerate(names))
    seen = drive(browser, tmp_path, replace(report_of(), suspects=suspects), images_of())
    _, *rows = csv.reader(seen["csv"].splitlines())
    assert [row[1] for row in rows] == list(names.values())


def test_channels_are_switched_for_all_suspects(browser: Browser, tmp_path: Path) -> None:
    seen = drive(browser, tmp_path, report_of(), colour_images("red", "green", "blue"))
    names = ["colour", "red", "green", "blue", "colour"]
    places = ["0,0", "1,1", "2,2", "3,3", "0,0"]
    assert seen["channels"] == [[name, shown, 2] for name, shown in zip(names, places, strict=True)]
    assert seen["channelCaptions"][:2] == ["Training in its place", "Synthetic in its place"]


def test_the_report_of_prompts(browser: Browser, tmp_path: Path) -> None:
    folder, made = scored(tmp_path), images(7)
    np.savez(folder / FILE, sha=np.array([f"{number:04x}" for number in range(7)]), images=made)
    seal(folder / FILE)
    look(browser, write_prompts_report(folder, folder))


def test_slices_of_a_volume(browser: Browser, tmp_path: Path) -> None:
    seen = drive(browser, tmp_path, report_of(dimensions=3), images_of(20, 24, 16))
    assert seen["slices"]["middle"] != seen["slices"]["first"]
    assert seen["slices"]["label"] == "1 / 16"


def test_a_page_without_suspects(browser: Browser, tmp_path: Path) -> None:
    assert drive(browser, tmp_path, report_of("cannot tell"), images_of())["suspects"] == 0
