"""What is known of models and data sets beyond a board: their cards, and all rows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.core.files import content_key
from benchmark.core.options import as_text, without_paths
from benchmark.core.public_text import public_options
from benchmark.plugins.registry import DatasetCard, ModelCard, listing
from benchmark.site.board import Board
from benchmark.site.entry import Entry


@dataclass(frozen=True)
class Model:
    """A model with its card, where this installation has one, and its rows on all boards."""

    name: str
    card: ModelCard | None
    rows: tuple[tuple[Board, Entry], ...]

    @property
    def id(self) -> str:
        """The name of its page: a digest of the name."""
        return content_key("model", self.name)


def models_of(boards: Sequence[Board]) -> dict[str, Model]:
    """Return every model that has a row, by name, with the rows in the order of the boards."""
    rows: dict[str, list[tuple[Board, Entry]]] = {}
    for board in boards:
        for entry in board.entries:
            rows.setdefault(entry.model, []).append((board, entry))
    cards = listing("models").cards
    return {name: Model(name, _model_card(cards.get(name)), tuple(rows[name])) for name in sorted(rows)}


def _model_card(card: object) -> ModelCard | None:
    return card if isinstance(card, ModelCard) else None


def data_card(name: str) -> DatasetCard | None:
    """Return the card of a cohort's data set, where this installation has one."""
    card = listing("datasets").cards.get(name)
    return card if isinstance(card, DatasetCard) else None


def history(model: Model, entry: Entry) -> list[tuple[Board, Entry]]:
    """Return the other rows of the same configuration on the same data: other versions, protocols and splits."""
    own = entry.configuration
    return [(board, other) for board, other in model.rows if other.id != entry.id and other.configuration == own]


def settings_of(entry: Entry) -> dict[str, str]:
    """Return every hyper-parameter as text, and what else decides the training; text that is not listed is hidden."""
    spec = entry.record.spec
    given = {
        "images trained on": spec.train_items, "patients trained on": spec.train_patients,
        "split": spec.split, "split seed": spec.split_seed, "repeat": spec.repeat if spec.repeat != 1 else None,
        "repeated share": spec.repeat_share, "trained on": spec.trained_on, "budget, seconds": spec.budget_seconds,
    }  # fmt: skip
    # What is given here is a number, or a word that the schema of records lists: nothing of it is hidden.
    rest = {name: value for name, value in given.items() if value is not None}
    return {name: as_text(value) for name, value in {**public_options(spec.settings), **rest}.items()}


def provenance(entry: Entry) -> list[dict[str, str]]:
    """Return, for each seed, the version, commit and machine that its record names; paths are left out."""
    return [
        {"seed": str(record.spec.seed)}
        | {
            name: as_text(value)
            for name, value in without_paths(record.environment).items()
            if name in SAID and isinstance(value, str | bool | int)
        }
        for record in entry.row.records
    ]


SAID = ("memobench", "commit", "dirty", "python", "system", "cores", "device")
