"""docs/tutorial.md: its commands run in their order and print what it shows; mistakes are told as it says.

The simulated patients are replaced by the films of the other tests, and the copy detector is the small one.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from conftest import Bench, films
from PIL import Image

from benchmark.adapters.conformance import checked_here
from benchmark.adapters.new_model import write_model
from benchmark.datasets.phantom_cxr.dataset import folder_of
from benchmark.plugins.registry import find_model, load_class

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MISTAKE = re.compile(r"^\| `(.+?)` \| `(.+?)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
VARIES = re.compile(r"\b[0-9a-f]{8,}\b|(?<![\w-])-?\d+(?:\.\d+)?|\d+(?:\.\d+)?")
VERDICT = re.compile(r"(HOLD|NOTHING FOUND|CANNOT TELL|REFUSED): .*")
LEFT_OUT = "..."
WRAPPED = 40
"""Columns that are empty where the last column of a table goes over to a second line."""
PATIENTS = 24
"""As many as the page takes."""


@dataclass
class Session:
    """Commands of one block, and the lines that the page shows of their output."""

    commands: list[str]
    shown: list[str]


def sessions(page: str) -> list[Session]:
    """Return the blocks of commands, but for those that install, each with the block of output that follows it."""
    blocks: list[Session] = []
    for kind, text in BLOCK.findall(page):
        if kind == "sh":
            blocks.append(Session(text.splitlines(), []))
        else:
            blocks[-1].shown += text.splitlines()
    return [block for block in blocks if "pip install" not in block.commands[0]]


def masked(line: str) -> str:
    """Return a line of output without numbers, digests, widths of columns, and what a verdict says.

    Of a row of scores the label remains: other images have other scores, and some of them are refused.
    """
    text = VARIES.sub("#", VERDICT.sub("verdict", line)).strip()
    label, _, cells = text.partition("   ")
    return label if "#" in cells else " ".join(text.split())


def missing(shown: list[str], printed: str) -> Iterator[str]:
    """Yield the lines of the page with which no printed line begins, in this order; `...` stands for any lines."""
    lines = [masked(line) for line in printed.splitlines() if line[:WRAPPED].strip()]
    place, loose = 0, True
    for line in filter(str.strip, shown):
        if line.strip() == LEFT_OUT:
            loose = True
            continue
        rest = lines[place:] if loose else lines[place : place + 1]
        skipped = next((number for number, one in enumerate(rest) if one.startswith(masked(line))), None)
        if skipped is None:
            yield line
        else:
            place, loose = place + skipped + 1, False


def phantom(root: Path) -> None:
    """Write films in the place of the simulated X-rays: four views of each patient, moved by a few pixels."""
    for patient in range(1, PATIENTS + 1):
        folder_of(root, patient).mkdir(parents=True)
        for view, film in enumerate((*films(patient, 64), *films(patient, 64))):
            image = np.roll(film, view // 2 + 1, axis=1)
            Image.fromarray(image).save(folder_of(root, patient) / f"{view + 1}.png")


def call(command: str, place: Path, bench: Bench) -> tuple[int, CompletedProcess[str]]:
    """Call a command of the page; return the exit code that its comment announces (0 without one), and what it did."""
    announced = re.search(r"# exit code (\d+)", command)
    words = shlex.split(command, comments=True)
    code = int(announced[1]) if announced else 0
    if words[0] == "bench":
        matches = [[path.relative_to(place) for path in place.glob(word)] if "*" in word else [word] for word in words]
        return code, bench(*(match for each in matches[1:] for match in each))
    return code, subprocess.run(words, cwd=place, capture_output=True, text=True)


@pytest.mark.slow
def test_the_commands_run_and_print_what_the_page_shows(
    bench: Bench, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("tutorial")
    phantom(cache / "embedded" / "phantom-cxr")
    monkeypatch.setenv("MEMOBENCH_CACHE", str(cache))
    monkeypatch.setenv("MEMOBENCH_SECRET", str(cache / "secret"))
    for session in sessions(PAGE):
        printed = ""
        for command in session.commands:
            code, done = call(command, tmp_path, bench)
            assert done.returncode == code, (command, done.stdout, done.stderr)
            printed += done.stderr + done.stdout
        assert list(missing(session.shown, printed)) == [], (session.commands, printed)


def test_the_page_shows_every_step() -> None:
    commands = [command for session in sessions(PAGE) for command in session.commands]
    starts = [" ".join(command.split()[:3]) for command in commands if command.startswith("bench")]
    assert list(dict.fromkeys(start for start in starts if not start.startswith("bench check"))) == [
        "bench models new", "bench run --model", "bench leaderboard submit", "bench leaderboard validate",
        "bench leaderboard build",
    ]  # fmt: skip
    assert sum("--seed" in command for command in commands) >= 2
    assert all(session.shown for session in sessions(PAGE) if session.commands[-1].startswith("bench"))


def test_what_is_not_printed_is_seen() -> None:
    printed = "one 1\n two   0.5  (of 3)\nthree\nHOLD: a copy\nrecord: runs/a-0123abcd/seed-0\n"
    assert list(missing(["one 2", "two   7", LEFT_OUT, "CANNOT TELL: why"], printed)) == []
    assert list(missing([LEFT_OUT, "record: runs/a-89abcdef/seed-1"], printed)) == []
    assert list(missing(["one 1", "three"], printed)) == ["three"]
    assert list(missing(["three", LEFT_OUT, " two   1"], printed)) == [" two   1"]


@pytest.mark.parametrize(("line", "instead", "check", "message"), MISTAKE.findall(PAGE))
def test_mistakes_are_told_as_the_page_says(tmp_path: Path, line: str, instead: str, check: str, message: str) -> None:
    adapter, *_ = write_model("my-model", tmp_path)
    text = adapter.read_text(encoding="utf-8")
    assert text.count(f"{line}\n") == 1
    adapter.write_text(text.replace(f"{line}\n", f"{instead}\n"), encoding="utf-8")
    card = find_model(f"{adapter}:MyModel")
    cls = load_class("models", card)
    given = {"cohort": "2D, 1 channel", "settings": card.toy, "folder": str(tmp_path / "trial"), "device": "cpu"}
    (tmp_path / "trial").mkdir()
    finding = checked_here(cls, card.name, check=check, **given)
    assert (finding.status, finding.detail) == ("fault", message)


def test_the_page_shows_the_usual_mistakes() -> None:
    assert len(MISTAKE.findall(PAGE)) >= 6
