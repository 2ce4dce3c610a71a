"""Where the files of a data set lie, or one message on how to get them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from benchmark.cohorts.guarded import created
from benchmark.core.errors import MachineError, MissingDataError
from benchmark.core.types import Dataset, Embedded

VARIABLE = "MEMOBENCH_DATA"
EMBEDDED = "phantom-mr"
"""Named in messages as what runs without any download."""


class Access(Protocol):
    """The part of a data set's card that says how to get it."""

    @property
    def name(self) -> str:
        """The data set's name."""

    @property
    def access(self) -> str:
        """How to register and download, one sentence."""

    @property
    def licence(self) -> str:
        """Under which terms."""

    @property
    def citation(self) -> str:
        """What to cite."""

    @property
    def layout(self) -> str:
        """The folders and names of the download."""


def locate(card: Access, dataset: Dataset, *, root: Path | None = None, cache: Path) -> Path:
    """Return the folder of a data set's files; an embedded one is made first.

    Looks at root alone where it is given, else at $MEMOBENCH_DATA/NAME, then at data/NAME in the current folder.
    An embedded data set without root lies in cache/embedded/NAME.
    Raises MissingDataError with the places and the way to get the data.
    """
    if isinstance(dataset, Embedded):
        folder = root or cache / "embedded" / card.name
        return _created(card.name, dataset, folder)
    places = [root] if root else default_places(card.name)
    for place in places:
        if place.is_dir():
            return place
    raise missing(card, places)


def default_places(name: str) -> list[Path]:
    """List where a data set is looked for without --root."""
    base = os.environ.get(VARIABLE)
    return [*([Path(base) / name] if base else []), Path("data") / name]


def missing(card: Access, places: list[Path]) -> MissingDataError:
    """Return the one message for a data set that is not on this disk."""
    looked = " and in ".join(str(place) for place in places)
    hint = "\n  ".join(
        (
            card.access or "ask the authors of this data set for access.",
            f"licence: {card.licence or 'not stated'}; cite: {card.citation or 'not stated'}",
            f"layout: {card.layout or 'see its dataset.py'}",
            f"then give the folder with --root, or put it at data/{card.name} or ${VARIABLE}/{card.name}",
            f"without any download: bench run --model ldm --data {EMBEDDED}",
        )
    )
    return MissingDataError(f"{card.name} is not on this disk: looked in {looked}", hint)


def _created(name: str, dataset: Embedded, folder: Path) -> Path:
    try:
        return created(name, dataset, folder)
    except OSError as error:
        raise MachineError(
            f"{folder} could not be written: {error.strerror or error}", "free some space, or choose another cache"
        ) from error
