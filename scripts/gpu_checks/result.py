"""result.json: what all parts have found so far, whole at every moment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.gpu_checks.goals import judge

Result = dict[str, Any]


def save(result: Result, path: Path) -> None:
    """Judge the goals and write, so that a reader finds the former or the new file and never half of one."""
    result["goals"] = judge(all_measurements(result), judged=not result["tiny"])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def all_measurements(result: Result) -> list[Mapping[str, Any]]:
    """Return the measurements of every part, in order, with `final` where the part is done."""
    return [
        {**one, "final": part["status"] == "done"} for part in result["parts"].values() for one in part["measurements"]
    ]


def empty_part(status: str, reason: str = "") -> dict[str, Any]:
    """Return the entry of a part that has found nothing yet."""
    return {"status": status, "reason": reason, "seconds": 0.0, "measurements": [], "notes": [], "failures": []}


def take(result: Result, name: str, lines: Path) -> None:
    """Fill a part's entry from the lines of its child; a last line that is cut off is left for the next time."""
    entry = result["parts"][name]
    entry.update(measurements=[], notes=[], failures=[])
    text = lines.read_text(encoding="utf-8") if lines.exists() else ""
    for line in text[: text.rfind("\n") + 1].splitlines():
        _sort(json.loads(line), entry, result)


def _sort(finding: dict[str, Any], entry: dict[str, Any], result: Result) -> None:
    if "measure" in finding:
        entry["measurements"].append({"name": finding.pop("measure"), **finding})
    elif "note" in finding:
        entry["notes"].append(finding["note"])
    elif "failed" in finding:
        entry["failures"].append(finding["failed"])
    elif "skip" in finding:
        entry["reason"] = finding["skip"]
    else:
        result["machine"][finding["fact"]] = finding["value"]
