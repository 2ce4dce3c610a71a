"""What is claimed of a sweep before it begins: orders of named values, and directions. Later it would prove nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.files import read_json, write_json
from benchmark.metrics.trends import CLAIMS, Claim
from benchmark.runs.sweeps.axes import Axes
from benchmark.runs.sweeps.axis_trends import UNTESTED
from benchmark.runs.sweeps.cells import Value
from benchmark.runs.sweeps.folder import CELLS_FILE

CLAIMS_FILE = "claims.json"


@dataclass(frozen=True)
class Claims:
    """What is to be tested for a trend, and in which direction."""

    orders: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """Axis -> its values in the order of the trend, for axes that are no numbers."""
    directions: Mapping[str, Claim] = field(default_factory=dict)
    """Axis -> `falls` or `rises`."""


def make_claims(orders: Sequence[str], directions: Sequence[str], axes: Axes) -> Claims:
    """Read `augmentation=none,flips` and `train_items=falls`. Raises UsageError for what does not fit the axes."""
    ordered = {name: _ordered(name, text.split(","), axes) for name, text in _pairs("--order", orders, axes)}
    return Claims(ordered, {name: _direction(name, text) for name, text in _pairs("--claim", directions, axes)})


def keep_claims(folder: Path, claims: Claims) -> Claims:
    """Write the claims of a new sweep; return those of an earlier call of it, where none are given now.

    Raises UsageError for other claims than those with which the sweep began.
    """
    path = folder / CLAIMS_FILE
    none: dict[str, Any] = {"orders": {}, "directions": {}}
    values = {
        "orders": {name: list(order) for name, order in claims.orders.items()}, "directions": dict(claims.directions)
    }  # fmt: skip
    if path.exists() or (folder / CELLS_FILE).exists():
        before: dict[str, Any] = read_json(path) if path.exists() else none
        if values not in (none, before):
            raise UsageError(
                f"{folder} was begun with other --claim and --order, and a claim that is made after the results proves "
                "nothing",
                "leave them out, or begin another sweep: --name NAME",
            )
        return Claims(before["orders"], before["directions"])
    write_json(path, values)
    return claims


def _pairs(option: str, given: Sequence[str], axes: Axes) -> list[tuple[str, str]]:
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"{option} {text} is not AXIS=VALUE", f"write for example {_EXAMPLES[option]}")
        name = name.replace("-", "_")
        if name not in axes.varied or name in UNTESTED:
            varied = ", ".join(axis for axis in axes.varied if axis not in UNTESTED) or "none"
            raise UsageError(f"{option} names {name!r}, which is no axis with a trend here", f"there are: {varied}")
        pairs.append((name, value))
    return pairs


_EXAMPLES = {"--order": "--order augmentation=none,flips,strong", "--claim": "--claim train_items=falls"}


def _ordered(name: str, given: Sequence[str], axes: Axes) -> tuple[Value, ...]:
    """Return the values of an axis in the order given."""
    values = {str(value): value for value in axes.values[name]}
    if sorted(values) != sorted(given):
        raise UsageError(
            f"--order {name}={','.join(given)} does not have each value of the axis once", f"it has {', '.join(values)}"
        )
    return tuple(values[text] for text in given)


def _direction(name: str, text: str) -> Claim:
    if text not in CLAIMS[:2]:
        raise UsageError(f"--claim {name}={text} is no direction", "give falls or rises")
    return text
