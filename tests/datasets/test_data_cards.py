from __future__ import annotations

import pytest

from benchmark.plugins.registry import find_dataset, listing, load_class

NAMES = tuple(listing("datasets").cards)


@pytest.mark.parametrize("name", NAMES)
def test_card_agrees_with_its_class(name: str) -> None:
    card = find_dataset(name)
    dataset = load_class("datasets", card)()
    assert card.channels == dataset.channels
    assert card.access.endswith(".")
    assert all((card.summary, card.modality, card.licence, card.citation, card.layout, card.recipe, card.traps))
