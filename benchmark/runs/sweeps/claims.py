"""What is claimed of a sweep before it begins: orders of named values, and directions. Later it would prove nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.files import private_folder
from benchmark.core.options import as_text, suggest
from benchmark.core.sealed import read_sealed_json, write_sealed_json
from benchmark.metrics.trends import CLAIMS, Claim
from benchmark.runs.sweeps.axes import ALL, SIZES, option_values
from benchmark.runs.sweeps.axis_trends import UNTESTED
from benchmark.runs.sweeps.cells import Cell, Value
from benchmark.runs.sweeps.folder import CELLS_FILE

CLAIMS_FILE = "claims.json"
CLAIMS_CHANGED = "put back the file with which the sweep began, or begin another sweep: --name NAME"


@dataclass(frozen=True)
class Claims:
    """What is to be tested for a trend, and in which direction."""

    orders: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """Axis -> its values in the order of the trend, for axes that are no numbers."""
    directions: Mapping[str, Claim] = field(default_factory=dict)
    """Axis -> `falls` or `rises`."""

    def among(self, values: Values) -> Claims:
        """Return these claims with the orders of the values that there are.

        Once the data are prepared, `all` images may prove to be as many as another size: one cell is left of both.
        """
        return Claims(
            {name: [value for value in order if value in values.get(name, ())] for name, order in self.orders.items()},
            self.directions,
        )


Values = Mapping[str, Sequence[Value]]
"""Axis -> its values."""


def axis_values(cells: Iterable[Cell]) -> Values:
    """Return the values of each axis among the cells of a plan: points that are the same run are one cell."""
    values: dict[str, dict[Value, None]] = {}
    for cell in cells:
        for name, value in cell.axes.items():
            values.setdefault(name, {})[value] = None
    return {name: tuple(own) for name, own in values.items()}


def make_claims(orders: Sequence[str], directions: Sequence[str], values: Values) -> Claims:
    """Read `augmentation=none,flips` and `train_items=falls`. Raises UsageError for what does not fit the axes."""
    ordered = {
        name: _ordered(name, option_values(text), values[name]) for name, text in _pairs("--order", orders, values)
    }
    directed = {name: _direction(name, text) for name, text in _pairs("--claim", directions, values)}
    for name in directed:
        if name not in ordered and not all(_is_number(name, value) for value in values[name]):
            raise UsageError(
                f"--claim {name}={directed[name]} has no order to follow: the values of this axis are names",
                f"give one: --order {name}={_listed(values[name])}",
            )
    return Claims(ordered, directed)


def keep_claims(folder: Path, claims: Claims, values: Values) -> Claims:
    """Write the claims of a new sweep; return those of an earlier call of it, where none are given now.

    Raises UsageError for other claims than those with which the sweep began, and for an order without a new value.
    """
    path = folder / CLAIMS_FILE
    given = {
        "orders": {name: list(order) for name, order in claims.orders.items()}, "directions": dict(claims.directions)
    }  # fmt: skip
    # Without cells there are no results yet: a sweep that was refused may begin with other claims.
    if not (folder / CELLS_FILE).exists():
        private_folder(folder.parent, inside=folder.name)  # before it holds a folder: git then ignores it
        write_sealed_json(path, given)
        return claims
    before: dict[str, Any] = read_sealed_json(path, CLAIMS_CHANGED, dict) if path.exists() else _NONE
    if given not in (_NONE, before):
        raise UsageError(
            f"{folder} was begun with other --claim and --order, and a claim that is made after the results proves "
            "nothing",
            "leave them out, or begin another sweep: --name NAME",
        )
    for name, order in before["orders"].items():
        new = [value for value in values.get(name, ()) if value not in order]
        if new:
            raise UsageError(
                f"{folder} was begun with --order {name}={_listed(order)}, and {_listed(new)} is not in it",
                "leave this value out, or begin another sweep: --name NAME",
            )
    return Claims(before["orders"], before["directions"])


_NONE: dict[str, Any] = {"orders": {}, "directions": {}}


def _pairs(option: str, given: Sequence[str], values: Values) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"{option} {text} is not AXIS=VALUE", f"write for example {_EXAMPLES[option]}")
        name = name.replace("-", "_")
        tested = [axis for axis, own in values.items() if axis not in UNTESTED and len(own) > 1]
        if name not in tested:
            raise UsageError(
                f"{option} names {name!r}, which is no axis with a trend here",
                f"{suggest(name, tested)}there are: {', '.join(tested) or 'none'}",
            )
        if name in pairs:
            raise UsageError(f"{option} is given twice for {name}", "give it once")
        pairs[name] = value
    return list(pairs.items())


_EXAMPLES = {"--order": "--order augmentation=none,flips,strong", "--claim": "--claim train_items=falls"}


def _is_number(name: str, value: Value) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (name in SIZES and value == ALL)


def _listed(values: Sequence[Value]) -> str:
    return (";" if any("," in as_text(value) for value in values) else ",").join(map(as_text, values))


def _ordered(name: str, given: Sequence[str], own: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values of an axis in the order given."""
    values = {as_text(value): value for value in own}
    if sorted(values) != sorted(given):
        raise UsageError(
            f"--order {name}={_listed(given)} does not have each value of the axis once", f"it has {_listed(own)}"
        )
    return tuple(values[text] for text in given)


def _direction(name: str, text: str) -> Claim:
    if text not in CLAIMS[:2]:
        raise UsageError(f"--claim {name}={text} is no direction", "give falls or rises")
    return text
