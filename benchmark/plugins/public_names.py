"""The name of a model, data set or detector in a public file: that of its card, or the one that its class declares."""

from __future__ import annotations

from typing import Any

from benchmark.core.errors import AdapterError
from benchmark.core.public_text import hidden
from benchmark.plugins.registry import OWN_NAME, Card, Kind, listing


def declared_name(cls: type[Any]) -> object:
    """Return what a class declares as its public name, `public_name: ClassVar[str]`; None where it declares nothing."""
    return getattr(cls, "public_name", None)


def public_name(kind: Kind, card: Card, declared: object = None) -> str:
    """Return the public name of a plugin.

    A plugin with a card in this package, or in a checkout of it, has its card's name. Any other is `own-1a2b3c4d`, a
    digest of its name, unless its class declares one for the public (`declared_name`): so is one with a card next to
    its file. The names of files and classes are typed for one machine, and may say whose data a model was trained on.

    Raises AdapterError for a declared name that does not fit, or that a card of this kind has.
    """
    if has_card(kind, card):
        return card.name
    if declared is None:
        return hidden_name(card.name)
    if not isinstance(declared, str) or not OWN_NAME.fullmatch(declared):
        raise AdapterError(
            f"{card.name} declares the public name {declared!r}", "use up to 40 small letters, digits, points, hyphens"
        )
    if declared in carded_names(kind):
        raise AdapterError(
            f"{card.name} declares the public name {declared!r}, which is that of another of memobench's own {kind}",
            "declare another name",
        )
    return declared


def hidden_name(name: str) -> str:
    """Return a digest of a name: `own-1a2b3c4d`."""
    return hidden(name, "own")


def has_card(kind: Kind, card: Card) -> bool:
    """Return whether a plugin is one of the package or of a checkout: others have no card in TOML."""
    return bool(card.folder) or (kind == "detectors" and card.entry.startswith("benchmark.detectors."))


def carded_names(kind: Kind) -> frozenset[str]:
    """Return the names of all plugins of a kind that have a card."""
    return frozenset(name for name, card in listing(kind).cards.items() if has_card(kind, card))
