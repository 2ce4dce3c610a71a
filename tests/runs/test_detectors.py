"""Detectors from the command line: more of them in a run, and their audit."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bench

from benchmark.records.detector_audits import AuditFile
from benchmark.records.record import Record


@pytest.fixture
def check(bench: Bench, xrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Audit detectors on the films; the cohort and its detectors are shared with the runs."""
    cache = tmp_path_factory.getbasetemp() / "cache"

    def call(*arguments: object) -> object:
        common = ("--data", "cxr-pneumonia", "--root", xrays, "--image-size", 32, "--cache", cache)
        return bench("detectors", "check", *common, *arguments)

    return call  # type: ignore[return-value]


def test_audit_of_two_detectors(check: Bench, run: Bench, bench: Bench, tmp_path: Path) -> None:
    done = check("--detector", "copy", "--detector", "pixels", "--seeds", 2)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("audits/*/audit.json")
    assert done.stdout.splitlines()[-2:] == [
        f"audit: {path.relative_to(tmp_path)}",
        f"plot: {path.with_suffix('.png').relative_to(tmp_path)}",
    ]
    audit = AuditFile.read(path)
    copy, pixels = audit.detectors["copy"], audit.detectors["pixels"]
    assert (copy.seeds, pixels.seeds) == (2, 1)
    assert copy.scores["detector.recall.exact"].value == pixels.scores["detector.recall.exact"].value == 1
    agreement = copy.scores["detector.agreement"].value
    assert agreement is not None
    assert 0.3 < agreement <= 1
    assert pixels.scores["detector.agreement"].value is None
    assert run("--samples", 50).returncode == 0
    assert bench("leaderboard", "build").returncode == 0
    (board,) = tmp_path.glob("leaderboards/*.md")
    assert f"- {audit.sentence()}" in board.read_text()


def test_a_run_with_another_seed_of_the_detector(run: Bench, bench: Bench, tmp_path: Path) -> None:
    done = run("--samples", 50, "--detector", "copy:seed=1")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("runs/**/record.json")
    names = set(Record.read(path).scores)
    assert {f"exposed.items[{name}]" for name in ("copy", "pixels", "copy:seed=1")} <= names
    assert "copy:seed=1" in done.stdout
    assert (path.parent / "figures" / "pairs-copy-seed-1.png").exists()
    again = bench("evaluate", path.parent)
    assert again.returncode == 0, again.stderr
    assert set(Record.read(path).scores) == names


def test_refusals(check: Bench, run: Bench) -> None:
    for done, message in (
        (check("--seeds", 0), "0 seeds were asked for\n  hint: give 1 or more; 3 tell how far trainings differ"),
        (
            run("--detector", "sim"),
            (
                "there is no detector named 'sim'\n"
                "  hint: did you mean 'ssim'? `bench detectors` lists all; your own: --detector ./file.py:Class"
            ),
        ),
    ):
        assert done.returncode == 2
        assert done.stderr == f"error: {message}\n"


def test_list(bench: Bench) -> None:
    done = bench("detectors")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("copy", "pixels"))
