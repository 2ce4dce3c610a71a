"""Axes from files and from the command line: what they hold, and what contradicts itself."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.errors import UsageError
from benchmark.runs.sweeps.axes import Axes, flat, join_lists, make_axes, option_values
from benchmark.runs.sweeps.folder import write_axes

BASE: dict[str, Any] = {"model": "ldm", "data": "phantom-mr"}

FILE = """
control = "equal-epochs"
seed = [0, 1]
augmentation = ["none", "flips"]
detectors = ["ssim"]
[model]
name = ["ldm", "vae"]
preset = "smoke"
[model.options]
widths = [[16, 32], [64]]
learning_rate = 0.001
augment_more = true
[data]
name = "folder"
root = "films"
train_items = [16, "all"]
[data.options]
stride = [1, 2]
"""


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as error:
        make_axes(values, "sweep.toml")
    return str(error.value)


def test_a_file_is_a_run_configuration_whose_values_may_be_lists(tmp_path: Path) -> None:
    axes = make_axes(flat(tomllib.loads(FILE), "sweep.toml"), "sweep.toml")
    assert axes.values == {
        "model": ("ldm", "vae"), "preset": ("smoke",), "augmentation": ("none", "flips"), "widths": ("16,32", "64,"),
        "learning_rate": (0.001,), "augment_more": (True,), "data.stride": (1, 2), "data": ("folder",),
        "train_items": (16, "all"), "seed": (0, 1),
    }  # fmt: skip
    assert list(axes.values)[-1] == "seed"  # replicates follow each other
    assert axes.fixed == {"data.root": "films", "detectors": ["ssim"]}
    assert axes.control == "equal-epochs"
    assert axes.varied == ("model", "augmentation", "widths", "data.stride", "train_items", "seed")
    write_axes(tmp_path / "sweep", axes)
    written = tomllib.loads((tmp_path / "sweep" / "sweep.toml").read_text())
    assert make_axes(flat(written, "written"), "written") == axes


def test_lists_on_the_command_line() -> None:
    assert option_values("16, 50,all") == ["16", "50", "all"]
    assert option_values("32,64;64,128") == ["32,64", "64,128"]
    assert option_values("flips,rotations;") == ["flips,rotations"]
    axes = make_axes({**BASE, "steps": ["400", "1e3", "400"], "train_items": ["16", "all"], "seed": ["1"]}, "x")
    assert axes.values["steps"] == (400, 1000.0)  # each value once
    assert axes.values["train_items"] == (16, "all")
    assert axes.values["seed"] == (1,)


def test_a_setting_that_is_a_list_is_one_value_unless_lists_are_given() -> None:
    lists = frozenset({"widths"})
    one = Axes({"widths": (32, 64), "steps": (400, 800)})
    assert join_lists(one, lists).values == {"widths": ("32,64",), "steps": (400, 800)}
    two = Axes({"widths": ("32,64", "64,")})
    assert join_lists(two, lists) == two


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control": "epochs"}, ("sweep.toml: there is no control 'epochs'\n  hint: choose one of equal-steps, "
         "equal-epochs")),
        ({"model": None}, "no model was named\n  hint: give --model NAME, or --config with a file that names it"),
        ({"seed": []}, "the axis seed has no value\n  hint: give one or more, or leave it out"),
        ({"seed": ["x"]}, "the axis seed has the value 'x'\n  hint: give a whole number"),
        ({"train_items": [1.5]}, "the axis train_items has the value 1.5\n  hint: give a whole number, or all"),
        ({"augmentation": "blur"}, ("there is no augmentation 'blur'\n  hint: choose one of none, flips, published, "
         "strong, ada")),
        ({"control": "equal-epochs", "steps": [4, 8], "train_items": [5, 10]},
         ("equal epochs set the steps of each training size, and the axis steps sets them too\n  hint: leave one of "
         "them out: --control equal-epochs, or the values of steps")),
        ({"control": "equal-epochs", "train_items": 5},
         ("equal epochs compare training sizes, and this sweep has one\n  hint: give several --train-items or "
         "--train-patients, or leave --control out")),
        ({"train_items": 5, "train_patients": 2},
         "the training size is given both in items and in patients\n  hint: give one of these axes"),
        ({"augmentation": "flips", "augment": "none"},
         "augmentation is given twice, as an axis and as the setting `augment`\n  hint: give the axis alone"),
        ({"repeat_share": 0.2}, ("repeat_share has no effect without repeat\n  hint: give --repeat too: how often the "
         "images of this share are in")),
        ({"data": ["phantom-mr", "phantom-cxr"], "data.root": "here"},
         ("one folder (root) is given for 2 data sets\n  hint: put each at data/NAME, or at $MEMOBENCH_DATA/NAME, and "
         "leave root out")),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    assert refusal({**BASE, **changes}) == message


@pytest.mark.parametrize(
    ("nested", "first"),
    [
        ({"train_item": 5}, ("sweep.toml: there is no axis or setting 'train_item'\n  hint: did you mean "
         "'train_items'?")),
        ({"data": {"roots": 1}}, ("sweep.toml: there is no axis or setting 'data.roots'\n  hint: did you mean "
         "'data.root'?")),
        ({"model": {"option": {}}}, ("sweep.toml: there is no axis or setting 'model.option'\n  hint: did you mean "
         "'model.options'?")),
    ],
)  # fmt: skip
def test_an_unknown_axis_is_named_with_the_nearest(nested: dict[str, Any], first: str) -> None:
    with pytest.raises(UsageError) as error:
        flat(nested, "sweep.toml")
    assert str(error.value).startswith(first)
