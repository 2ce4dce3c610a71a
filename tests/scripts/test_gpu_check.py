"""`scripts/gpu_check.py`: a part that fails ends alone, nothing found is ever lost, and all of it runs on a CPU."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.gpu_checks import bench_run  # noqa: E402
from scripts.gpu_checks.check import Check  # noqa: E402
from scripts.gpu_checks.command import RESERVE, Options, check_all  # noqa: E402
from scripts.gpu_checks.goals import GOALS, judge  # noqa: E402
from scripts.gpu_checks.gpu_tests import read  # noqa: E402
from scripts.gpu_checks.parts import FIRST, PARTS, SECOND, CheckPart  # noqa: E402
from scripts.gpu_checks.result import empty_part, take  # noqa: E402
from scripts.gpu_checks.table import markdown, number  # noqa: E402

SOURCES = {
    "good": "def run(check):\n    check.fact('device', 'a device')\n    check.measure('speed', 3.5, 'TOP/s')\n",
    "raises": "def run(check):\n    check.measure('before', 1.0)\n    raise ValueError('no such luck')\n",
    "hangs": "import time\ndef run(check):\n    check.measure('before', 2.0)\n    time.sleep(1000)\n",
    "dies": "import os, signal\ndef run(check):\n    check.note('here')\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "declines": (
        "from scripts.gpu_checks.check import SkippedError\ndef run(check):\n    raise SkippedError('no GPU')\n"
    ),
    "stumbles": (
        "def run(check):\n    with check.trying('one thing'):\n        raise KeyError('lost')\n"
        "    with check.trying('another'):\n        check.measure('another', 4.0, goal='step-ratio')\n"
    ),
}


LONG = 300.0
"""Seconds in which a part of a few lines ends on any machine; the one that hangs would sleep for 1,000."""


@pytest.fixture(scope="session")
def patience() -> int:
    """Seconds in which a child surely starts and tells its first finding, on this machine as busy as it is."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import scripts.gpu_checks.child"], cwd=ROOT, check=True)
    return math.ceil(3 + 10 * (time.monotonic() - began))


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int) -> dict[str, CheckPart]:
    """Parts of a few lines, importable by the children."""
    for name, text in SOURCES.items():
        (tmp_path / f"part_{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")  # must be found from the children's folders too
    return {name: CheckPart(name, f"part_{name}", 0, patience if name == "hangs" else LONG) for name in SOURCES}


def options(out: Path, minutes: float = 60.0, *, tiny: bool = True) -> Options:
    return Options(minutes, out, "cpu", tiny, "python scripts/gpu_check.py")


def result_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "result.json").read_text())
    return found


def statuses(out: Path) -> dict[str, str]:
    return {name: entry["status"] for name, entry in result_of(out)["parts"].items()}


# Parts and their ends


def test_a_part_that_fails_ends_alone(parts: dict[str, CheckPart], patience: int, tmp_path: Path) -> None:
    assert check_all(list(parts.values()), options(tmp_path / "out", tiny=False)) == 1
    assert statuses(tmp_path / "out") == {
        "good": "done", "raises": "failed", "hangs": "cut off", "dies": "failed", "declines": "skipped",
        "stumbles": "failed",
    }  # fmt: skip
    found = result_of(tmp_path / "out")
    reasons = {name: entry["reason"] for name, entry in found["parts"].items()}
    assert reasons == {
        "good": "", "raises": "exit code 1, see its log", "hangs": f"its {patience} s were over",
        "dies": "killed by signal 9, see its log", "declines": "no GPU",
        "stumbles": "1 of its measurements, see its log",
    }  # fmt: skip
    assert found["parts"]["raises"]["failures"] == ["ValueError: no such luck"]
    assert found["parts"]["dies"]["notes"] == ["here"]
    assert found["parts"]["stumbles"]["failures"] == ["one thing: KeyError: 'lost'"]
    values = {name: [one["value"] for one in entry["measurements"]] for name, entry in found["parts"].items()}
    assert values == {"good": [3.5], "raises": [1], "hangs": [2], "dies": [], "declines": [], "stumbles": [4]}
    assert found["machine"] == {"device": "a device"}


def test_the_stack_trace_of_a_failure_is_in_the_log(parts: dict[str, CheckPart], tmp_path: Path) -> None:
    check_all([parts["raises"], parts["stumbles"]], options(tmp_path / "out"))
    for name, line in (("raises", "raise ValueError('no such luck')"), ("stumbles", "raise KeyError('lost')")):
        log = (tmp_path / "out" / "logs" / f"{name}.log").read_text()
        assert "Traceback (most recent call last)" in log
        assert line in log
        assert log in (tmp_path / "out" / "log.txt").read_text()


def test_parts_for_which_no_time_is_left_are_skipped(parts: dict[str, CheckPart], tmp_path: Path) -> None:
    late = CheckPart("late", "part_good", 120, 240)
    assert check_all([parts["good"], late], options(tmp_path / "out", 100 / 60, tiny=False)) == 0
    entry = result_of(tmp_path / "out")["parts"]["late"]
    assert entry["status"] == "skipped"
    assert entry["reason"].endswith("s left, 120 s needed")


def test_a_part_that_hangs_is_given_no_more_than_the_time_that_is_left(
    parts: dict[str, CheckPart], tmp_path: Path
) -> None:
    check_all([CheckPart("hangs", "part_hangs", 0, 900)], options(tmp_path / "out", 6 / 60))
    (seconds,) = re.findall(r"^its (\d) s were over$", result_of(tmp_path / "out")["parts"]["hangs"]["reason"])
    assert int(seconds) <= 6 - RESERVE


def test_what_was_found_survives_a_kill(parts: dict[str, CheckPart], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys\nfrom pathlib import Path\nfrom scripts.gpu_checks.command import Options, check_all\n"
        "from scripts.gpu_checks.parts import CheckPart\n"
        "parts = [CheckPart('good', 'part_good', 0, 900), CheckPart('hangs', 'part_hangs', 0, 900)]\n"
        "check_all(parts, Options(60, Path(sys.argv[1]), 'cpu', True, 'a command'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    parent = subprocess.Popen([sys.executable, "-c", code, str(out)], env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(lambda: (out / "result.json").exists() and bool(result_of(out)["parts"]["hangs"]["measurements"]))
        assert len(_children(out)) == 1
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert statuses(out) == {"good": "done", "hangs": "running"}
    found = result_of(out)["parts"]
    assert [one["value"] for entry in found.values() for one in entry["measurements"]] == [3.5, 2]
    _wait(lambda: not _children(out))


def _wait(happened: Any, seconds: float = LONG) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def _children(out: Path) -> list[str]:
    """Return the processes that write to a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"scripts.gpu_checks.child" in words and any(str(out).encode() in word for word in words):
            found.append(place.parent.name)
    return found


# Findings


def test_a_line_that_is_cut_off_is_left_for_the_next_time(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    result: dict[str, Any] = {"parts": {"a": empty_part("running")}, "machine": {}}
    check = Check("cpu", True, tmp_path, lines, math.inf)
    check.measure("kept", 1.5, "s", goal="run", detail="why")
    check.fact("cores", 2)
    with lines.open("a") as file:
        file.write('{"note": "cut o')
    take(result, "a", lines)
    entry = result["parts"]["a"]
    assert entry["measurements"] == [{"name": "kept", "value": 1.5, "unit": "s", "goal": "run", "detail": "why"}]
    assert entry["notes"] == []
    assert result["machine"] == {"cores": 2}
    with lines.open("a") as file:
        file.write('ff"}\n')
    take(result, "a", lines)
    assert entry["notes"] == ["cut off"]
    assert len(entry["measurements"]) == 1


def test_numbers_that_are_not_finite_are_kept_as_failures(tmp_path: Path) -> None:
    check = Check("cpu", True, tmp_path, tmp_path / "lines", math.inf)
    check.measure("ratio", math.nan, goal="step-ratio")
    finding = json.loads((tmp_path / "lines").read_text())
    assert finding["value"] is None
    assert _verdict("step-ratio", [finding["value"], 1.0]) == ("not met", None)


@pytest.mark.parametrize(
    ("key", "values", "verdict", "worst"),
    [
        ("step-ratio", [1.01, 1.05], "met", 1.05),
        ("step-ratio", [1.01, 1.06, 0.9], "not met", 1.06),
        ("roofline", [0.5, 0.9], "met", 0.5),
        ("roofline", [0.9, 0.49], "not met", 0.49),
        ("search-exact", [0, 1], "not met", 1),
        ("run", [], "not run", None),
    ],
)
def test_goals_are_judged_by_the_worst(key: str, values: list[float], verdict: str, worst: float | None) -> None:
    assert _verdict(key, values) == (verdict, worst)


def test_a_goal_is_not_met_by_what_a_part_measured_before_it_ended() -> None:
    found = judge([{"value": 1.0, "goal": "step-ratio", "final": final} for final in (True, False)], judged=True)
    assert [one["verdict"] for one in found if one["key"] == "step-ratio"] == ["met so far"]
    found = judge([{"value": 2.0, "goal": "step-ratio", "final": False}], judged=True)
    assert [one["verdict"] for one in found if one["key"] == "step-ratio"] == ["not met"]


def test_a_failure_misses_its_goals(tmp_path: Path) -> None:
    check = Check("cpu", True, tmp_path, tmp_path / "lines", math.inf)
    with check.trying("a step", "step-ratio", "gradient"):
        _too_large()
    found = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert found[0] == {"failed": "a step: MemoryError: too large"}
    assert [(one["goal"], one["value"]) for one in found[1:]] == [("step-ratio", None), ("gradient", None)]


def _too_large() -> None:
    raise MemoryError("too large")


def test_a_rehearsal_is_not_judged() -> None:
    found = judge([{"value": 1.0, "goal": "step-ratio"}], judged=False)
    assert {one["verdict"] for one in found} == {"rehearsal", "not run"}
    assert len(found) == len(GOALS)


def _verdict(key: str, values: Sequence[float | None]) -> tuple[str, float | None]:
    found = judge([{"value": value, "goal": key} for value in values], judged=True)
    (one,) = (one for one in found if one["key"] == key)
    return one["verdict"], one["worst"]


@pytest.mark.parametrize(
    ("cases", "measured"),
    [
        ('<testcase name="a"/><testcase name="b"/>', [2, 0]),
        ('<testcase name="a"/><testcase name="b"><failure message="wrong&#10;more"/></testcase>', [1, 1]),
        ('<testcase name="a"><error message="broken"/></testcase>', [0, None]),
        ('<testcase name="a"><skipped message="no GPU"/></testcase>', [0, None]),
        ("", [0, None]),
    ],
)
def test_no_test_that_ran_is_no_success(cases: str, measured: list[float | None], tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    read(tmp_path / "report.xml", Check("cpu", True, tmp_path, tmp_path / "lines", math.inf))
    found = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert [one["value"] for one in found if "measure" in one] == measured
    if "wrong" in cases:
        assert {"note": "failed: b: wrong"} in found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "failed"),
        (0.0, "0"),
        (3.0, "3"),
        (0.12345, "0.1235"),
        (12345.6, "12,346"),
        (1e-7, "1e-07"),
        (7e9, "7e+09"),
    ],
)
def test_numbers_have_four_figures(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_table_of_a_result(parts: dict[str, CheckPart], tmp_path: Path) -> None:
    check_all([parts["good"], parts["stumbles"]], options(tmp_path / "out", tiny=False))
    done = _command("--table", tmp_path / "out" / "result.json")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text == markdown(result_of(tmp_path / "out")) + "\n"
    first, _, second = text.splitlines()[:3]
    assert first.startswith("## GPU: a device, 20")
    assert second.startswith("`python scripts/gpu_check.py` at commit ")
    assert "| speed | 3.5 TOP/s |  |  |" in text
    assert "| training step: seconds of ours over those of a bare loop | at most 1.05 | 4 (of 1) | not met |" in text
    assert "| another | 4 |  | at most 1.05: not met |" in text
    assert "- failed: one thing: KeyError: 'lost'" in text


# The command


def _command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "gpu_check.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2400, **options)


def test_a_part_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = _command("--only", "search,serch", cwd=tmp_path)
    names = ",".join(part.name for part in PARTS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"there is no part serch: choose from {names}\n"
    assert list(tmp_path.iterdir()) == []


BLOCKED = """
import importlib, sys
from pathlib import Path
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("SimpleITK", "gdcm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
root = Path(sys.argv[1])
sys.path.insert(0, str(root))
for place in ("scripts/gpu_checks", "benchmark"):
    for file in sorted((root / place).rglob("*.py")):
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        if not name.endswith(("__init__", "__main__")):
            importlib.import_module(name)
from benchmark.plugins.registry import listing, load_class
for kind in ("models", "datasets"):
    found = listing(kind)
    assert len(found.cards) > 5 and not found.problems, found.problems
    for card in found.cards.values():
        load_class(kind, card)
try:
    import SimpleITK
except ModuleNotFoundError:
    print("all imported")
"""


def test_it_needs_no_simpleitk_and_no_gdcm() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED, str(ROOT)], capture_output=True, text=True, timeout=600)
    assert done.stdout == "all imported\n", done.stderr


@pytest.mark.parametrize("parts", [FIRST, SECOND])
def test_each_of_two_calls_ends_within_eight_minutes(parts: Sequence[CheckPart]) -> None:
    assert sum(part.most for part in parts) + RESERVE <= 480
    assert all(part.least <= part.most for part in parts)


def test_the_page_lists_the_parts_and_the_second_call() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    listed = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    assert [(row[1].strip(), row[3].strip()) for row in listed] == [
        (f"`{part.name}`", f"{part.most:.0f} s") for part in PARTS
    ]
    assert f"--only {','.join(part.name for part in SECOND)}\n" in page
    assert page.index('--out "$OUT"\n') < page.index("## ")


def test_scores_without_a_value_are_kept_with_their_reason(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a" / "seed-0"
    folder.mkdir(parents=True)
    scores = {name: {"value": 0.25, "reason": ""} for name in bench_run.SCORES}
    scores["exposed.items[copy]"] = {"value": None, "reason": "cannot tell: 2 patients"}
    record = {"cost": {"fit_seconds": 2.0}, "environment": {"search": {}}, "scores": scores}
    (folder / "record.json").write_text(json.dumps(record))
    lines = tmp_path / "lines"
    bench_run.stages(Check("cpu", True, tmp_path, lines, math.inf))
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    measured = {entry["measure"]: entry["value"] for entry in entries if "measure" in entry}
    assert measured == {"cost: fit_seconds": 2.0, **dict.fromkeys(bench_run.SCORES[1:], 0.25)}
    assert {"note": "exposed.items[copy] has no value: cannot tell: 2 patients"} in entries


def test_scratch_files_are_not_among_the_results(parts: dict[str, CheckPart], tmp_path: Path) -> None:
    (tmp_path / "part_good.py").write_text(
        "def run(check):\n    (check.folder / 'scratch').write_text('x')\n    check.fact('folder', check.folder)\n"
    )
    check_all([parts["good"]], options(tmp_path / "out"))
    folder = Path(result_of(tmp_path / "out")["machine"]["folder"])
    assert not folder.exists()
    assert sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*")) == [
        "log.txt", "logs", "logs/good.jsonl", "logs/good.log", "result.json",
    ]  # fmt: skip


def test_the_parent_imports_no_torch() -> None:
    code = (
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport scripts.gpu_checks.command\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_wheels_of_the_page_are_versions_that_are_tested() -> None:
    page = " ".join((ROOT / "docs" / "gpu.md").read_text(encoding="utf-8").replace("\\\n", " ").split())
    names = page.partition("-c constraints.txt -d wheels ")[2].partition(" ```")[0].split()
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert len(names) == 9
    assert set(names) <= pinned


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = _command("--device", "cpu", "--tiny", "--minutes", "30", "--out", "found", cwd=tmp_path, env=environment)
    found = result_of(tmp_path / "found")
    assert list(found["parts"]) == [part.name for part in PARTS]
    for name, entry in found["parts"].items():
        assert entry["status"] in ("done", "skipped"), (name, entry, done.stdout)
        assert entry["reason"] or entry["status"] == "done"
        assert entry["measurements"] or entry["status"] != "done"
        assert not entry["failures"]
    assert found["parts"]["environment"]["status"] == found["parts"]["search"]["status"] == "done"
    for key in ("tests", "search-exact", "search-ranks", "same-seed", "resume"):
        (goal,) = (goal for goal in found["goals"] if goal["key"] == key)
        assert (goal["verdict"], goal["worst"]) == ("rehearsal", 0), goal
    assert all(name in done.stdout for name in found["parts"])
    table = _command("--table", tmp_path / "found" / "result.json").stdout
    assert "A rehearsal: its sizes say nothing about speed" in table
    assert "`python scripts/gpu_check.py --device cpu --tiny --minutes 30 --out FOLDER` at commit " in table
    assert ": met |" not in table
    assert str(tmp_path) not in table
    assert all(f"### {name}: " in table for name in found["parts"])
