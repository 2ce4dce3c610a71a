"""`--columns patient=patient_id,file=source_file`: which column of a user's table plays which role."""

from __future__ import annotations

from benchmark.core.errors import UsageError
from benchmark.core.options import suggest

ROLES = {"patient": "patient", "file": "file", "class": "label", "site": "site", "split": "split"}
"""The user's word for a role, and the name of its column in `PatientTable`."""
EXAMPLE = "write such as --columns patient=patient_id,file=source_file"


def read_roles(text: str) -> dict[str, str]:
    """Return the column of each role, by the role's name in `PatientTable`; none for an empty text.

    Args:
        text: `ROLE=COLUMN`, with commas between; a column may hold spaces and equals signs, but no comma.

    Raises UsageError for a part that is no ROLE=COLUMN, an unknown role, and a role or a column that is named twice.
    """
    roles: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        role, equals, column = (word.strip() for word in part.partition("="))
        if not equals or not role or not column:
            raise UsageError(f"--columns {part} is not ROLE=COLUMN", EXAMPLE)
        if role not in ROLES:
            hint = f"{suggest(role, ROLES)}the roles are {', '.join(ROLES)}"
            raise UsageError(f"--columns {part}: there is no role {role!r}", hint)
        if ROLES[role] in roles:
            raise UsageError(f"--columns names the role {role} twice", "give one column per role")
        _require_free(column, roles)
        roles[ROLES[role]] = column
    return roles


def _require_free(column: str, roles: dict[str, str]) -> None:
    """Refuse a column that already has a role; case does not tell columns apart (`csv_tables.read_csv`)."""
    taken = {given.casefold(): role for role, given in roles.items()}
    if column.casefold() in taken:
        words = {own: word for word, own in ROLES.items()}
        raise UsageError(
            f"--columns takes the column {column} twice, the first time for {words[taken[column.casefold()]]}",
            "give each role a column of its own",
        )
