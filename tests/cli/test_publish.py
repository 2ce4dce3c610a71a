"""`bench leaderboard table` and `export` as commands: what they print, write and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import made, several
from typer.testing import CliRunner, Result

from benchmark.cli.app import app
from benchmark.cli.publish import table_of
from benchmark.core.errors import BenchError
from benchmark.records.history import GONE, with_history

RECORDS = Path("leaderboards", "records")
MARKED = "# Results\n<!-- table: {} -->\nstale\n<!-- /table -->\n"
COMMAND = "bench leaderboard table --cohort phantom-mr --columns rank,model,exposed.items:value"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with submitted records, in which the commands are called."""
    for number, record in enumerate(several()):
        record.submit(tmp_path / RECORDS / f"{number}.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *map(str, arguments)])


def refusal(done: Result) -> tuple[int, str]:
    assert isinstance(done.exception, BenchError), done.output
    return done.exception.exit_code, str(done.exception)


@pytest.mark.usefixtures("folder")
def test_a_table_is_printed_or_written() -> None:
    done = call("table", "--cohort", "phantom-mr", "--columns", "rank,model", "--format", "csv")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "rank,model\n1,vae\n", "")
    written = call("table", "--cohort", "phantom-mr", "--columns", "rank,model", "--format", "csv", "--out", "t/x.csv")
    assert (written.exit_code, written.stdout) == (0, "t/x.csv\n")
    assert Path("t/x.csv").read_text() == done.stdout


@pytest.mark.usefixtures("folder")
def test_a_board_has_to_be_chosen() -> None:
    assert refusal(call("table"))[0] == 2
    code, message = refusal(call("table", "nothing"))
    assert (code, message.splitlines()[0]) == (2, "there is no record in nothing")


def test_a_record_that_cannot_be_used_is_named(folder: Path) -> None:
    (folder / RECORDS / "broken.json").write_text("{")
    done = call("table", "--cohort", "phantom-mr", "--columns", "model", "--format", "csv")
    assert (done.exit_code, done.stdout) == (4, "model\nvae\n")
    assert done.stderr.startswith(f"left out: {RECORDS / 'broken.json'}: is not readable JSON: ")


def test_a_row_whose_record_is_gone_stays(folder: Path) -> None:
    paths = sorted((folder / RECORDS).glob("*.json"))
    with_history(dict(zip(paths, several(), strict=True)), folder / "leaderboards")
    paths[2].unlink()
    before = sorted(folder.rglob("*"))
    done = call("table", "--cohort", "cxr-pneumonia", "--columns", "rank,model,exposed.items", "--format", "csv")
    assert f'withdrawn,vae,retracted,"retracted: {GONE}"' in done.stdout.splitlines()
    assert sorted(folder.rglob("*")) == before


def test_tables_in_documents_are_made_again(folder: Path) -> None:
    (folder / "a.md").write_text(MARKED.format(COMMAND))
    (folder / "b.md").write_text("no table\n")
    done = call("table", "--into", "a.md", "--into", "b.md")
    assert (done.exit_code, done.stdout) == (0, "a.md\nb.md\n")
    text = (folder / "a.md").read_text()
    assert "stale" not in text
    assert "| 1 | vae | 0.000 |" in text.splitlines()
    assert (folder / "b.md").read_text() == "no table\n"
    call("table", "--into", "a.md")
    assert (folder / "a.md").read_text() == text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("rm -rf .", "a table is made by 'rm -rf .'\n  hint: write bench leaderboard table and its options"),
        (f"{COMMAND} 'x", (f"{COMMAND + ' ' + chr(39) + 'x'!r} is no command: No closing quotation\n"
                          "  hint: close the quotation marks")),
        (f"{COMMAND} --out x", (f"'{COMMAND} --out x' would write a file\n"
                               "  hint: leave --into and --out away in a document")),
        (f"{COMMAND} --into x", (f"'{COMMAND} --into x' would write a file\n"
                                "  hint: leave --into and --out away in a document")),
        (f"{COMMAND} --cohorts x", (f"'{COMMAND} --cohorts x' cannot be read: No such option: --cohorts\n"
                                   "  hint: see bench leaderboard table --help")),
        (f"{COMMAND} --help", f"'{COMMAND} --help' makes no table\n  hint: leave --help away in a document"),
    ],
)  # fmt: skip
def test_a_document_runs_this_command_alone(folder: Path, command: str, message: str) -> None:
    (folder / "a.md").write_text(MARKED.format(command))
    assert refusal(call("table", "--into", "a.md")) == (2, message)
    assert (folder / "a.md").read_text() == MARKED.format(command)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("other",), "DIR"), (("--cohort", "x"), "--cohort"), (("--protocol", "x"), "--protocol"),
        (("--columns", "x"), "--columns"), (("--format", "csv"), "--format"), (("--out", "x"), "--out"),
    ],
)  # fmt: skip
def test_a_document_has_its_own_options(arguments: tuple[str, ...], name: str) -> None:
    message = f"--into takes no {name}\n  hint: write it into the command in the document"
    assert refusal(call("table", *arguments, "--into", "a.md")) == (2, message)


def test_a_document_has_to_be_text(folder: Path) -> None:
    (folder / "a.md").write_bytes(b"\xff")
    assert refusal(call("table", "--into", "a.md")) == (
        4, "a.md is no text in UTF-8: invalid start byte\n  hint: give a Markdown file"
    )  # fmt: skip
    assert refusal(call("table", "--into", "none.md")) == (
        4, "none.md cannot be read: No such file or directory\n  hint: give a Markdown file"
    )  # fmt: skip


MOVE = "move away what has its name, and run the same command again"
NAME = "name a file in a folder of yours"


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("leaderboards", (6, f"leaderboards may not be written: Is a directory\n  hint: {MOVE}")),
        ("a.txt/x.csv", (6, f"a.txt/x.csv may not be written: File exists\n  hint: {MOVE}")),
        ("/proc/x", (2, f"/proc/x cannot be written: No such file or directory\n  hint: {NAME}")),
    ],
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_refused(folder: Path, out: str, told: tuple[int, str]) -> None:
    (folder / "a.txt").write_text("")
    assert refusal(call("table", "--cohort", "phantom-mr", "--out", out)) == told


def test_a_record_given_twice_is_refused() -> None:
    message = "one.json is there twice\n  hint: give it once"
    assert refusal(call("export", "one.json", "one.json", "--format", "huggingface")) == (2, message)


@pytest.mark.usefixtures("folder")
def test_what_a_document_prints_is_what_the_command_prints() -> None:
    text, refused = table_of(COMMAND)
    assert call(*COMMAND.split()[2:]).stdout == text
    assert refused == ()


@pytest.mark.usefixtures("folder")
def test_a_record_without_a_receipt_is_not_exported() -> None:
    made("vae").sealed().submit(Path("one.json"))
    assert refusal(call("export", "one.json", "--format", "huggingface")) == (
        4,
        (
            "one.json cannot be used: it has receipts of no detector, and scores by copy, pixels\n"
            "  hint: evaluate the run again: bench evaluate RUN"
        ),
    )
    assert refusal(call("export", "one.json", "--format", "yaml")) == (
        2, "there is no format 'yaml' for an export\n  hint: choose huggingface or every-eval-ever"
    )  # fmt: skip
