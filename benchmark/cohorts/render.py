"""A check report as rows of text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.cohorts.check import Report

SHOWN = 5


def render(report: Report) -> list[tuple[str, str]]:
    """Return (what, value) rows, for a table on the terminal."""
    rows = [
        ("items", f"{report.items} of {report.patients} patients"),
        *((f"  {part}", f"{items} of {patients} patients") for part, (items, patients) in report.splits.items()),
        *((f"  {label}", str(count)) for label, count in report.labels.items()),
        ("item", f"{' x '.join(map(str, report.shape))} (channels first)"),
        ("spacing", " x ".join(f"{size:g}" for size in report.spacing_mm) + " mm" if report.spacing_mm else "unknown"),
    ]
    rows += [
        (f"  {value.channel}", f"{value.least:g} to {value.greatest:g}, mean {value.mean:.4g}")
        for value in report.intensity
    ]
    rows += [
        ("exact duplicates", f"groups within a patient: {len(report.within)}, across patients: {len(report.across)}"),
        ("  torn by names alone", f"{report.mended}, kept on one side"),
        *(("  across", ", ".join(group)) for group in report.across[:SHOWN]),
        ("constant items", _counted(report.constant)),
        ("damaged in cache", _counted(report.damaged)),
        *((what, _counted(names)) for what, names in report.remarks.items()),
        ("leaks between splits", _counted(report.leaks)),
    ]
    return rows


def _counted(names: Sequence[str]) -> str:
    if not names:
        return "0"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}"
