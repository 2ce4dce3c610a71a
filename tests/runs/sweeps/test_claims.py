"""What is claimed of a sweep: read from the command line, kept with it, and never changed after its results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.errors import UsageError
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, Value
from benchmark.runs.sweeps.claims import Claims, axis_values, keep_claims, make_claims

VALUES: dict[str, tuple[Value, ...]] = {
    "model": ("ldm", "ddpm"), "augmentation": ("none", "flips", "strong"), "class_weights": (True, False),
    "train_items": (16, 50, "all"), "preset": ("smoke",), "seed": (0, 1),
}  # fmt: skip
ORDER, CLAIM = "augmentation=none,flips,strong", "train_items=falls"


def test_claims_are_read_as_the_values_of_the_axes() -> None:
    claims = make_claims(
        [ORDER, "train-items=16,50,all", "class_weights=false,true"], ["train-items=falls", "augmentation=rises"],
        VALUES,
    )  # fmt: skip
    assert claims.orders == {
        "augmentation": ("none", "flips", "strong"), "train_items": (16, 50, "all"), "class_weights": (False, True),
    }  # fmt: skip
    assert claims.directions == {"train_items": "falls", "augmentation": "rises"}
    assert make_claims([], [], VALUES) == Claims()


def test_values_with_commas_are_ordered_with_semicolons() -> None:
    claims = make_claims(["widths=32,64;16,32"], [], {"widths": ("16,32", "32,64")})
    assert claims.orders == {"widths": ("32,64", "16,32")}


AXES = "augmentation, class_weights, train_items"


@pytest.mark.parametrize(
    ("orders", "directions", "message"),
    [
        (["augmentation"], [], ("--order augmentation is not AXIS=VALUE\n  hint: write for example "
                                "--order augmentation=none,flips,strong")),
        ([], ["train_items="], ("--claim train_items= is not AXIS=VALUE\n  hint: write for example "
                                "--claim train_items=falls")),
        ([], ["augmentatoin=falls"], ("--claim names 'augmentatoin', which is no axis with a trend here\n"
                                      f"  hint: did you mean 'augmentation'? there are: {AXES}")),
        ([], ["seed=falls"], f"--claim names 'seed', which is no axis with a trend here\n  hint: there are: {AXES}"),
        (["preset=smoke"], [], (f"--order names 'preset', which is no axis with a trend here\n"
                                f"  hint: there are: {AXES}")),
        ([ORDER, "augmentation=strong,flips,none"], [],
         "--order is given twice for augmentation\n  hint: give it once"),
        (["augmentation=none,flips"], [], ("--order augmentation=none,flips does not have each value of the axis once\n"
                                           "  hint: it has none,flips,strong")),
        (["augmentation=none,flips,flips"], [], ("--order augmentation=none,flips,flips does not have each value of "
                                                 "the axis once\n  hint: it has none,flips,strong")),
        ([], ["train_items=changes"], "--claim train_items=changes is no direction\n  hint: give falls or rises"),
        ([], ["augmentation=falls"], ("--claim augmentation=falls has no order to follow: the values of this axis are "
                                      "names\n  hint: give one: --order augmentation=none,flips,strong")),
    ],
)  # fmt: skip
def test_claims_that_do_not_fit_are_refused(orders: list[str], directions: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        make_claims(orders, directions, VALUES)
    assert str(error.value) == message


def test_values_are_those_of_the_cells() -> None:
    config = RunConfig.of({"model": {"name": "ldm"}, "data": {"name": "cxr"}}, "a test")
    cells = [
        Cell(number, axes, config)
        for number, axes in enumerate([{"seed": 0, "steps": 5}, {"seed": 1, "steps": 5}, {"seed": 0, "noise": 0.5}])
    ]
    assert axis_values(cells) == {"seed": (0, 1), "steps": (5,), "noise": (0.5,)}


def begun(folder: Path, claims: Claims) -> None:
    """Stand for a sweep that began with these claims."""
    keep_claims(folder, claims, VALUES)
    (folder / "cells.jsonl").write_text("")


def test_claims_are_kept_and_need_not_be_repeated(tmp_path: Path) -> None:
    folder, claims = tmp_path / "sweeps" / "mine", make_claims([ORDER], [CLAIM], VALUES)
    assert keep_claims(folder, claims, VALUES) == claims
    (folder / "cells.jsonl").write_text("")
    for again in (Claims(), claims):
        kept = keep_claims(folder, again, VALUES)
        assert kept.orders == {"augmentation": ["none", "flips", "strong"]}
        assert kept.directions == {"train_items": "falls"}
    assert (tmp_path / "sweeps" / ".gitignore").read_text() == "*\n"
    if os.name == "posix":
        assert (tmp_path / "sweeps").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("first", [([], []), ([ORDER], [CLAIM])], ids=["without", "with"])
@pytest.mark.parametrize(
    "later", [([], ["train_items=rises"]), (["augmentation=strong,flips,none"], [CLAIM])], ids=["claim", "order"]
)
def test_other_claims_after_the_start_are_refused(tmp_path: Path, first: Any, later: Any) -> None:
    folder = tmp_path / "mine"
    begun(folder, make_claims(*first, VALUES))
    with pytest.raises(UsageError) as error:
        keep_claims(folder, make_claims(*later, VALUES), VALUES)
    assert str(error.value) == (
        f"{folder} was begun with other --claim and --order, and a claim that is made after the results proves "
        "nothing\n  hint: leave them out, or begin another sweep: --name NAME"
    )


def test_a_sweep_that_was_begun_before_claims_were_kept_takes_none(tmp_path: Path) -> None:
    (tmp_path / "cells.jsonl").write_text("")
    assert keep_claims(tmp_path, Claims(), VALUES) == Claims()
    with pytest.raises(UsageError, match="was begun with other --claim and --order"):
        keep_claims(tmp_path, make_claims([], [CLAIM], VALUES), VALUES)


def test_a_sweep_that_never_began_may_begin_with_other_claims(tmp_path: Path) -> None:
    keep_claims(tmp_path, make_claims([], [CLAIM], VALUES), VALUES)
    other = make_claims([], ["train_items=rises"], VALUES)
    assert keep_claims(tmp_path, other, VALUES) == other
    (tmp_path / "cells.jsonl").write_text("")
    assert keep_claims(tmp_path, Claims(), VALUES) == other


def test_a_value_that_is_not_in_the_order_is_refused_before_it_runs(tmp_path: Path) -> None:
    begun(tmp_path, make_claims([ORDER], [], VALUES))
    with pytest.raises(UsageError) as error:
        keep_claims(tmp_path, Claims(), {**VALUES, "augmentation": ("none", "flips", "strong", "published")})
    assert str(error.value) == (
        f"{tmp_path} was begun with --order augmentation=none,flips,strong, and published is not in it\n"
        "  hint: leave this value out, or begin another sweep: --name NAME"
    )


def test_a_value_that_proved_to_be_another_one_leaves_the_order() -> None:
    claims = make_claims(["train_items=all,50,16"], [], VALUES)
    assert claims.among({**VALUES, "train_items": (16, 50)}).orders == {"train_items": [50, 16]}
