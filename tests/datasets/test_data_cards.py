from __future__ import annotations

import pytest

from benchmark.registry import find_dataset, load_class

NAMES = ("brats20", "cxr-pneumonia", "msd")


@pytest.mark.parametrize("name", NAMES)
def test_card_agrees_with_its_class(name: str) -> None:
    card = find_dataset(name)
    dataset = load_class("datasets", card)()
    assert card.channels == dataset.channels
    assert card.access.endswith((".", "registration."))
    assert all((card.summary, card.modality, card.licence, card.citation, card.layout, card.recipe, card.traps))
