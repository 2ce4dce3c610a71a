"""The base class of adapters for external models: nothing is trained, and the model stays in the user's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import read_json, write_json
from benchmark.core.types import Budget, Split

DESCRIPTION = "external.json"


@dataclass
class ExternalModel:
    """An adapter that opens `path`. A family implements `open` and `sample`; the rest of the contract is here."""

    name: ClassVar[str]
    """Name of the model's card, used in messages."""

    path: str
    """Folder or file of the model."""

    def __post_init__(self) -> None:
        self._shape: tuple[int, ...] = ()

    @property
    def trained_elsewhere(self) -> bool:
        """Always: nothing is trained here."""
        return True

    def open(self, device: str) -> None:
        """Read the files, for items of `shape`. Raises BenchError."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the cohort's items, (C, *spatial). Raises AdapterError before `fit` or `load`."""
        if not self._shape:
            raise AdapterError(f"this {self.name} has not been opened", "call fit or load first")
        return self._shape

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train nothing: store the shape of the items, and open the files."""
        if not len(train):
            raise UsageError("there are no items to compare with", "give a training split that is not empty")
        self._shape = train.shape
        self.open(device)

    def refuse_prompts(self, prompts: Sequence[str] | None) -> None:
        """Raise UsageError where there are prompts."""
        if prompts is not None:
            raise UsageError(f"{self.name} takes no prompts", "leave them out, or choose a text-to-image model")

    def save(self, folder: Path) -> None:
        """Write the options, which name the files."""
        write_json(folder / DESCRIPTION, {"options": asdict(self), "shape": list(self.shape)})

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Open the files again."""
        saved = read_json(folder / DESCRIPTION, dict)
        adapter = cls(**saved["options"])
        adapter._shape = tuple(saved["shape"])
        adapter.open(device)
        return adapter
