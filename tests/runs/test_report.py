"""`bench report RUN`: the page of a run, and what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .conftest import Bench


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
