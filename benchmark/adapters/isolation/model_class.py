"""A stand-in for the class of a model: another process imports it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.adapters.isolation.model import IsolatedModel, as_tuples
from benchmark.adapters.isolation.process import ModelProcess, environment
from benchmark.core.files import absolute
from benchmark.plugins.code_files import note_files
from benchmark.plugins.registry import declared, require_file, source_files

if TYPE_CHECKING:
    from benchmark.adapters.isolation.messages import Message
    from benchmark.plugins.registry import ModelCard

DESCRIBED = 2
"""Processes that are kept for further questions about options: a sweep goes through its models one after the other."""

Key = tuple[object, ...]
_waiting: dict[Key, ModelProcess] = {}
"""Processes that have imported a model and hold no images: the next training may have one."""


@dataclass(frozen=True)
class Option:
    """A hyper-parameter."""

    name: str
    required: bool
    default: Any
    """`required` where it has none."""
    takes_list: bool
    """Whether it is a list of values, such as widths."""
    listed: tuple[str, ...] = ()
    """The texts that its type lists."""
    is_text: bool = False
    """Whether any text is a value."""


class ModelClass:
    """Stands for the class of a model, which this process never imports.

    Args:
        card: of the model.
        hidden: folders of the data set and the cache, which the process of the model is not told.

    Raises UsageError for a file that does not exist.
    """

    def __init__(self, card: ModelCard, hidden: Sequence[Path] = ()) -> None:
        require_file(card)
        self._card = card
        self._own: ModelProcess | None = None
        self._told: Mapping[str, Any] | None = None
        self._variables = environment([str(absolute(place)) for place in hidden])
        stamps = tuple((str(path), path.stat().st_mtime_ns) for path in source_files("models", card) if path.exists())
        self.name = card.name
        self._key: Key = (os.getpid(), _whole(card).entry, stamps, tuple(self._variables.items()))

    def start(self) -> None:
        """Start the process, where none waits: it imports the model while this process does something else."""
        if self._key in _waiting and not _waiting[self._key].alive:
            del _waiting[self._key]
        if self._key not in _waiting and not (self._own and self._own.alive):
            while len(_waiting) >= DESCRIBED:
                _waiting.pop(next(iter(_waiting))).end(wait=False)
            _waiting[self._key] = ModelProcess(_whole(self._card), self._variables)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its process says of the class, asked once. Raises AdapterError where it cannot be imported."""
        if self._told is None:
            process = self._process()
            try:
                self._told = process.facts()
            except BaseException:
                process.end(wait=False)
                raise
        facts = self._told
        if not self._card.folder:  # what running `./file.py` has loaded, its text may not show
            note_files(Path(self._card.entry.rpartition(":")[0]), map(Path, facts["loaded"]))
        return facts

    @property
    def card(self) -> ModelCard:
        """Its card, with what the class declares. Raises AdapterError for values that a card cannot have."""
        return self._card if self._card.folder else declared(self._card, self.facts["declared"])

    @property
    def options(self) -> tuple[Option, ...]:
        """Its hyper-parameters."""
        return tuple(
            Option(
                one["name"], one["required"], as_tuples(one["default"]), one["list"], tuple(one["listed"]), one["text"]
            )
            for one in self.facts["options"]
        )

    @property
    def listed(self) -> dict[str, tuple[str, ...]]:
        """The texts that the types of its hyper-parameters list, which are public (`core.public_text`)."""
        return {option.name: option.listed for option in self.options}

    @property
    def public_name(self) -> object:
        """What the class declares as its public name; None where it declares nothing."""
        return self.facts["public_name"]

    @property
    def declares_dimensions(self) -> bool:
        """Whether the class itself says which dimensions it takes."""
        return not self._card.folder and "dimensions" in self.facts["declared"]

    @property
    def without_adaptive(self) -> dict[str, Any]:
        """The settings that switch off its adaptive augmentation; empty where it has none."""
        return dict(self.facts["without_adaptive"])

    def build(self, settings: Mapping[str, Any]) -> IsolatedModel:
        """Check settings, and return an untrained model. Raises UsageError, AdapterError."""
        answer = self.ask("build_facts", "build", {"settings": dict(settings)})
        return IsolatedModel(self, answer.values["answer"], self.whole_paths(settings))

    def load(self, folder: Path, *, device: str, shape: tuple[int, ...]) -> IsolatedModel:
        """Return a saved model that samples items of this shape (C, *spatial). Raises BenchError."""
        answer = self.ask("load", "load", {"folder": str(absolute(folder)), "device": device}, work=True)
        return IsolatedModel(self, answer.values["answer"], {}, shape)

    def whole_paths(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings in which the relative path of a file or folder is whole: the process has its own folder."""
        defaults = {option.name: option.default for option in self.options}
        return {
            name: str(absolute(value)) if value != defaults.get(name) and _is_place(value) else value
            for name, value in settings.items()
        }

    def log_to(self, path: Path) -> None:
        """Keep the stack trace of a failure in this file, from now on."""
        self._working().log = path

    def ask(self, request: str, stage: str, values: Mapping[str, Any], *, work: bool = False, **more: Any) -> Message:
        """Ask the process; `work` for what needs images or files of a run: its process serves nothing else."""
        process = self._working() if work else self._process()
        process.facts()
        return process.ask(request, stage, values, **more)

    def end(self) -> None:
        """End the process that has worked: it may hold training items, and no other run may have it."""
        if self._own:
            self._own.end()
            self._own = None

    def _working(self) -> ModelProcess:
        if self._own is None or not self._own.alive:
            self.start()
            self._own = _waiting.pop(self._key)
        return self._own

    def _process(self) -> ModelProcess:
        if self._own is not None and self._own.alive:
            return self._own
        self.start()
        return _waiting[self._key]


def _whole(card: ModelCard) -> ModelCard:
    """Return a card whose file is named from the root."""
    module, _, attribute = card.entry.rpartition(":")
    return card.model_copy(update={"entry": f"{absolute(module)}:{attribute}"}) if module.endswith(".py") else card


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not Path(value).is_absolute() and Path(value).exists()
