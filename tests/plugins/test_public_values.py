"""Every text option of the package's own plugins is decided on; lists of public values are those that options take."""

from __future__ import annotations

import dataclasses
import typing
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from benchmark.adapters.network import PRECISIONS
from benchmark.adapters.networks.denoiser import CHOICES
from benchmark.core.errors import AdapterError
from benchmark.core.public_text import declared_values, hidden, public_options
from benchmark.core.public_values import PRIVATE_OPTIONS, PUBLIC_VALUES
from benchmark.detectors.query_transforms import NAMES
from benchmark.images.augmentations import AUGMENTATIONS
from benchmark.images.planted_copies import PLANTED
from benchmark.images.windowing import HOUNSFIELD, RULES
from benchmark.plugins import registry
from benchmark.plugins.public_names import declared_name, public_name
from benchmark.plugins.registry import Card, Kind, ModelCard, Preset, listing
from benchmark.runs.run_record import public_preset

KINDS: tuple[Kind, ...] = get_args(Kind)
CLASSES = [
    pytest.param(registry.load_class(kind, card), id=f"{kind}-{name}")
    for kind in KINDS for name, card in listing(kind).cards.items()
]  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_every_text_option_is_listed_or_private(cls: Any) -> None:
    types = typing.get_type_hints(cls)
    texts = {field.name for field in dataclasses.fields(cls) if field.init and "str" in str(types[field.name])}
    assert texts <= {*PUBLIC_VALUES, *PRIVATE_OPTIONS, "revision", "sha256"}


@pytest.mark.parametrize("cls", CLASSES)
def test_boards_know_the_values_that_types_list(cls: Any) -> None:
    for name, values in declared_values(cls).items():
        assert set(values) - {""} <= set(PUBLIC_VALUES[name])


@pytest.mark.parametrize("name", [name for name, card in listing("models").cards.items() if card.folder])
def test_presets_are_public(name: str) -> None:
    card = listing("models").cards[name]
    assert isinstance(card, ModelCard)
    for preset in card.presets.values():
        given = preset.set | preset.volumes
        assert public_options(given) == given


def test_lists_are_those_of_the_options() -> None:
    assert set(PUBLIC_VALUES["augment"]) == set(AUGMENTATIONS)
    assert set(PUBLIC_VALUES["transform"]) == set(PLANTED)
    assert set(PUBLIC_VALUES["transforms"]) == set(NAMES)
    assert set(PUBLIC_VALUES["window"]) == {*HOUNSFIELD, *RULES}
    assert set(PUBLIC_VALUES["precision"]) == set(PRECISIONS)
    for name, values in CHOICES.items():
        assert set(PUBLIC_VALUES[name]) == set(values)


class Named:
    public_name = "my-model"


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_without_a_card_has_the_name_that_it_declares(kind: Kind) -> None:
    own = Card(name="anna", entry="./anna.py:Anna")
    assert public_name(kind, own, declared_name(Named)) == "my-model"
    assert public_name(kind, own, declared_name(object)) == public_name(kind, own) == hidden("anna", "own")
    installed = Card(name="anna", entry="anna_models.adapter:Anna", summary="from anna-models")
    assert public_name(kind, installed, declared_name(object)) == hidden("anna", "own")
    for name, card in listing(kind).cards.items():
        assert public_name(kind, card) == name


def test_a_class_with_the_name_of_a_card_is_not_taken_for_it() -> None:
    assert public_name("models", registry.find_model("./mine.py:LDM")).startswith("own-")


@pytest.mark.parametrize("declared", ["Anna", "two words", "", "a/b", 7, "x" * 41])
def test_a_declared_name_that_does_not_fit(declared: object) -> None:
    cls = type("Own", (), {"public_name": declared})
    with pytest.raises(AdapterError) as error:
        public_name("models", Card(name="anna", entry="./anna.py:Anna"), declared_name(cls))
    assert str(error.value) == (
        f"anna declares the public name {declared!r}\n  hint: use up to 40 small letters, digits, points, hyphens"
    )


def test_a_declared_name_of_another_model() -> None:
    cls = type("Own", (), {"public_name": "ldm"})
    with pytest.raises(AdapterError) as error:
        public_name("models", Card(name="anna", entry="./anna.py:Anna"), declared_name(cls))
    assert str(error.value) == (
        "anna declares the public name 'ldm', which is that of another of memobench's own models\n"
        "  hint: declare another name"
    )


def test_a_preset_that_a_card_of_the_user_names_is_hidden() -> None:
    """Its name is typed, as that of the model is; a preset of the package, and the usual names, are public."""

    def shown(preset: str, folder: str) -> str:
        card = ModelCard(name="lungs", entry="a:B", folder=folder, presets={"smoke": Preset(), "anna": Preset()})
        config = SimpleNamespace(model=SimpleNamespace(preset=preset))
        return public_preset(SimpleNamespace(config=config, model=card))  # type: ignore[arg-type]

    assert shown("anna", "") == hidden("anna")
    assert (shown("smoke", ""), shown("anna", "models/lungs")) == ("smoke", "anna")
