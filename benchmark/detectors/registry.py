"""Detectors by name, and a choice such as `pixels:foreground=true` or `./mine.py:Class:size=32` with its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.core.content_digests import option_digests
from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.options import Selection, as_text, build
from benchmark.core.public_text import declared_values, public_options
from benchmark.core.types import DetectorOptions
from benchmark.plugins import registry
from benchmark.plugins.public_names import declared_name, has_card, public_name
from benchmark.plugins.registry import DetectorCard

PROTOCOL_DETECTORS = ("copy", "pixels")
"""The detectors of protocol p2: every run uses them, in addition to those that the user chooses."""


def detector_cards() -> dict[str, DetectorCard]:
    """Return the cards by name: the protocol's detectors first, then all others in alphabetical order."""
    cards = [card for card in registry.listing("detectors").cards.values() if isinstance(card, DetectorCard)]
    return {card.name: card for card in sorted(cards, key=_order)}


def _order(card: DetectorCard) -> tuple[int, str]:
    protocol = PROTOCOL_DETECTORS
    return protocol.index(card.name) if card.name in protocol else len(protocol), card.name


@dataclass(frozen=True)
class Choice:
    """A detector with its options, not yet fitted to a cohort."""

    name: str
    """As in the ids of its scores: the detector, and the options that were given."""
    card: DetectorCard
    options: DetectorOptions

    @property
    def values(self) -> dict[str, Any]:
        """Every option, defaults included."""
        return asdict(self.options)  # type: ignore[call-overload, no-any-return]

    def identity(self, cache: Path) -> dict[str, Any]:
        """Return all that decides the rows: every option, and the content of the files and folders that options name.

        `cache` remembers digests. Raises MissingDataError for a file that cannot be read.
        """
        try:
            return {**self.values, "files": option_digests(self.options, cache=cache)}
        except OSError as error:
            raise MissingDataError(
                f"detector {self.name}: {error.filename} cannot be read: {error.strerror}", "copy it again"
            ) from error

    @property
    def public(self) -> dict[str, Any]:
        """Every option, text that is not listed for the public as a digest."""
        return public_options(self.values, declared_values(type(self.options)))

    def with_seed(self, seed: int) -> Choice:
        """Return the same detector, trained from another seed."""
        return Choice(f"{self.name}:seed={seed}", self.card, replace(self.options, seed=seed))  # type: ignore[type-var]


def choose(given: str | Selection) -> Choice:
    """Return the detector that a selection names. Raises UsageError."""
    selection = Selection.parse(given, what="detector") if isinstance(given, str) else given
    card = registry.find_detector(selection.name)
    options = build(
        registry.load_class("detectors", card), selection.options, what=f"detector {card.name}",
        given_as=f"{selection.name}:{{}}=...",
    )  # fmt: skip
    own = public_name("detectors", card, declared_name(type(options)))
    label = getattr(options, "label", own) if has_card("detectors", card) else own
    name = ":".join([label, *_named(selection, options)])
    return Choice(name, card, options)


def _named(selection: Selection, options: DetectorOptions) -> list[str]:
    """Return the options that ids show: those that were given. Ids are public: free text is a digest.

    Values are shown as converted, so that `true`, `True` and `1` of a flag give one id.
    """
    given = {name: getattr(options, name) for name in sorted(selection.options)}
    unnamed = getattr(options, "unnamed", ())
    shown = public_options(given, declared_values(type(options)))
    return [f"{name}={as_text(value)}" for name, value in shown.items() if name not in unnamed]


def choose_all(given: Sequence[str | Selection]) -> tuple[Choice, ...]:
    """Return the protocol's detectors and then the given ones, each once. Raises UsageError."""
    choices: dict[str, Choice] = {}
    for choice in (choose(one) for one in (*PROTOCOL_DETECTORS, *given)):
        if choices.setdefault(choice.name, choice) != choice:
            raise UsageError(f"two different detectors are named {choice.name}", "give one of them another tag")
    return tuple(choices.values())
