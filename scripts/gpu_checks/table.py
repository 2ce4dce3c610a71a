"""A result as text: a plain table for the terminal, and Markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.gpu_checks.goals import BY_KEY

Row = Sequence[str]
FACTS = ("GPUs", "cores", "python", "torch", "CUDA", "cuDNN", "numpy", "numba", "monai", "diffusers", "transformers")
"""Facts about the machine that the Markdown shows; result.json has all."""


def plain(rows: Sequence[Row], header: Row) -> str:
    """Return columns as wide as their widest cell, two spaces apart."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float | None) -> str:
    """Return four figures; a failure has none."""
    if value is None:
        return "failed"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
    return f"{value:.3g}"


def measured(entry: dict[str, Any], *, judged: bool) -> list[Row]:
    """Return one row per measurement: name, value with unit, detail, and whether a goal's bound is kept."""
    return [(one["name"], _value(one), one["detail"], _kept(one) if judged else "") for one in entry["measurements"]]


def _value(one: dict[str, Any]) -> str:
    return " ".join(filter(None, (number(one["value"]), one["unit"])))


def _kept(one: dict[str, Any]) -> str:
    if one["goal"] is None:
        return ""
    goal = BY_KEY[one["goal"]]
    met = one["value"] is not None and goal.met(one["value"])
    return f"{goal.rule}: {'met' if met else 'not met'}"


def part_text(name: str, entry: dict[str, Any], *, judged: bool) -> str:
    """Return what a part found, for the terminal."""
    reason = f": {entry['reason']}" if entry["reason"] else ""
    lines = [f"== {name}: {entry['status']}{reason}, {entry['seconds']:.0f} s"]
    lines += [f"failed: {text}" for text in entry["failures"]] + entry["notes"]
    if entry["measurements"]:
        lines.append(plain(measured(entry, judged=judged), ("measured", "value", "", "goal")))
    return "\n".join(lines)


def goals_text(result: dict[str, Any]) -> str:
    """Return the verdicts, for the terminal."""
    rows = [(one["verdict"], one["text"], one["rule"], _worst(one)) for one in result["goals"]]
    return plain(rows, ("verdict", "goal", "bound", "worst"))


def _worst(goal: dict[str, Any]) -> str:
    return f"{number(goal['worst'])} (of {goal['count']})" if goal["count"] else ""


def markdown(result: dict[str, Any]) -> str:
    """Return the section for docs/performance.md."""
    machine = result["machine"]
    name = machine.get("device", result["device"])
    facts = [f"{key} {machine[key]}" for key in FACTS if key in machine]
    dirty = " with changes" if result["dirty"] else ""
    lines = [
        f"## GPU: {name}, {result['date']}", "",
        f"`{result['command']}` at commit {result['commit']}{dirty} (sources {result['sources']}); {'; '.join(facts)}.",
        *(["", "A rehearsal: its sizes say nothing about speed, and no goal is judged."] if result["tiny"] else []),
        "", *grid(("goal", "bound", "worst measured", "verdict"),
                  [(one["text"], one["rule"], _worst(one), one["verdict"]) for one in result["goals"]]),
    ]  # fmt: skip
    for part, entry in result["parts"].items():
        lines += _section(part, entry, judged=not result["tiny"])
    return "\n".join(lines)


def _section(name: str, entry: dict[str, Any], *, judged: bool) -> list[str]:
    reason = f": {entry['reason']}" if entry["reason"] else ""
    lines = ["", f"### {name}: {entry['status']}{reason} ({entry['seconds']:.0f} s)", ""]
    lines += [f"- failed: {text}" for text in entry["failures"]] + [f"- {text}" for text in entry["notes"]]
    if entry["measurements"]:
        gap = [""] if entry["failures"] or entry["notes"] else []
        lines += gap + grid(("measured", "value", "detail", "goal"), measured(entry, judged=judged))
    return lines


def grid(header: Row, rows: Sequence[Row]) -> list[str]:
    """Return a Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], "|" + "---|" * len(header), *lines[1:]]
