"""The example workflow of a board repository: its permissions, its pinned actions, and its commands on real folders."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from made_records import made
from typer.testing import CliRunner

from benchmark.cli.app import app

ROOT = Path(__file__).parents[1]
PATH = ROOT / "leaderboards" / "github" / "board.yml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
ACTION = re.compile(r"actions/[a-z-]+@[0-9a-f]{40}")
WRITES = {"deploy": {"pages": "write", "id-token": "write"}}
"""What a job may write."""


def steps() -> Iterator[dict[str, Any]]:
    for job in JOBS.values():
        yield from job["steps"]


def commands() -> list[list[str]]:
    """Every call of bench, as words."""
    lines = [line for step in steps() for line in step.get("run", "").splitlines()]
    return [shlex.split(line) for line in lines if line.strip().startswith("bench ")]


def script(name: str) -> str:
    (run,) = (step["run"] for step in steps() if step.get("name", "").startswith(name))
    return str(run)


def test_a_pull_request_gets_no_secret_and_no_right_to_write() -> None:
    assert set(WORKFLOW[True]) == {"pull_request", "push"}  # YAML takes `on` for a truth value
    assert WORKFLOW[True]["push"] == {"branches": ["main"]}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job} == WRITES
    assert all(JOBS[name]["if"] == "github.event_name == 'push'" for name in WRITES)
    assert "secrets." not in PATH.read_text()
    assert "github.token" not in PATH.read_text()
    checkouts = [step["with"] for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert [given["persist-credentials"] for given in checkouts] == [False, False]


def test_no_script_holds_text_of_a_pull_request() -> None:
    assert not [step["run"] for step in steps() if "${{" in step.get("run", "")]


def test_every_action_is_pinned_with_its_version() -> None:
    uses = [step["uses"] for step in steps() if "uses" in step]
    assert len(uses) == 5
    assert all(ACTION.fullmatch(one) for one in uses)
    lines = [line for line in PATH.read_text().splitlines() if "uses:" in line]
    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in lines)


def test_what_is_deployed_is_what_was_checked() -> None:
    assert JOBS["deploy"]["needs"] == "check"
    (upload,) = (step for step in steps() if "upload-pages-artifact" in step.get("uses", ""))
    assert upload["if"] == "github.event_name == 'push'"
    assert upload["with"] == {"path": "leaderboards/site"}


def test_every_command_is_one_that_bench_accepts() -> None:
    assert [words[:3] for words in commands()] == [
        ["bench", "leaderboard", "validate"], ["bench", "leaderboard", "build"],
    ]  # fmt: skip
    for words in commands():
        command: Any = typer.main.get_command(app)
        for name in words[1:3]:
            command = command.commands[name]
        assert command.make_context(words[2], words[3:]).params


def test_its_commands_build_a_site_from_a_folder_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    records = tmp_path / "leaderboards" / "records"
    made("vae").sealed().submit(records / "made.json")
    (tmp_path / "leaderboards" / "site").mkdir()
    (tmp_path / "leaderboards" / "site" / "planted.html").write_text("of a stranger")
    validate, build = commands()
    done = CliRunner().invoke(app, validate[1:])
    assert done.exit_code == 4, "a record without a receipt is not valid"
    assert done.stdout == "0 of 1 records are valid\n"
    subprocess.run(["bash", "-ec", script("Build").splitlines()[0]], check=True)
    done = CliRunner().invoke(app, build[1:])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "leaderboards" / "site" / "index.html").is_file()
    assert not (tmp_path / "leaderboards" / "site" / "planted.html").exists()


@pytest.mark.parametrize(("change", "code"), [("add", 0), ("delete", 1), ("rename", 1)])
def test_a_pull_request_that_deletes_a_record_is_refused(tmp_path: Path, change: str, code: int) -> None:
    records = tmp_path / "leaderboards" / "records"
    records.mkdir(parents=True)

    def git(*words: str) -> None:
        own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet")
    (records / "a.json").write_text("{}")
    git("add", ".")
    git("commit", "-m", "one")
    if change == "add":
        (records / "b.json").write_text("{}")
    elif change == "delete":
        (records / "a.json").unlink()
    else:
        (records / "a.json").rename(records / "b.json")
    git("add", ".")
    git("commit", "-m", "two", "--allow-empty")
    done = subprocess.run(["bash", "-ec", script("No record")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == (["leaderboards/records/a.json"] if code else [])


def test_a_comparison_that_cannot_be_made_is_no_pass(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run(["bash", "-ec", script("No record")], cwd=tmp_path, capture_output=True)
    assert done.returncode == 128
