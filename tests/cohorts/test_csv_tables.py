"""Tables in every form that spreadsheets and programs write: read right, or refused with the line."""

from __future__ import annotations

import csv
import gzip
import io
import random
from pathlib import Path

import pytest

from benchmark.cohorts.csv_tables import read_csv, require_ids, require_names, require_unique
from benchmark.core.errors import BadDataError, BenchError

COLUMNS = ("file", "patient")
COLUMNS_HINT = "name the columns so in the first line, with commas, semicolons, tabs or | between them"
QUOTES_HINT = 'put the whole text in double quotes, and write a quotation mark within it twice: "a ""word"" or two"'
PLAIN = [("a.png", "001"), ("b.png", "002")]


def table(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(path: Path, columns: tuple[str, ...] = COLUMNS) -> list[tuple[str, ...]]:
    return list(read_csv(path, columns).itertuples(index=False, name=None))


def refused(path: Path, columns: tuple[str, ...] = COLUMNS) -> str:
    with pytest.raises(BadDataError) as caught:
        read_csv(path, columns)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "file,patient\na.png,001\nb.png,002\n",
        "file;patient\na.png;001\nb.png;002\n",
        "file\tpatient\na.png\t001\nb.png\t002\n",
        "file|patient\na.png|001\nb.png|002\n",
        "sep=;\r\nfile;patient\r\na.png;001\r\nb.png;002\r\n",
        '"sep=,"\nfile,patient\na.png,001\nb.png,002\n',
        "sep=^\nfile^patient\na.png^001\nb.png^002\n",
        "sep=\t\nfile\tpatient\na.png\t001\nb.png\t002\n",
        "file,patient\ra.png,001\rb.png,002\r",
        "file,patient\r\r\na.png,001\r\r\nb.png,002\r\r\n",
        "file,patient\na.png,001\nb.png,002",
        "\n\nfile,patient\n\na.png,001\n\n\nb.png,002\n\n\n",
        "file,patient,,\na.png,001,,\nb.png,002,,\n,,,\n,,,\n",
        "file,patient\na.png,001,,\nb.png,002\n",
        "file,patient,note,site\na.png,001,x\nb.png,002,,K\n",
        " File , PATIENT \na.png,001\nb.png,002\n",
        '"file","patient"\n"a.png","001"\n"b.png","002"\n',
        ",file,patient\n0,a.png,001\n1,b.png,002\n",
        "note,patient,file,note\nx,001,a.png,y\nx,002,b.png,y\n",
        'note,file,patient\n"x;y;z",a.png,001\n"two\nlines, ""quoted""",b.png,002\n',
        "file;patient,x\na.png;001\nb.png;002\n".replace("patient,x", "patient;x,y"),
    ],
)
def test_every_form_of_a_table(tmp_path: Path, content: str) -> None:
    assert cells(table(tmp_path, content)) == PLAIN
    assert cells(table(tmp_path, content.encode("utf-16"))) == PLAIN
    assert cells(table(tmp_path, content.encode("utf-8-sig"))) == PLAIN
    assert cells(table(tmp_path, gzip.compress(content.encode()), "t.csv.gz")) == PLAIN


@pytest.mark.parametrize(
    ("titles", "first"),
    [("Export of the archive\n\n", 4), ("Export,\n,\nMay,2026\n", 5), ("sep=,\n# made by hand\n", 4)],
)
def test_titles_above_the_header_are_skipped(tmp_path: Path, titles: str, first: int) -> None:
    read = read_csv(table(tmp_path, titles + "file,patient\na.png,001\nb.png,002\n"), COLUMNS)
    assert list(read.itertuples(name=None)) == [(first, *PLAIN[0]), (first + 1, *PLAIN[1])]


def test_a_header_is_not_sought_below_one_with_a_column(tmp_path: Path) -> None:
    assert refused(table(tmp_path, "file,id\nfile,patient\n")) == (
        f"{tmp_path}/t.csv has no column patient; it has file, id\n  hint: {COLUMNS_HINT}"
    )
    assert refused(table(tmp_path, "x,y\n" * 10 + "file,patient\na.png,1\n")) == (
        f"{tmp_path}/t.csv has no column file and no patient; it has x, y\n  hint: {COLUMNS_HINT}"
    )


def test_cells_are_text(tmp_path: Path) -> None:
    """No cell passes through a number, and no word means a missing value."""
    values = ["1e5", "12345678901234567890", "1.0", "007", "nan", "None", "NA", "", " x ", "TRUE", "1,5", "#N/A"]
    content = "value;n\n" + "".join(f"{value};{number}\n" for number, value in enumerate(values))
    assert cells(table(tmp_path, content), ("value",)) == [(value,) for value in values]


def test_a_lone_column_keeps_quoted_empty_texts(tmp_path: Path) -> None:
    assert cells(table(tmp_path, 'text\na\n""\n\nb\n'), ("text",)) == [("a",), ("",), ("b",)]


def test_the_index_is_the_line_in_which_a_row_begins(tmp_path: Path) -> None:
    path = table(tmp_path, 'sep=,\ntext,n\n\n"a\nb\r\nc",1\nd,2\n,\ne,3\n')
    assert list(read_csv(path, ("text",)).index) == [4, 7, 9]


def test_optional_columns_and_their_order(tmp_path: Path) -> None:
    path = table(tmp_path, "label,patient,file\nx,1,a\n")
    assert list(read_csv(path, COLUMNS, ("split", "label")).columns) == ["file", "patient", "label"]


def test_the_exact_name_is_preferred_to_one_in_another_case(tmp_path: Path) -> None:
    assert cells(table(tmp_path, "Patient,file,patient\nx,a,1\n")) == [("a", "1")]


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("name\na.png\n", "has no column file and no patient; it has name", COLUMNS_HINT),
        ("file,name\na,b\n", "has no column patient; it has file, name", COLUMNS_HINT),
        (
            "a.png,Mr. Smith\nb.png,Mr. X\n",
            "has no column file and no patient; it has 2, and its first line does not look like names of columns",
            COLUMNS_HINT,
        ),
        ("\n \n", "has no names of columns in its first line", COLUMNS_HINT),
        ("file,patient\n\n,,\n", "has no rows", "save the table again, as CSV UTF-8"),
        (
            "file,patient,patient\na,1,2\n",
            "has 2 columns named patient, in places 2 and 3",
            "rename all but the one that is meant",
        ),
        (
            "Patient,file,PATIENT,patients\n1,a,2,3\n",
            "has 2 columns named patient, in places 1 and 3",
            "rename all but the one that is meant",
        ),
        (
            "file,patient\na,1\n\nb,2,x\n",
            "has 3 fields in line 4, and its header 2",
            'put the text in double quotes if it contains the separator ",", or give each column a name',
        ),
        (
            "file\tpatient\na\t1\tx\n",
            "has 3 fields in line 2, and its header 2",
            "put the text in double quotes if it contains the separator tab, or give each column a name",
        ),
        (
            "file,patient,\na,1,x\n",
            "has 3 fields in line 2, and its header 2",
            'put the text in double quotes if it contains the separator ",", or give each column a name',
        ),
        (
            'file,patient\n"a\nb",1\nb\n',
            "has 1 of 2 fields in line 4, and none for column patient",
            "write one line per row, with an empty cell where nothing is known",
        ),
        ('file,patient\na,1\n"b,2\nc,3\n', "opens a quotation mark in line 3 that is not closed", QUOTES_HINT),
        (
            'file,patient\na,1\n"b,2\nc,3\n"d",4\n',
            "has text after a closing quotation mark in line 5, in the row that begins in line 3",
            QUOTES_HINT,
        ),
        ('file,patient\n"a" b,1\n', "has text after a closing quotation mark in line 2", QUOTES_HINT),
        (
            'file,patient\na, "x, y"\n',
            "has a space before a quotation mark in line 2",
            "delete the space: a quoted text begins directly after the separator",
        ),
        (
            'file,patient\na, "x"\n',
            "has a space before a quotation mark in line 2",
            "delete the space: a quoted text begins directly after the separator",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, message: str, hint: str) -> None:
    path = table(tmp_path, content)
    assert refused(path) == f"{path} {message}\n  hint: {hint}"


def test_a_long_cell_is_a_quotation_mark_that_is_not_closed(tmp_path: Path) -> None:
    path = table(tmp_path, 'file,patient\n"a,1\n' + "b,1\n" * 50_000 + '"')
    assert refused(path) == f"{path} opens a quotation mark in line 2 that is not closed\n  hint: {QUOTES_HINT}"


MISSING = (
    "nan",
    "NaN",
    "None",
    "NA",
    "N/A",
    "-",
    "null",
    "#N/A",
    "NaT",
    "unknown",
    "",
    "  ",
    "<NA>",
    "?",
    "n.a.",
    "--",
)


@pytest.mark.parametrize("value", MISSING)
def test_an_id_that_is_none(tmp_path: Path, value: str) -> None:
    path = table(tmp_path, f"file;patient\na;1\nb;{value}\nc;2\n")
    with pytest.raises(BadDataError) as caught:
        require_ids(read_csv(path, COLUMNS), "patient", path)
    hint = "fill it in, or leave the row out; nan, NA, none, unknown and - count as empty"
    assert str(caught.value) == f"{path} has no id in column patient of line 3\n  hint: {hint}"


@pytest.mark.parametrize("value", ["1.2E+11", "1,20045E+11", "3e+05", "'1E+12", "-1.5E+10"])
def test_a_rounded_number_is_no_id(tmp_path: Path, value: str) -> None:
    path = table(tmp_path, f"file;patient\na.png;001\nb.png;{value}\n")
    with pytest.raises(BadDataError) as caught:
        require_ids(read_csv(path, COLUMNS), "patient", path)
    assert str(caught.value) == (
        f"{path} has a rounded number, such as 1.2E+11, in column patient of line 3: several patients may have the same"
        "\n  hint: format the column as text in the spreadsheet before numbers are entered or imported, and save it "
        "again"
    )


def test_several_ids_that_are_none(tmp_path: Path) -> None:
    path = table(tmp_path, "file,patient\na,nan\nb,1\nc,NA\nd,-\n")
    with pytest.raises(BadDataError) as caught:
        require_ids(read_csv(path, COLUMNS), "patient", path)
    assert caught.value.message == f"{path} has no id in column patient of line 2, and in 2 more"


def test_ids_that_look_odd_and_are_none_of_these(tmp_path: Path) -> None:
    path = table(tmp_path, "file,patient\n" + "".join(f"f,{name}\n" for name in ("0", "Nan 1", "none2", "-1", "1e5")))
    rows = read_csv(path, COLUMNS)
    require_ids(rows, "patient", path)
    assert list(rows["patient"]) == ["0", "Nan 1", "none2", "-1", "1e5"]


def test_a_file_may_be_called_nan_and_must_have_a_name(tmp_path: Path) -> None:
    path = table(tmp_path, "file,patient\nnan,1\n")
    require_names(read_csv(path, COLUMNS), "file", path)
    path = table(tmp_path, "file,patient\na,1\n ,2\n")
    with pytest.raises(BadDataError) as caught:
        require_names(read_csv(path, COLUMNS), "file", path)
    assert str(caught.value) == (
        f"{path} has no name in column file of line 3\n  hint: fill it in, or leave the row out"
    )


def test_a_line_break_in_an_id_is_a_quotation_mark_that_closes_too_late(tmp_path: Path) -> None:
    path = table(tmp_path, 'patient,file\n1,a\n"2,b\n3",c\n4,d\n')
    with pytest.raises(BadDataError) as caught:
        require_ids(read_csv(path, COLUMNS), "patient", path)
    assert str(caught.value) == (
        f"{path} has a line break in column patient, in the row that begins in line 3"
        "\n  hint: write the cell in one line, and check that each quotation mark before it is closed"
    )


def test_what_is_listed_twice(tmp_path: Path) -> None:
    path = table(tmp_path, "file,patient\na,1\nb,2\na,1\n")
    with pytest.raises(BadDataError) as caught:
        require_unique(read_csv(path, COLUMNS), "file", path)
    assert str(caught.value) == (
        f"{path} lists a twice in column file, in lines 2 and 4\n  hint: keep one row per file"
    )


# Random tables

LETTERS = "ab 01.-,;|\t\"'\n\r/äößé=#"
FURTHER = "\u2013\u00a0\u03a9\u6f22"
"""Letters that Windows-1252 lacks, or that make a letter of UTF-8 with the one before."""
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


def random_cell(draw: random.Random, letters: str) -> str:
    text = "".join(draw.choice(letters) for _ in range(draw.randrange(8)))
    # A space before a quotation mark is refused; the writer would quote it, a person would not mean it.
    return text.lstrip() if text.lstrip().startswith('"') else text


def written(draw: random.Random) -> tuple[bytes, list[tuple[str, ...]]]:
    """A random table as a program writes it, and its cells of the two columns."""
    names = ["file", "patient", *(f"c{number}" for number in range(draw.randrange(3)))]
    draw.shuffle(names)
    encoding = draw.choice(ENCODINGS)
    letters = LETTERS if encoding == "cp1252" else LETTERS + FURTHER
    rows = [[random_cell(draw, letters) for _ in names] for _ in range(draw.randrange(1, 6))]
    rows = [row for row in rows if any(cell.strip() for cell in row)] or [["x" for _ in names]]
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=draw.choice(",;\t|"),
        lineterminator=draw.choice(("\n", "\r\n", "\r")),
        quoting=draw.choice((csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)),
    )
    writer.writerows([[name.title() if draw.random() < 0.3 else name for name in names], *rows])
    picked = [tuple(row[names.index(name)] for name in COLUMNS) for row in rows]
    return text.getvalue().encode(encoding), picked


@pytest.mark.parametrize("seed", range(20))
def test_random_tables_come_back(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(20):
        content, expected = written(draw)
        assert cells(table(tmp_path, content, f"{number}.csv")) == expected


@pytest.mark.parametrize("seed", range(10))
def test_damaged_tables_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    refusals = []
    for number in range(60):
        content = bytearray(written(draw)[0])
        if draw.random() < 0.3:
            content = bytearray(gzip.compress(bytes(content)))
        for _ in range(draw.randrange(3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        end = len(content) if draw.random() < 0.5 else draw.randrange(len(content))
        path = table(tmp_path, bytes(content[:end]), f"{number}.csv")
        try:
            read_csv(path, COLUMNS)
        except BenchError as error:
            refusals.append((path, error))
    assert 10 < len(refusals) < 60
    assert all(error.message.startswith(f"{path} ") and error.hint for path, error in refusals)
