"""The page of a sweep: one HTML file without scripts or requests, and without images or names of patients."""

from __future__ import annotations

import base64
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.options import as_text
from benchmark.core.public_text import public_value
from benchmark.pages.render import environment, head, write_html
from benchmark.records.columns import number
from benchmark.runs.sweeps.axis_trends import LEVEL, AxisTrend, p_text
from benchmark.runs.sweeps.public_axes import public_detector, public_given, public_plugin
from benchmark.runs.sweeps.readings import MEASURE, Reading, axes_of, levels_of, notes_of
from benchmark.runs.sweeps.tables import shown_table

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.runs.config import RunConfig
    from benchmark.runs.sweeps.curves import Curve

OPEN_ROWS = 60
"""A longer table of cells is closed until a reader opens it."""


@dataclass(frozen=True)
class Absent:
    """Cells that have no numbers for the same reason."""

    state: str
    reason: str
    cells: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many cells these are."""
        return len(self.cells)


def write_page(
    path: Path,
    readings: Sequence[Reading],
    cells: pd.DataFrame,
    means: pd.DataFrame,
    trends: Sequence[AxisTrend],
    curves: Sequence[Curve],
) -> Path:
    """Write the page and return its path."""
    tools = {
        "image": _image, "text": as_text, "p_text": p_text, "number": number, "measures": MEASURE, "level": LEVEL,
    }  # fmt: skip
    html = environment("benchmark.runs.sweeps", tools).get_template("sweep.html").render(
        date=date.today().isoformat(), **head([("benchmark.runs.sweeps", "sweep.css")]),
        axes={axis: levels_of(axis, readings) for axis in axes_of(readings)},
        states=Counter(one.state for one in readings), count=len(readings), absent=_absent(readings),
        refused=_refused(readings), cells=shown_table(cells), means=shown_table(means), trends=trends,
        curves=_by_axis(curves), commands=_commands(readings), open=len(cells) <= OPEN_ROWS,
        notes=notes_of([one.note for one in readings]), protocol_detectors=_detectors(curves),
    )  # fmt: skip
    return write_html(path, html)


def _image(curve: Curve) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(curve.path.read_bytes()).decode()}"


def _by_axis(curves: Sequence[Curve]) -> dict[tuple[str, str], list[Curve]]:
    """Group figures by axis and detector, the plane last."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.axis, curve.detector if curve.axis else ""), []).append(curve)
    return groups


def _detectors(curves: Sequence[Curve]) -> list[str]:
    return list(dict.fromkeys(curve.detector for curve in curves))


def _absent(readings: Sequence[Reading]) -> list[Absent]:
    """Return the cells without numbers, by state and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in readings:
        if not one.finished:
            groups.setdefault((one.state, one.reason), []).append(cell_text(one))
    return [Absent(state, reason, tuple(names)) for (state, reason), names in groups.items()]


def _refused(readings: Sequence[Reading]) -> list[Absent]:
    """Return the finished cells without a headline, by reason and detector."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in readings:
        for detector in one.detectors if one.finished else ():
            entry = one.entry(MEASURE["exposed_share"], detector)
            if entry is not None and entry.value is None:
                groups.setdefault((detector, entry.reason), []).append(cell_text(one))
    return [Absent(f"refused, {detector}", reason, tuple(names)) for (detector, reason), names in groups.items()]


def cell_text(reading: Reading) -> str:
    """Return a cell's place on the axes: `model=ldm, seed=1`."""
    return ", ".join(f"{axis}={as_text(value)}" for axis, value in reading.axes.items() if value != "")


def _commands(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    return [(cell_text(one), command_of(one.outcome.cell.config)) for one in readings]


def command_of(config: RunConfig) -> str:
    """Return the command that repeats a cell alone; folders are left out, and text that is not public is a digest."""
    data = config.data
    parts: list[str] = ["bench", "run", "--model", public_plugin("models", config.model.name)]
    parts += ["--preset", public_value("preset", config.model.preset)]
    parts += _pairs("--set", public_given("models", config.model.name, config.model.options))
    parts += ["--data", public_plugin("datasets", data.name)]
    parts += _pairs("--set-data", public_given("datasets", data.name, data.options))
    given: dict[str, Any] = {
        "--image-size": data.image_size, "--channels": public_value("channels", data.channels),
        "--split": None if data.split == "patients" else data.split, "--split-seed": data.split_seed or None,
        "--train-items": data.train_items, "--samples": config.samples, "--budget-seconds": config.budget_seconds,
        "--seed": config.seed,
    }  # fmt: skip
    parts += [part for option, value in given.items() if value is not None for part in (option, as_text(value))]
    parts += [part for one in config.detectors for part in ("--detector", public_detector(one))]
    return shlex.join(parts)


def _pairs(option: str, values: dict[str, Any]) -> list[str]:
    return [part for name, value in values.items() for part in (option, f"{name}={as_text(value)}")]
