"""Tables for papers: the rows and numbers of the board, a note for what is no number, and texts that stay text."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from made_records import declined, entry, made, several

from benchmark.core.errors import UsageError
from benchmark.records.history import GONE
from benchmark.records.record import Record
from benchmark.site.board import Board, boards_of
from benchmark.site.documents import refreshed
from benchmark.site.paper_columns import FIELDS, PARTS
from benchmark.site.paper_table import table_text
from benchmark.site.selection import choose
from benchmark.site.standing import Standing, key_of

HOSTILE = "=cmd()|<b>&\\input{x}\x1b[31m\u202e"


def board(*records: Record, standings: dict[str, Standing] | None = None) -> Board:
    (one,) = boards_of(records, standings or {}, {})
    return one


def cells(one: Board, columns: str | None = None) -> list[dict[str, str]]:
    """The rows of the CSV table."""
    return list(csv.DictReader(io.StringIO(table_text(one, columns, "csv"))))


def refusal(one: Board, columns: str | None = None, style: str = "csv") -> str:
    with pytest.raises(UsageError) as error:
        table_text(one, columns, style)
    return str(error.value)


def everything() -> Board:
    return next(one for one in boards_of(several(), {}, {}) if one.name == "cxr-pneumonia")


# Rows and numbers


def test_rows_ranks_and_numbers_are_those_of_the_board() -> None:
    one = everything()
    table = cells(one, "rank,possible,model,preset,seeds,exposed.items,exposed.patients,quality.frechet")
    done = [*one.models, *one.controls]
    assert [row["model"] for row in table] == [row.model for row in (*done, *one.absent)]
    assert len(table) == len(one.entries)
    for row, expected in zip(table[: len(done)], done, strict=True):
        assert row["rank"] == (str(expected.rank) or "-")
        names = ("seeds", "exposed share", "exposed patients", "Frechet [random-conv]")
        assert {name: row[name] for name in names} == {name: expected.cells[name] for name in names}


def test_the_default_is_what_the_page_shows_first() -> None:
    header, *rows = table_text(everything()).splitlines()
    assert header == (
        "| rank | model | preset | seeds | answer | exposed patients | exposed share | could show "
        "| Frechet [random-conv] | training |"
    )
    assert rows[0] == "| ---: | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert rows[1].strip("| ").split(" | ") == [
        "1", "vae", "smoke", "1 (0)", "none shown", "0 [0, 1]", "0.000 [0.000, 0.020]", "1.5 %",
        "60.000 [54.000, 66.000]", "12 s",
    ]  # fmt: skip
    one = board(made("vae", spec={"settings": {"width": 8}}), made("vae", spec={"settings": {"width": 9}}))
    assert "| preset | settings | seeds |" in table_text(one)


def test_a_refused_seed_leaves_no_number_and_is_explained() -> None:
    text = table_text(board(made("vae", 0.0), made("vae", None, seed=1)), "model,exposed.items,exposed.items:value")
    assert "| vae | refused (1 of 2 seeds) (a) | refused (a) |" in text
    assert "- (a) refused: the split is not fair (seed 1)" in text.splitlines()
    assert "| vae | 0" not in text


def test_a_row_that_cannot_tell_says_so_next_to_its_number() -> None:
    noise = made("noise")
    noise.scores["samples.unlike"] = entry(0.9, reason="90 % of the samples are unlike the training images")
    (row,) = cells(board(noise), "exposed.items:value,exposed.control")
    assert row["exposed share: value"] == "0.000 (samples unlike train)"
    assert row["exposed share: control"] == "0.000 [0.000, 0.010]"
    assert row["remarks"].startswith("cannot tell: 90 % of the samples are unlike the training images; ")


def test_rows_without_numbers_stay_with_their_reason() -> None:
    gone = made("gone").retracted(GONE)
    first = made("first", 0.2)
    one = board(first, declined(), gone, standings={key_of(gone): Standing(retracted=GONE)})
    table = cells(one, "rank,model,answer,could_show,exposed.items,exposed.patients")
    assert [tuple(row.values()) for row in table[1:]] == [
        ("-", "stylegan2-ada", "declined", "-", "declined", "declined", "declined: no checkout"),
        ("withdrawn", "gone", "retracted", "-", "retracted", "retracted", f"retracted: {GONE}"),
    ]


def test_a_receipt_that_gives_other_numbers_is_said() -> None:
    first = made("first", 0.2)
    (row,) = cells(board(first, standings={key_of(first): Standing("differs")}), "exposed.items")
    assert row["remarks"] == "the receipt of this row gives other numbers"


def test_parts_of_a_score() -> None:
    (row,) = cells(
        board(made("ddpm", 0.1)), ",".join(f"exposed.items:{part}" for part in ("value", "low", "high", "n"))
    )
    assert list(row.values()) == ["0.100", "0.070", "0.120", "400"]
    (row,) = cells(
        board(made("ddpm", 0.1)), "n,exposed.items[pixels]:interval,detectable.share:low,train,samples,version"
    )
    assert list(row.values()) == ["400", "0.070 to 0.120", "-", "90", "400", "0.1.0"]


def test_notes_say_what_is_measured_and_what_is_wrong_with_the_board() -> None:
    text = table_text(board(made("copycat", 0.0), made("vae")), "rank,exposed.items")
    assert "- The positive control shows no copies although it has some: no row is an all-clear." in text
    assert (
        "- exposed share (exposed.items[copy]): share of samples that are such copies; lower is better; n = 400."
        in text
    )
    assert "cxr-pneumonia: protocol p2, cohort 01234567: 1 x 32 x 32, train 90 items of 45 patients" in text
    assert "Brackets" not in table_text(board(made("vae")), "rank,model")
    assert "no first place" not in table_text(board(made("vae")), "model,exposed.items")


def test_a_failing_control_of_heldout_patients_is_said() -> None:
    bad = made("vae")
    bad.scores["exposed.control[copy]"] = entry(0.2, 0.1, 0.3)
    assert (
        "- The control of held-out patients does not hold 0 in 1 of 2 rows; at most 5 % of the rows should do so by "
        "chance." in table_text(board(bad, made("ldm")), "model").splitlines()
    )


# Formats


def test_latex() -> None:
    text = table_text(board(made("ddpm", 0.1), made("vae", None)), "rank,model,exposed.items", "latex")
    lines = text.splitlines()
    assert lines[0] == "% \\usepackage{booktabs}"
    assert lines[4:12] == [
        "\\begin{tabular}{rlr}",
        "\\toprule",
        "rank & model & exposed share \\\\",
        "\\midrule",
        "1 & ddpm & 0.100 [0.070, 0.120] \\\\",
        "- & vae & refused (a) \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]
    assert "\\par\\footnotesize (a) refused: the split is not fair" in lines
    assert lines[-1] == "\\end{table}"


def test_latex_takes_no_cell_for_an_argument_and_prints_minus_signs() -> None:
    low = made("ddpm", 0.1)
    low.scores["neighbours.c_t[copy]"] = entry(-2.5, -3.0, -2.0)
    text = table_text(board(low), "neighbours.c_t,model", "latex")
    assert "$-$2.500 [$-$3.000, $-$2.000] & ddpm" in text
    hostile = table_text(board(made("[1ex]", checked=False)), "model", "latex")
    assert "\n{}[1ex] \\\\" in hostile


@pytest.mark.parametrize("style", ["latex", "markdown", "csv"])
def test_texts_of_records_stay_text(style: str) -> None:
    hostile: dict[str, Any] = {"spec": {"preset": HOSTILE}, "environment": {"memobench": HOSTILE}, "checked": False}
    gone = declined("gone", HOSTILE, checked=False)
    text = table_text(board(made(HOSTILE, 0.1, **hostile), gone), "model,preset,version,exposed.items", style)
    assert "\x1b" not in text
    assert "\u202e" not in text
    if style == "latex":
        assert "\\input" not in text
        assert not re.search(r"(?<!\\)&\\", text)
    if style == "markdown":
        assert "<b>" not in text
        assert {line.count(" | ") for line in text.splitlines() if line.startswith("| ")} == {3}
    if style == "csv":
        assert next(row["model"] for row in csv.DictReader(io.StringIO(text))).startswith("'=cmd()")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula(sign: str) -> None:
    (row,) = cells(board(made(f"{sign}1+cmd()", checked=False)), "model")
    assert row["model"] == f"'{sign}1+cmd()"


# Refusals


def test_an_unknown_column_is_refused_with_the_list() -> None:
    assert refusal(board(made("vae")), "rank,exposd.items") == (
        "there is no column 'exposd.items' on this board\n"
        "  hint: did you mean 'exposed.items'? its columns are rank, possible, model, preset, settings, seeds, answer, "
        "could_show, n, train, samples, device, version, fit_seconds, sample_seconds, evaluate_seconds, peak_bytes, "
        "parameters, fit_joules, sample_joules, exposed.patients, exposed.items, exposed.verbatim, exposed.control, "
        "withheld.items, detector.recall.exact, copies.rate, copies.null, detectable.share, detectable.patients, "
        "quality.frechet, quality.frechet_floor; after the id of a score there may be :value, :interval, :low, :high, "
        ":n"
    )


@pytest.mark.parametrize("name", ["", "exposed.items[gone]", ":n", "exposed.items:", "model:n", "exposed.items:p"])
def test_what_is_no_column_is_refused(name: str) -> None:
    assert refusal(board(made("vae")), name).startswith(f"there is no column {name!r} on this board\n")


def test_a_score_of_several_detectors_needs_the_detector() -> None:
    one = made("vae")
    for name in ("pixels", "ssim:a=1,b=2"):
        one.scores[f"rule.akbar2025.mean[{name}]"] = entry(0.5)
    assert refusal(board(one), "rule.akbar2025.mean") == (
        "--columns 'rule.akbar2025.mean' is the name of 2 scores\n"
        "  hint: choose rule.akbar2025.mean[pixels] or rule.akbar2025.mean[ssim:a=1,b=2]"
    )
    (row,) = cells(board(one), "model, rule.akbar2025.mean[ssim:a=1,b=2]:value")
    assert list(row.values()) == ["vae", "0.500"]


def test_a_column_given_twice_is_refused() -> None:
    assert refusal(board(made("vae")), "exposed.items,exposed.items[copy]") == (
        "--columns has 'exposed.items' twice\n  hint: give it once"
    )


def test_an_unknown_format_is_refused() -> None:
    assert refusal(board(made("vae")), style="html") == (
        "there is no format 'html' for a table\n  hint: choose latex, markdown, csv"
    )


@pytest.mark.parametrize(
    ("cohort", "protocol", "message"),
    [
        (
            None, None,
            ("there are 2 boards: cxr-pneumonia (01234567), protocol p2; phantom-mr (fedcba98), protocol p2\n"
            "  hint: choose one: --cohort KEY --protocol NAME"),
        ),
        (
            "phantom-ct", "p2",
            ("there is no board with --cohort 'phantom-ct' and --protocol 'p2'\n"
            "  hint: there are: cxr-pneumonia (01234567), protocol p2; phantom-mr (fedcba98), protocol p2"),
        ),
        (
            "fed", None,
            ("there is no board with --cohort 'fed'\n"
            "  hint: there are: cxr-pneumonia (01234567), protocol p2; phantom-mr (fedcba98), protocol p2"),
        ),
    ],
)  # fmt: skip
def test_a_board_has_to_be_named_where_there_are_several(
    cohort: str | None, protocol: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        choose(several(), cohort, protocol)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["phantom-mr", "fedcba98", "fedcba9876543210"])
def test_a_board_is_named_by_its_cohort_or_the_beginning_of_its_digest(name: str) -> None:
    (record,) = choose(several(), name, None)
    assert record.cohort.name == "phantom-mr"


def test_the_page_of_boards_lists_every_field_and_part() -> None:
    page = (Path(__file__).parents[2] / "docs" / "boards.md").read_text(encoding="utf-8")
    (fields,) = (line for line in page.splitlines() if line.startswith("| `rank`, "))
    assert re.findall("`([a-z_]+)`", fields.split("|")[1]) == list(FIELDS)
    (parts,) = (line for line in page.splitlines() if line.startswith("| `exposed.items:value`, "))
    assert re.findall("`[a-z.]*:([a-z]+)`", parts) == list(PARTS)


# Documents

DOCUMENT = """# Title
<!-- table: bench leaderboard table --cohort a -->
old
<!-- /table -->
text

```md
<!-- table: an example -->
<!-- /table -->
```
  <!-- table: second -->
  <!-- /table -->
"""


def test_tables_in_a_document_are_made_again_and_nothing_else_changes() -> None:
    fresh = refreshed(DOCUMENT, lambda command: f"| {command} |\n")
    assert fresh == DOCUMENT.replace("old\n", "| bench leaderboard table --cohort a |\n").replace(
        "second -->\n", "second -->\n| second |\n"
    )
    assert refreshed(fresh, lambda command: f"| {command} |\n") == fresh
    assert refreshed("no table\n", str) == "no table\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n<!-- table: x -->\n", "d.md: the table of 'x' has no end\n  hint: write <!-- /table --> below it"),
        (
            "a\n<!-- /table -->\n",
            "d.md, line 2: <!-- /table --> has no other half\n  hint: write <!-- /table --> below each table",
        ),
        (
            "<!-- table: x -->\n<!-- table: y -->\n<!-- /table -->\n",
            "d.md, line 2: <!-- table: y --> has no other half\n  hint: write <!-- /table --> below each table",
        ),
    ],
)
def test_half_a_table_is_refused(text: str, message: str) -> None:
    with pytest.raises(Exception) as error:
        refreshed(text, str, "d.md")
    assert str(error.value) == message
