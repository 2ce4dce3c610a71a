"""Messages of the command line in the words of Python: `--must-see 2` is `must_see=2` here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.core.errors import BenchError

OPTION = re.compile(r"--(?!set-data\b)([a-z]+(?:-[a-z]+)*)")
SET_DATA = re.compile(r"--set-data ([a-z_]+)=")
COLUMNS = re.compile(r"--columns (\w+=[\w,=]+)")
PATIENTS = re.compile(r"--patients ('[^']*'|each-file|folder:-?[0-9]+|patient-id|study-id)")


def in_python(text: str) -> str:
    """Return a message with the options of the command line as arguments."""
    text = COLUMNS.sub(r"options={'columns': '\1'}", text)
    text = PATIENTS.sub(lambda match: "patients='" + match[1].strip("'") + "'", text)
    text = SET_DATA.sub(r"options: \1=", text)
    return OPTION.sub(lambda match: f"{match[1].replace('-', '_')}=", text)


@contextmanager
def python_words() -> Iterator[None]:
    """Raise errors again with messages that name arguments."""
    try:
        yield
    except BenchError as error:
        error.message, error.hint = in_python(error.message), in_python(error.hint)
        raise
