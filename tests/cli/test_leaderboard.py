"""`bench leaderboard build`: tables where they were, and the site next to them."""

from __future__ import annotations

from pathlib import Path

from made_records import made
from typer.testing import CliRunner

from benchmark.cli.app import app


def test_tables_and_a_site_are_written(tmp_path: Path) -> None:
    for number, one in enumerate((made("vae"), made("ddpm", 0.2))):
        one.write(tmp_path / "runs" / f"{number}" / "record.json")
    command = ["leaderboard", "build", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    stem = tmp_path / "out" / "cxr-pneumonia-0123456789abcdef-p2"
    assert done.stdout.splitlines() == [f"{stem}.md", f"{stem}.csv", str(tmp_path / "out" / "site" / "index.html")]
    assert all(Path(line).is_file() for line in done.stdout.splitlines())
    again = CliRunner().invoke(app, command)  # what the first build wrote is not taken for records
    assert again.stdout == done.stdout
