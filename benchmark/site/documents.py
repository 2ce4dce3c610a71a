"""Tables in Markdown documents that a command has made, made again from the records.

A table stands between two comments, of which the first holds the command:

    <!-- table: bench leaderboard table --cohort NAME --columns rank,model -->
    ...
    <!-- /table -->

What is between fences (```) is an example, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from benchmark.core.errors import BadDataError

START = re.compile(r"<!-- table: (.*) -->")
END = "<!-- /table -->"
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def refreshed(text: str, table: Callable[[str], str], name: str = "the document") -> str:
    """Return a document with every table as its command makes it now.

    Args:
        text: of the document.
        table: returns what a command prints.
        name: of the document, for messages.

    Raises BadDataError for a comment without its other half.
    """
    lines: list[str] = []
    command, fence = "", ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        mark = "" if fence else line.strip()
        start = START.fullmatch(mark)
        if (start and command) or (mark == END and not command):
            raise BadDataError(f"{name}, line {number}: {mark} has no other half", f"write {END} below each table")
        if mark == END:
            lines += [table(command).strip("\n"), "\n", line]
        elif start or not command:
            lines.append(line)
        command = start[1] if start else "" if mark == END else command
        fence = "" if command else _fence(fence, line)
    if command:
        raise BadDataError(f"{name}: the table of {command!r} has no end", f"write {END} below it")
    return "".join(lines)


def _fence(fence: str, line: str) -> str:
    """Return the fence that is open after a line; nothing where none is."""
    match = FENCE.match(line)
    if not match:
        return fence
    if not fence:
        return match[1]
    closes = match[1].startswith(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


def read_document(path: Path) -> str:
    """Return the text of a document. Raises BadDataError naming the file."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}", "give a Markdown file") from error
    except UnicodeDecodeError as error:
        raise BadDataError(f"{path} is no text in UTF-8: {error.reason}", "give a Markdown file") from error
