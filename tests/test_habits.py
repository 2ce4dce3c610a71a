"""Files around the code that tools read: citation, hosted checks, the folder of boards."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from benchmark import __version__
from benchmark.records.record import CohortFacts, Record, Spec

ROOT = Path(__file__).parents[1]


def test_the_citation_names_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"] == __version__
    assert citation["license"] == project["license"]
    assert {"message", "title", "authors"} <= set(citation)


def test_the_hosted_checks_run_ci_on_every_declared_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert job["strategy"]["matrix"]["python"] == declared
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_the_floors_that_are_tested_are_those_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    tools = [name for name in extras["dev"] if name.startswith(("pytest", "import-linter"))]
    needed = (*project["dependencies"], *extras["ray"], *extras["text"], *tools)
    declared = [name.replace(">=", "==") for name in needed]
    lines = (ROOT / "constraints-floor.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == sorted(declared, key=str.lower)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+==\d+(\.\d+)+", line) for line in lines[1:])
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert [step["run"] for step in workflow["jobs"]["floor"]["steps"] if "run" in step] == [".ci/floor"]


def declined() -> Record:
    """A record of a model that could not be run: the smallest that a board shows."""
    return Record(
        status="declined", reason="no checkout", scores={}, cost={}, environment={}, hashes={},
        spec=Spec(model="ldm", preset="smoke", settings={}, data="msd", data_options={}, samples=10, seed=0),
        cohort=CohortFacts(
            name="msd", key="0123456789abcdef", shape=(1, 8, 8), channels=("t1",), spacing_mm=(1.0, 1.0),
            items={"train": 2}, patients={"train": 2},
        ),
    )  # fmt: skip


def test_boards_are_built_from_submitted_records_and_leave_the_rules_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "leaderboards", tmp_path / "leaderboards")
    rules = (tmp_path / "leaderboards" / "RULES.md").read_text(encoding="utf-8")
    declined().write(tmp_path / "leaderboards" / "records" / "msd-ldm-smoke-0.json")
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "leaderboard", "build"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stem = "leaderboards/msd-0123456789abcdef-p2"
    boards = [f"{stem}.md", f"{stem}.csv", "leaderboards/site/index.html"]
    assert [
        line for line in done.stdout.splitlines() if "/cxr-pneumonia-" not in line
    ] == boards  # those of this repository
    assert "declined: no checkout" in (tmp_path / boards[0]).read_text(encoding="utf-8")
    assert (tmp_path / "leaderboards" / "RULES.md").read_text(encoding="utf-8") == rules


def test_no_file_has_the_marks_of_a_merge_that_was_not_resolved() -> None:
    marks = ["<" * 7 + " ", ">" * 7 + " "]
    command = ["git", "grep", "-l", "-I", "-e", f"^{marks[0]}", "-e", f"^{marks[1]}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("", "")


def test_the_tree_of_packages_is_complete() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.findall(r"^  (\w+)/ +\S", text, re.MULTILINE)
    parts = [path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")]
    assert sorted(listed) == sorted(set(parts) - {"models", "datasets"})
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    layers = [sorted(layer.split(" | ")) for layer in contract["layers"] if layer != "__main__"]
    (sentence,) = re.findall(r"From top to bottom: ([^.]*)\.", text)
    assert [sorted(re.findall(r"`(\w+)`", layer)) for layer in sentence.split(";")] == layers
