"""`pytest -m gpu`, its verdicts as findings; without a GPU, the same tests on the CPU."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

from scripts.gpu_checks.check import Check

ROOT = Path(__file__).resolve().parents[2]
REHEARSED = "test_search_on_a_device.py"


def run(check: Check) -> None:
    """Run the tests of tests/gpu, and keep how many passed and each that did not."""
    report = check.folder / "report.xml"
    place = ROOT / "tests" / "gpu"
    command = [
        sys.executable, "-m", "pytest", "-m", "gpu" if check.cuda else "not gpu", "-q", "-p", "no:cacheprovider",
        f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), f"--junitxml={report}",
        *(["-n", "4"] if check.cuda and find_spec("xdist") else []),
        str(place / REHEARSED) if check.tiny else str(place),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=check.folder)
    if not report.exists():
        check.missed("tests failed", "", "tests", f"pytest left no report, exit code {done.returncode}")
        raise RuntimeError(f"pytest left no report (exit code {done.returncode})")
    read(report, check)


def read(report: Path, check: Check) -> None:
    """Keep what a JUnit report says."""
    cases = list(ET.parse(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    passed = len(cases) - len(failed) - len(skipped)
    check.measure("tests passed", passed, f"of {len(cases)}")
    if passed:
        check.measure("tests failed", len(failed), goal="tests")
    else:  # none that failed among none that ran is no success
        check.missed("tests failed", "", "tests", "no test passed")
    for case in failed:
        cause = case.find("failure")
        cause = case.find("error") if cause is None else cause
        first = next(iter((cause.get("message") or "").splitlines()), "") if cause is not None else ""
        check.note(f"failed: {case.get('name')}: {first}"[:300])
    for case in skipped:
        reason = case.find("skipped")
        check.note(f"skipped: {case.get('name')}: {'' if reason is None else reason.get('message')}")
