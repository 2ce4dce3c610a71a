"""docs/architecture.md names functions that exist, in an order in which no call goes up the layers."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
STOP = re.compile(r"^( *)1\. `([\w/]+\.py):(\w+)` ", re.MULTILINE)
LAYER = re.compile(r"^\| (\d) \| (.*?) \|", re.MULTILINE)
MOST = 25


@dataclass(frozen=True)
class Stop:
    """One line of the trip."""

    depth: int
    file: str
    function: str

    @property
    def package(self) -> str:
        """The package of `benchmark/`; empty for a plug-in in `models/` or `datasets/`."""
        parts = self.file.split("/")
        return parts[1] if parts[0] == "benchmark" else ""


def stops(text: str) -> list[Stop]:
    """Return the stops between the page's two comments; every line there must be one."""
    trip = text.split("<!-- trip -->\n")[1].split("<!-- end of trip -->")[0]
    found = [Stop(len(match[1]) // 3, match[2], match[3]) for match in STOP.finditer(trip)]
    assert len(found) == len(trip.splitlines())
    return found


def contract() -> list[set[str]]:
    """Return the layers of pyproject.toml, the lowest first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [{name.strip() for name in line.split("|")} for line in reversed(lines) if line != "__main__"]


def climbs(trip: list[Stop], layers: list[set[str]]) -> list[str]:
    """Return the stops that are in a higher layer than their caller; a plug-in has the layer of its caller."""
    above: list[int] = []
    wrong = []
    for stop in trip:
        del above[stop.depth :]
        own = next((number for number, names in enumerate(layers) if stop.package in names), None)
        caller = above[-1] if above else len(layers)
        if (own if own is not None else caller) > caller:
            wrong.append(f"{stop.file}:{stop.function}")
        above.append(own if own is not None else caller)
    return wrong


def functions(path: Path) -> set[str]:
    """Return the names of all functions and methods of a file."""
    return {
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    }


def test_the_layers_are_those_of_the_contract() -> None:
    page = {int(number): set(re.findall(r"`(\w+)`", names)) for number, names in LAYER.findall(PAGE)}
    assert page == dict(enumerate(contract(), start=1))


@pytest.mark.parametrize("stop", stops(PAGE), ids=lambda stop: f"{stop.file}:{stop.function}")
def test_every_stop_exists(stop: Stop) -> None:
    assert stop.function in functions(ROOT / stop.file)


def test_the_trip_is_short_and_never_goes_up() -> None:
    trip = stops(PAGE)
    assert 20 <= len(trip) <= MOST
    assert climbs(trip, contract()) == []


def test_a_step_up_is_seen() -> None:
    layers = [{"core"}, {"images", "search"}, {"cohorts"}, {"runs"}]
    down = [Stop(0, "benchmark/runs/run.py", "run"), Stop(1, "benchmark/cohorts/open.py", "open_cohort")]
    plugin = [Stop(2, "datasets/msd/dataset.py", "load"), Stop(3, "benchmark/images/resize.py", "shrink")]
    assert climbs([*down, *plugin, Stop(1, "benchmark/cohorts/writer.py", "append")], layers) == []
    assert climbs([*down, Stop(2, "benchmark/runs/run.py", "run")], layers) == ["benchmark/runs/run.py:run"]
    beyond = [*down, *plugin, Stop(4, "benchmark/cohorts/open.py", "open_cohort")]
    assert climbs(beyond, layers) == ["benchmark/cohorts/open.py:open_cohort"]
