"""The text of a file that a user gives: what kind of file it is, unpacked, and in which encoding."""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.progress import to_stderr
from benchmark.images.readers.limits import limit, require_bytes, require_file


@dataclass(frozen=True)
class Advice:
    """What a user can do about a file, by what is wrong with it."""

    missing: str
    damaged: str
    columns: str
    """Where a column is missing."""
    suggests: bool = False
    """Whether the most similar column is proposed in its place: where the name is not one that we require."""


OWN = Advice(
    missing="give the path of a CSV file",
    damaged="save the table again, as CSV UTF-8",
    columns="name the columns so in the first line, with commas, semicolons, tabs or | between them",
)
"""A table that the user wrote."""
PUBLISHED = Advice(
    missing="copy it into the folder of the data set, as it was downloaded",
    damaged="download or copy the file again",
    columns="give the file as it was published, or name the columns so",
)
"""A table that belongs to a published data set."""

# A byte order mark of UTF-32 begins with that of UTF-16, so it is looked for first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
XZ_MEMORY = 2**28
"""Bytes that unpacking xz may take beside the text; its highest preset takes 65 MiB, a header may ask for 4 GiB."""
UNPACK: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY)),
)
"""The first bytes of compressed files, and what unpacks them."""
ANY_RATIO_BYTES = 2**26
MOST_COMPRESSED = 100
"""Bytes of text per compressed byte; tables reach 3 to 30. Up to ANY_RATIO_BYTES every file is unpacked."""
ZIPPED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
OTHERS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a Parquet table"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"SQLite format 3", "a database"),
    (b"{\\rtf", "a document of a word processor"),
    (b"version https://git-lfs", "a pointer to a file that Git LFS has not downloaded"),
)
"""The first bytes of files that are given for tables by mistake."""
WORKBOOKS = {
    "xl/": "an Excel workbook",
    "Index/": "a Numbers workbook",
    "content.xml": "an OpenDocument workbook",
    "word/": "a document of a word processor",
}
"""What a zip archive is, by the beginning of a name in it."""
PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|table|\?xml)\b", re.IGNORECASE)
FOREIGN = re.compile(r"([^\x00-\x7f])(?!\1{3})[^\x00-\x7f]{3}")
"""Four letters beyond ASCII in a row, not all the same: no word of Western Europe, and any of Cyrillic, Greek, Chinese
or Japanese in an encoding of its own."""
SAMPLE = 4096
"""Bytes by which UTF-16 without a mark is recognised."""
RARE = ((0x250, 0x370), (0x530, 0x1E00))
"""Ranges of Unicode of which two bytes of Western text may be a letter: phonetics, scripts other than Latin, Greek and
Cyrillic."""
CONTROL = re.compile(r"[\x01-\x08\x0e-\x1b\x7f]")
"""Characters that no text of Windows-1252 has: a sign of a binary file."""


def read_text(path: Path, advice: Advice = OWN) -> str:
    """Return the text of a file: UTF-8 or UTF-16 with or without a mark, else Windows-1252, which a notice states.

    gzip, bzip2, xz and zip archives of one file are unpacked. Line ends stay as they are.

    Raises MissingDataError where there is no such file, BadDataError where it cannot be read as text.
    """
    content = _unpacked(path, _bytes(path, advice), advice)
    for start, kind in OTHERS:
        if content.startswith(start):
            raise _other_kind(path, kind)
    text = _decoded(path, content, advice)
    if PAGE.match(text):
        raise BadDataError(
            f"{path} is a web page or XML, not a CSV file",
            "download the file that the page offers, or save the table as CSV UTF-8",
        )
    if "\x00" in text:
        line = _line_of(text, text.index("\x00"))
        raise BadDataError(f"{path} has a NUL byte in line {line}, which no text has", advice.damaged)
    return text.rstrip("\x1a")  # the end mark of DOS


def read_lines(path: Path, advice: Advice = PUBLISHED) -> list[str]:
    """Return the lines of a file without spaces around them and without empty ones, none of an empty file.

    Raises as `read_text`.
    """
    if path.is_file() and not path.stat().st_size:
        return []
    return [line.strip() for line in read_text(path, advice).splitlines() if line.strip()]


def _bytes(path: Path, advice: Advice) -> bytes:
    try:
        if not path.is_dir():
            require_file(path)
            require_bytes(path)
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingDataError(f"{path} does not exist", advice.missing) from error
    except IsADirectoryError as error:
        raise MissingDataError(f"{path} is a folder, not a file", advice.missing) from error
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}", "check its permissions and the disk") from error
    if not content:
        raise BadDataError(f"{path} is empty (0 bytes)", advice.damaged)
    return content


def _unpacked(path: Path, content: bytes, advice: Advice) -> bytes:
    try:
        for start, unpack in UNPACK:
            if content.startswith(start):
                return _members(path, content, unpack)
        return _only_file(path, content) if content.startswith(b"PK\x03\x04") else content
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise BadDataError(f"{path} is compressed and damaged: it cannot be unpacked", advice.damaged) from error
    except (RuntimeError, NotImplementedError) as error:
        raise BadDataError(f"{path} is an archive with a password or of a rare kind", "unpack it first") from error


def _members(path: Path, content: bytes, unpacker: Callable[[], Any]) -> bytes:
    """Return what all members of a compressed file hold. Raises BadDataError where it is more than a table can be."""
    most, text = _most(content), bytearray()
    while content:
        member = unpacker()
        text += member.decompress(content, most + 1 - len(text))
        if len(text) > most:
            raise _bomb(path, len(content))
        if not member.eof:
            raise EOFError("the file ends within its compressed data")
        content = member.unused_data.lstrip(b"\0")
    return bytes(text)


def _most(content: bytes) -> int:
    """Return the bytes that a compressed file may unpack to."""
    return min(limit(), max(ANY_RATIO_BYTES, MOST_COMPRESSED * len(content)))


def _bomb(path: Path, stored: int) -> BadDataError:
    return BadDataError(
        f"{path} unpacks from {stored:,} bytes to more than a table of its size can hold",
        "unpack it yourself, look at it, and give the CSV file",
    )


def _only_file(path: Path, content: bytes) -> bytes:
    """Return the only file of a zip archive. Workbooks are zip archives of several files, and refused by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for start, kind in WORKBOOKS.items():
            if any(name.startswith(start) for name in names):
                raise _other_kind(path, kind)
        if len(names) != 1:
            raise BadDataError(f"{path} is a zip archive of {len(names)} files", "unpack it, and give the CSV file")
        if archive.getinfo(names[0]).compress_type not in ZIPPED:
            raise NotImplementedError("a rare kind of compression")
        with archive.open(names[0]) as file:
            text = file.read(_most(content) + 1)
        if len(text) > _most(content):
            raise _bomb(path, len(content))
        return text


def _other_kind(path: Path, kind: str) -> BadDataError:
    advice = "open it, and save the sheet as CSV UTF-8" if "workbook" in kind else "give a CSV file"
    return BadDataError(f"{path} is {kind}, not a CSV file", advice)


def _decoded(path: Path, content: bytes, advice: Advice) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _strictly(path, content[len(mark) :], encoding, advice)
    if wide := _without_mark(content[:SAMPLE]):
        return _strictly(path, content, wide, advice)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_of(content, error.start)
    return _windows(path, content, line, advice)


def _strictly(path: Path, content: bytes, encoding: str, advice: Advice) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore")
        line = _line_of(before, len(before))
        name = encoding[:6].removesuffix("-").upper()
        raise BadDataError(f"{path} begins as {name}, and line {line} is damaged", advice.damaged) from error


def _without_mark(sample: bytes) -> str:
    """Return the encoding of UTF-16 without a mark: in Western text nearly every other byte is 0."""
    odd, even = sample[1::2], sample[::2]
    zeros = odd.count(0), even.count(0)
    if zeros[0] > len(odd) / 2 and not zeros[1]:
        return "utf-16-le"
    return "utf-16-be" if zeros[1] > len(even) / 2 and not zeros[0] else ""


def _windows(path: Path, content: bytes, line: int, advice: Advice) -> str:
    """Decode Windows-1252, of which Latin-1 is a part, and say so. `line` is the first that is not UTF-8.

    A file with characters of UTF-8 as well is refused: in one of the two readings equal names would differ.
    """
    place = _place_of_utf8(content)
    if place is not None:
        other = _line_of(content.decode("utf-8", errors="ignore"), place)
        raise BadDataError(
            f"{path} mixes encodings, or is damaged: line {other} is UTF-8 and line {line} is not",
            "open it in an editor, correct these lines, and save all of it as CSV UTF-8",
        )
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        line = _line_of(content, error.start)
        raise _unknown_encoding(path, line) from error
    if sign := CONTROL.search(text) or FOREIGN.search(text):
        raise _unknown_encoding(path, _line_of(text, sign.start()))
    _state_once(
        f"{path} is not UTF-8 (first in line {line}) and was read as Windows-1252: if its text looks wrong, save it "
        "as CSV UTF-8"
    )
    return text


def _place_of_utf8(content: bytes) -> int | None:
    """Return where the part of a text that is UTF-8 has a letter beyond ASCII; nowhere if that may be chance.

    Two bytes of Windows-1252, such as those of sharp s and a closing quotation mark, may be one letter of UTF-8, mostly
    of a rare script. So rare scripts count only where such letters are the majority.
    """
    left = content.decode("utf-8", errors="ignore")
    wide = [place for place, letter in enumerate(left) if ord(letter) > 127]
    common = [place for place in wide if not any(low <= ord(left[place]) < high for low, high in RARE)]
    invalid = len(content) - len(left.encode())
    return next(iter(common or (wide if len(wide) > invalid else ())), None)


def _unknown_encoding(path: Path, line: int) -> BadDataError:
    return BadDataError(
        f"{path} is no text in UTF-8, UTF-16 or Windows-1252 (first in line {line})", "save the table as CSV UTF-8"
    )


def _line_of(text: str | bytes, place: int) -> int:
    """Return the number of the line, from 1, of a place in a text; CR LF, CR and LF end lines."""
    before = text[:place].encode("utf-8", "replace") if isinstance(text, str) else text[:place]
    return before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1


@cache
def _state_once(notice: str) -> None:
    """Print a notice the first time: a table is read several times while a cohort is prepared."""
    to_stderr(notice)
