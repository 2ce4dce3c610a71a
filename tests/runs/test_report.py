"""`bench report RUN`: the page of a run, and what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from benchmark.cohorts.ingest_log import UNREADABLE
from benchmark.core.types import Score
from benchmark.runs.report import _why_unseen

from .conftest import Bench, films


def folder_of(printed: str) -> Path:
    return Path(
        next(line for line in printed.splitlines() if line.startswith("record: ")).removeprefix("record: ")
    ).parent


@pytest.mark.slow
def test_the_page_of_a_run_with_copies(run: Bench, bench: Bench, tmp_path: Path) -> None:
    made = run("--set", "contamination=0.5", "--samples", 60)
    folder = folder_of(made.stdout)
    ended = bench("report", folder, "--out", "page")
    assert ended.returncode == 0, ended.stderr
    page, summary = ((tmp_path / "page" / name).read_text() for name in ("report.html", "summary.html"))
    assert "Hold: copies of training images were found" in page
    assert "sample-000" in page
    assert "sample-000" not in summary
    assert re.search("person[0-9]|IM-[0-9]", page)
    assert not re.search("person[0-9]|IM-[0-9]", summary)
    assert ended.stdout == "report: page/report.html (private: it shows patients)\nsummary: page/summary.html\n"

    (tmp_path / folder / "evaluation.json").unlink()
    refused = bench("report", folder)
    assert refused.returncode == 4
    assert refused.stderr == (
        f"error: {folder} holds no samples that were compared\n"
        f"  hint: finish it first: bench run --config {folder}/run.toml\n"
    )
    shutil.rmtree(tmp_path / folder)
    refused = bench("report", folder)
    assert refused.stderr == (
        f"error: {folder} is not a run folder: it has no run.toml\n  hint: give the folder that `bench run` printed\n"
    )


@pytest.mark.slow
def test_files_that_nobody_could_read_are_no_all_clear(
    bench: Bench, xrays: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A model that was trained elsewhere may have seen them: the same samples without such a file are an all-clear."""
    (tmp_path / "made").mkdir()
    for number in range(150):
        film = Image.fromarray(films(1000 + number, 32)[0])
        film.save(tmp_path / "made" / f"{number:04d}.png")
    broken = tmp_path_factory.mktemp("broken")
    shutil.copytree(xrays, broken, dirs_exist_ok=True)
    next(broken.rglob("person2_*.jpeg")).write_bytes(b"no image")
    pages = {}
    for name, root in (("whole", xrays), ("broken", broken)):
        made = bench(
            "run", "--model", "folder", "--set", "path=made", "--data", "cxr-pneumonia", "--root", root, "--image-size",
            32, "--cache", tmp_path / "cache", "--trained-on", "split", "--samples", 150,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        ended = bench("report", folder_of(made.stdout), "--out", name, "--must-see", 0.5)
        assert ended.returncode == 0, ended.stderr
        pages[name] = (tmp_path / name / "report.html").read_text()
    assert '<h2 id="verdict-title">Nothing found' in pages["whole"]
    assert '<h2 id="verdict-title">Cannot tell: this is not an all-clear</h2>' in pages["broken"]
    assert (
        "nothing was found, but 1 file of the data set could not be read, the model may have been trained on them, and "
        "copies of them would not be seen: repair them, and run again." in pages["broken"]
    )


@pytest.mark.parametrize(
    ("trained_on", "notes", "unlike", "expected"),
    [
        ("here", (f"{UNREADABLE}: 3",), "", ""),
        ("split", (f"{UNREADABLE}: 3", "left out, not a view PA: 9"), "", "3 files of the data set could not be read"),
        (
            "list",
            ("left out, links to files that do not exist: 1",),
            "noise",
            "1 file of the data set could not be read",
        ),
        ("list", ("left out, not in the table: 9", "few patients"), "", ""),
        ("here", (), "40 % of the samples are noise", "40 % of the samples are noise"),
    ],
)
def test_why_copies_would_not_be_seen(trained_on: str, notes: tuple[str, ...], unlike: str, expected: str) -> None:
    record = SimpleNamespace(spec=SimpleNamespace(trained_on=trained_on))
    scores = {"samples.unlike": Score(value=0.4, reason=unlike)}
    why = _why_unseen(scores, record, SimpleNamespace(notes=notes))  # type: ignore[arg-type]
    assert why.startswith(expected) if expected else why == ""
