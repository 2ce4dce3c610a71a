"""The detectors by name, and a choice such as `pixels:foreground=true` or `./mine.py:Class:size=32` made from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.options import build, suggest, without_paths
from benchmark.core.types import DetectorOptions
from benchmark.plugins import registry
from benchmark.plugins.registry import DetectorCard

PROTOCOL_DETECTORS = ("copy", "pixels")
"""The detectors of protocol p1: every run has them, others come beside."""


def _card(name: str, entry: str, summary: str, paper: str, *, needs_file: bool = False) -> DetectorCard:
    place = f"benchmark.detectors.{entry}"
    return DetectorCard(name=name, entry=place, summary=summary, paper=paper, needs_file=needs_file)


CARDS = {
    card.name: card
    for card in (
        _card(
            "copy",
            "copy:Options",
            "Contrastive encoder trained on the cohort: knows copies after flips, turns, crops, contrast and noise.",
            "NT-Xent: Chen et al. 2020 (2002.05709)",
        ),
        _card(
            "pixels",
            "pixels:Options",
            "Pearson correlation over all pixels; foreground only or less the mean image, where asked.",
            "Akbar et al. 2025 (2305.07644)",
        ),
        _card(
            "dar2025",
            "dar2025:Options",
            "The published self-supervised detector: small rotations and flips, one augmented branch.",
            "Dar et al. 2025 (2402.01054)",
        ),
        _card("ssim", "ssim:Options", "Mean structural similarity over uniform windows.", "Wang et al. 2004"),
        _card(
            "random-conv",
            "random_conv:Options",
            "Cosine of a fixed random network's features: a floor that needs no weights and no training.",
            "Ulyanov et al. 2018 (1711.10925)",
        ),
        _card(
            "frozen",
            "frozen:Options",
            "A frozen encoder of your own: TorchScript, or a transformers model from a folder or a pinned hub name.",
            "RAD-DINO (2401.10815), DINOv2 (2304.07193), SSCD (2202.10261) ...",
            needs_file=True,
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
    def identity(self) -> dict[str, Any]:
        """What decides the rows: every option, and the content of files that options name."""
        return {**self.values, "files": getattr(self.options, "files_digest", "")}

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
    settings = _settings(text, rest)
    options = build(registry.load_class("detectors", card), settings, what=f"detector {card.name}")
    return Choice(":".join([getattr(options, "label", card.name), *_named(settings, options)]), card, options)


def _named(settings: dict[str, Any], options: DetectorOptions) -> list[str]:
    """Return the options that ids show: ids are public, paths are not."""
    shown = without_paths({name: settings[name] for name in sorted(settings)})
    hidden = getattr(options, "unnamed", ())
    return [f"{name}={value}" for name, value in shown.items() if name not in hidden]


def choose_all(texts: Sequence[str]) -> tuple[Choice, ...]:
    """Return the protocol's detectors and then the given ones, each once. Raises UsageError."""
    choices: dict[str, Choice] = {}
    for choice in (choose(text) for text in (*PROTOCOL_DETECTORS, *texts)):
        if choices.setdefault(choice.name, choice) != choice:
            raise UsageError(f"two different detectors are named {choice.name}", "give one of them another tag")
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
