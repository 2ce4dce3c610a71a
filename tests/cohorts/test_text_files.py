"""Which text a file holds: kinds of files, compression, encodings."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pytest

from benchmark.cohorts.text_files import PUBLISHED, read_lines, read_text
from benchmark.core.errors import BadDataError, BenchError, MissingDataError

TEXT = "patient,note\r\n1,größer \u2013 \u201e2 cm Spaß\u201c\r\n"
AGAIN = "save the table again, as CSV UTF-8"
MIXED = "open it in an editor, correct these lines, and save all of it as CSV UTF-8"


def refused(path: Path, kind: type[BenchError] = BadDataError) -> str:
    with pytest.raises(kind) as caught:
        read_text(path)
    return str(caught.value)


def write(folder: Path, content: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode() + b"\x1a",
        gzip.compress(TEXT.encode(), mtime=0),
        *(pack(TEXT.encode()) for pack in (bz2.compress, lzma.compress)),
    ],
    ids=["UTF-8", "mark", "UTF-16", "UTF-16 big", "UTF-32", "end of file", "gzip", "bzip2", "xz"],
)
def test_the_same_text_in_every_form(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert read_text(write(tmp_path, content)) == TEXT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    text = "patient,note\n1,größer\n"
    assert read_text(write(tmp_path, text.encode(encoding))) == text


def test_windows_1252_is_read_and_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, TEXT.encode("cp1252"))
    assert read_text(path) == read_text(path) == TEXT
    assert capfd.readouterr().err == (
        f"{path} is not UTF-8 (first in line 2) and was read as Windows-1252: if its text looks wrong, save it as CSV "
        "UTF-8\n"
    )


def test_a_zip_archive_of_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", TEXT)
    assert read_text(tmp_path / "t.zip") == TEXT


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "is empty (0 bytes)", AGAIN),
        (b"a\nb\n\x00c\n", "has a NUL byte in line 3, which no text has", AGAIN),
        (b"a\r\xc3\xa4\r\xe4\r", "mixes encodings, or is damaged: line 2 is UTF-8 and line 3 is not", MIXED),
        (b"\xd7\x90\xd7\x91\n\xd7", "mixes encodings, or is damaged: line 1 is UTF-8 and line 2 is not", MIXED),
        (b"\xef\xbb\xbfa\n\xe4\n", "begins as UTF-8, and line 2 is damaged", AGAIN),
        (b"\xff\xfea\x00\n\x00b", "begins as UTF-16, and line 2 is damaged", AGAIN),
        (b"a\n\x81\x8d\n", "is no text in UTF-8, UTF-16 or Windows-1252 (first in line 2)",
         "save the table as CSV UTF-8"),
        (b"a\n\xe4\x05\n", "is no text in UTF-8, UTF-16 or Windows-1252 (first in line 2)",
         "save the table as CSV UTF-8"),
        (b"a\n\xea\xee\xf2\xfb\n", "is no text in UTF-8, UTF-16 or Windows-1252 (first in line 2)",
         "save the table as CSV UTF-8"),
        (b"\n<!DOCTYPE html><p>404", "is a web page or XML, not a CSV file",
         "download the file that the page offers, or save the table as CSV UTF-8"),
        ("<html>".encode("utf-16"), "is a web page or XML, not a CSV file",
         "download the file that the page offers, or save the table as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "is an Excel workbook, not a CSV file",
         "open it, and save the sheet as CSV UTF-8"),
        (b"%PDF-1.4", "is a PDF document, not a CSV file", "give a CSV file"),
        (b"version https://git-lfs.github.com/spec/v1\n",
         "is a pointer to a file that Git LFS has not downloaded, not a CSV file", "give a CSV file"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "is compressed and damaged: it cannot be unpacked", AGAIN),
        (b"PK\x03\x04....", "is compressed and damaged: it cannot be unpacked", AGAIN),
    ],
)  # fmt: skip
def test_what_is_no_text(tmp_path: Path, content: bytes, message: str, hint: str) -> None:
    path = write(tmp_path, content)
    assert refused(path) == f"{path} {message}\n  hint: {hint}"


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "is an Excel workbook, not a CSV file",
         "open it, and save the sheet as CSV UTF-8"),
        (["mimetype", "content.xml"], "is an OpenDocument workbook, not a CSV file",
         "open it, and save the sheet as CSV UTF-8"),
        (["word/document.xml"], "is a document of a word processor, not a CSV file", "give a CSV file"),
        (["a.csv", "b.csv"], "is a zip archive of 2 files", "unpack it, and give the CSV file"),
    ],
)  # fmt: skip
def test_archives(tmp_path: Path, names: list[str], message: str, hint: str) -> None:
    path = tmp_path / "t.csv"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    assert refused(path) == f"{path} {message}\n  hint: {hint}"


def test_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    said = f"{path} does not exist\n  hint: give the path of a CSV file"
    assert refused(path, MissingDataError) == said
    with pytest.raises(MissingDataError) as caught:
        read_text(path, PUBLISHED)
    assert caught.value.hint == "copy it into the folder of the data set, as it was downloaded"
    said = f"{tmp_path} is a folder, not a file\n  hint: give the path of a CSV file"
    assert refused(tmp_path, MissingDataError) == said


def test_lines(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, b"\xef\xbb\xbfa.png \r\n\r\nb.png")) == ["a.png", "b.png"]
    assert read_lines(write(tmp_path, b"")) == []
