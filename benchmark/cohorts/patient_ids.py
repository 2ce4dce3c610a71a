"""Names of patients: which of them mean the same person, and which mean nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from benchmark.core.types import Source

SAME_PATIENT = "counted as one patient, ids that differ only by spaces, case, leading zeros or .0"
INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp")
"""Unicode categories of control characters, of zero-width ones, and of spaces."""
MISSING = frozenset({
    "nan", "none", "na", "n/a", "n.a.", "n.a", "null", "nil", "nat", "<na>", "unknown", "undefined", "missing",
    "notavailable", "notapplicable", "k.a.", "k.a", "unbekannt", "inconnu", "inconnue", "desconocido", "sconosciuto",
    "未知", "不明", "#n/a", "#na", "#null!", "#value!", "#ref!", "#name?", "#div/0!", "#num!",
})  # fmt: skip
"""What programs and people write into a cell of which they know nothing."""
QUOTES = re.compile("[\"'\u2018\u2019\u201c\u201d`]")
LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
DECIMALS = re.compile(r"([^.,]*[0-9])[.,]0+")
THOUSANDS = re.compile(r"[1-9][0-9]{0,2}([.,][0-9]{3})+")
"""`1,234` of 1234: before DECIMALS, because three zeros are thousands more often than decimals."""
ROUNDED = re.compile(r"[+-]?[0-9]([.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
"""`1.2E+11`: a long number as spreadsheets write it, its last digits lost."""


@lru_cache(maxsize=1 << 17)
def canonical_id(text: str) -> str:
    """Return the form of a patient's id that all its spellings share; it is compared, and never shown.

    Spaces (within it too), invisible characters, quotation marks, case, the Unicode form, leading zeros of each number,
    a `.0` at the end and separators of thousands have no influence: spreadsheets and parsers add and remove them. Ids
    stay text. Where two patients do fall together, the cohort has one patient less; where one patient counts as two, a
    copy of a training image may be taken for one of a held-out patient. So the wider rule is the safe one.
    """
    normal = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join(letter for letter in normal if unicodedata.category(letter) not in INVISIBLE)
    # `="001"` is a formula by which spreadsheets keep leading zeros.
    bare = QUOTES.sub("", visible).removeprefix("=")
    if THOUSANDS.fullmatch(bare):
        bare = re.sub("[.,]", "", bare)
    decimals = DECIMALS.fullmatch(bare)
    return LEADING_ZEROS.sub("", decimals[1] if decimals else bare)


def is_missing(text: str) -> bool:
    """Return whether a cell for an id says that there is none: empty, `nan`, `N/A`, or without letter and digit."""
    plain = canonical_id(text)
    return plain in MISSING or not any(letter.isalnum() for letter in plain)


def is_rounded(text: str) -> bool:
    """Return whether an id is a number of which a spreadsheet kept the first digits only: `1.2E+11`."""
    return bool(ROUNDED.fullmatch(text.strip(" \"'=")))


def one_name_each(ids: Iterable[str]) -> dict[str, str]:
    """Map each id to the one that stands for all spellings of it; an id without another spelling is its own.

    The first in alphabetical order stands for the others, after those with spaces around them and those with `.0`: a
    split depends on the names, so the order of files must not matter. Spaces around it are not part of an id.
    """
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(ids), key=lambda name: (name != name.strip(), bool(DECIMALS.fullmatch(name)), name)):
        spellings.setdefault(canonical_id(name) or name, []).append(name)
    return {name: names[0].strip() or names[0] for names in spellings.values() for name in names}


def join_spellings(
    sources: Sequence[Source], remarks: Mapping[str, Sequence[str]]
) -> tuple[list[Source], dict[str, Sequence[str]]]:
    """Give all sources of a patient the same subject, and add a remark with the spellings where there were several."""
    names = one_name_each(source.subject for source in sources)
    joined: dict[str, list[str]] = {}
    for name, first in names.items():
        joined.setdefault(first, []).append(name)
    several = sorted(" = ".join(map(_shown, spellings)) for spellings in joined.values() if len(spellings) > 1)
    renamed = [
        source if names[source.subject] == source.subject else replace(source, subject=names[source.subject])
        for source in sources
    ]
    return renamed, {**remarks, **({SAME_PATIENT: several} if several else {})}


def _shown(name: str) -> str:
    """Return an id, in quotation marks where it holds spaces or what cannot be seen."""
    return name if name.isprintable() and " " not in name else repr(name)
