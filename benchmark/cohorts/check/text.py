"""A check report as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.cohorts.check.report import Report
from benchmark.core.progress import printable

SHOWN = 5


def render(report: Report) -> list[tuple[str, str]]:
    """Return (what, value) rows, for a table on the terminal."""
    rows = [*_contents(report), *_files(report), *_findings(report)]
    return [(printable(what), printable(value)) for what, value in rows]


def _contents(report: Report) -> list[tuple[str, str]]:
    return [
        ("items", f"{report.items} of {report.patients} patients"),
        *((f"  {part}", f"{items} of {patients} patients") for part, (items, patients) in report.splits.items()),
        *((f"  {label}", str(count)) for label, count in list(report.labels.items())[: 2 * SHOWN]),
        ("item", f"{' x '.join(map(str, report.shape))} (channels first)"),
        *(
            (f"  {value.channel}", f"{value.least:g} to {value.greatest:g}, mean {value.mean:.4g}")
            for value in report.pixels.intensity
        ),
    ]


def _files(report: Report) -> list[tuple[str, str]]:
    rows = [
        ("spacing in mm", _shares(report.spacing_mm)),
        ("orientation of files", _shares(report.orientation)),
        *((what, _counted(names) if names else "yes") for what, names in report.remarks.items()),
    ]
    if report.reports:
        rows.append(("reports", f"{report.reports[0]}, {report.reports[1]} with the text of another"))
    return rows


def _findings(report: Report) -> list[tuple[str, str]]:
    return [
        ("exact duplicates", f"groups within a patient: {len(report.within)}, across patients: {len(report.across)}"),
        ("  torn by names alone", f"{report.groups_joined}, kept on one side"),
        *(("  across", ", ".join(group)) for group in report.across[:SHOWN]),
        ("near duplicates", f"pairs across patients: {len(report.near)}"),
        *(("  pair", f"{first}, {second} ({value:.3f})") for first, second, value in report.near[:SHOWN]),
        ("one patient, two names?", _shares(report.same_patient) if report.same_patient else "0"),
        ("constant items", _counted(report.pixels.constant)),
        ("empty items", _counted(report.pixels.empty)),
        ("unusual grey levels", _counted(report.pixels.outliers)),
        ("leaks between splits", _counted(report.leaks)),
    ]


def _shares(counts: Mapping[str, int]) -> str:
    shown = [f"{name or 'unknown'}: {count}" for name, count in list(counts.items())[:SHOWN]]
    more = [f"and {len(counts) - SHOWN} more"] if len(counts) > SHOWN else []
    return ", ".join(shown + more)


def _counted(names: Sequence[str]) -> str:
    if not names:
        return "0"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}"
