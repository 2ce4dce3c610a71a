"""Detectors by name and by text."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.core.errors import UsageError
from benchmark.core.options import Selection
from benchmark.core.public_text import hidden
from benchmark.detectors import copy as contrastive
from benchmark.detectors import pixels
from benchmark.detectors.registry import PROTOCOL_DETECTORS, choose, choose_all, detector_cards

OWN = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    size: int = 8
    weights: str = ""
"""


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as error:
        choose(text)
    return str(error.value)


def test_a_name_alone() -> None:
    choice = choose("pixels")
    assert (choice.name, choice.card, choice.options) == ("pixels", detector_cards()["pixels"], pixels.Options())


def test_options_are_part_of_the_name_in_one_order() -> None:
    first, second = choose("copy:steps=9:seed=3"), choose("copy:seed=3:steps=9")
    assert first.name == second.name == "copy:seed=3:steps=9"
    assert first.options == second.options == contrastive.Options(steps=9, seed=3)
    assert first.values["steps"] == 9


def test_a_file_and_a_command_line_choose_the_same() -> None:
    written = choose("dar2025:blocks=1,2:learning-rate=2e-3:published=True")
    typed = choose(Selection(name="dar2025", options={"blocks": [1, 2], "learning_rate": 0.002, "published": True}))
    assert written == typed
    assert typed.name == "dar2025:blocks=1,2:learning_rate=0.002:published=true"
    assert choose(Selection(name="pixels", options={"foreground": 1})) == choose("pixels:foreground=true")
    with pytest.raises(UsageError) as error:
        choose(Selection(name="copy", options={"stepps": 3}))
    assert str(error.value) == refusal("copy:stepps=3")


def test_another_seed() -> None:
    choice = choose("copy").with_seed(2)
    assert (choice.name, choice.options) == ("copy:seed=2", contrastive.Options(seed=2))


def test_the_protocol_comes_first_and_each_detector_once() -> None:
    names = [choice.name for choice in choose_all(["pixels", "copy:seed=1", "copy:seed=1"])]
    assert names == [*PROTOCOL_DETECTORS, "copy:seed=1"]


def test_every_card_can_be_loaded() -> None:
    for name, card in detector_cards().items():
        assert card.summary.endswith(".")
        if not card.needs_file:
            assert choose(name).name == name


def test_a_class_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    choice = choose(f"{path}:Mine:size=3:weights=/home/someone/net.pt")
    assert choice.values == {"size": 3, "weights": "/home/someone/net.pt"}
    assert choice.public == {"size": 3, "weights": hidden("/home/someone/net.pt")}
    assert choice.name == f"{hidden('mine', 'own')}:size=3:weights={hidden('/home/someone/net.pt')}"


def test_two_detectors_with_one_name() -> None:
    with pytest.raises(UsageError) as error:
        choose_all([f"frozen:source={name}.pt:tag=x:sha256={name * 64}" for name in "ab"])
    assert str(error.value) == ("two different detectors are named frozen-x\n  hint: give one of them another tag")


def test_refusals() -> None:
    assert refusal("pixel") == (
        "there is no detector named 'pixel'\n"
        "  hint: did you mean 'pixels'? `bench detectors` lists all; your own: --detector ./file.py:Class"
    )
    assert refusal("pixels:residual") == (
        "detector pixels:residual is not NAME:option=value\n  hint: write for example pixels:foreground=true"
    )
    assert refusal("copy:stepps=3").startswith(
        "detector copy has no option 'stepps'\n  hint: did you mean 'steps'? it has: "
    )
    assert refusal("copy:steps=few") == (
        "detector copy: steps='few' does not fit: Input should be a valid integer, unable to parse string as an integer"
        "\n  hint: steps is of type int"
    )
    assert refusal("frozen:tag=x") == "detector frozen needs source\n  hint: give it with frozen:source=..."
    assert refusal("./nowhere.py:Mine") == (
        "there is no file ./nowhere.py\n  hint: give the path of a Python file, then a colon and a class name"
    )
