"""The detectors by name, and a choice such as `pixels:foreground=true` or `./mine.py:Class:size=32` made from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmark import registry
from benchmark.contracts import DetectorOptions
from benchmark.errors import UsageError
from benchmark.options import build, suggest, without_paths
from benchmark.registry import DetectorCard

PROTOCOL = ("copy", "pixels")
"""The detectors of protocol p1: every run has them, others come beside."""


def _card(name: str, entry: str, summary: str, paper: str = "") -> DetectorCard:
    return DetectorCard(name=name, entry=f"benchmark.detectors.{entry}", summary=summary, paper=paper)


CARDS = {
    card.name: card
    for card in (
        _card(
            "copy",
            "contrastive:Options",
            "Contrastive encoder trained on the cohort: knows copies after flips, turns, crops, contrast and noise.",
            "NT-Xent: Chen et al. 2020 (2002.05709)",
        ),
        _card(
            "pixels",
            "pixels:Options",
            "Pearson correlation over all pixels; foreground only or less the mean image, where asked.",
            "Akbar et al. 2025 (2305.07644)",
        ),
    )
}


@dataclass(frozen=True)
class Choice:
    """A detector with its options, not yet made for a cohort."""

    name: str
    """As in the ids of its scores: the detector, and the options that were given."""
    card: DetectorCard
    options: DetectorOptions

    @property
    def values(self) -> dict[str, Any]:
        """Every option, defaults included."""
        return asdict(self.options)  # type: ignore[call-overload, no-any-return]

    @property
    def public(self) -> dict[str, Any]:
        """Every option but paths."""
        return without_paths(self.values)

    def with_seed(self, seed: int) -> Choice:
        """Return the same detector, trained from another seed."""
        return Choice(f"{self.name}:seed={seed}", self.card, replace(self.options, seed=seed))  # type: ignore[type-var]


def choose(text: str) -> Choice:
    """Return the detector that a text names: NAME, then `:option=value` as often as needed. Raises UsageError."""
    first, *rest = text.split(":")
    if first.endswith(".py") and rest:
        first, rest = f"{first}:{rest[0]}", rest[1:]
    card = find_detector(first)
    options = build(registry.load_class("detectors", card), _settings(text, rest), what=f"detector {card.name}")
    given = sorted(part for part in rest if "/" not in part and "\\" not in part)  # ids are public, paths are not
    return Choice(":".join([getattr(options, "label", card.name), *given]), card, options)


def choose_all(texts: Sequence[str]) -> tuple[Choice, ...]:
    """Return the protocol's detectors and then the given ones, each once. Raises UsageError."""
    choices = {choice.name: choice for choice in (choose(text) for text in (*PROTOCOL, *texts))}
    return tuple(choices.values())


def _settings(text: str, parts: list[str]) -> dict[str, Any]:
    pairs = [part.partition("=") for part in parts]
    if not all(name and equals for name, equals, _ in pairs):
        raise UsageError(f"detector {text} is not NAME:option=value", "write for example pixels:foreground=true")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def find_detector(name: str) -> DetectorCard:
    """Return a detector's card, or a bare one for `file.py:Class`. Raises UsageError with suggestions."""
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        return DetectorCard(name=attribute.lower(), entry=name, summary=f"from {path}")
    if name not in CARDS:
        raise UsageError(
            f"there is no detector named {name!r}",
            f"{suggest(name, CARDS)}`bench detectors` lists all; your own: --detector ./file.py:Class",
        )
    return CARDS[name]
