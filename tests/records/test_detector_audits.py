"""Audit files: collected for boards by cohort, and refused by name when broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.core.errors import BadDataError
from benchmark.records.detector_audits import AuditedDetector, AuditFile, collect_audits
from benchmark.records.record import CohortFacts, ScoreEntry


def audit(key: str, recall: float | None) -> AuditFile:
    scores = {
        "detector.false_positives": ScoreEntry(value=0.04, low=0.01, high=0.1),
        "detector.recall_mean": ScoreEntry(value=recall, reason="" if recall else "no copies"),
    }
    cohort = CohortFacts(
        name="toy", key=key, shape=(1, 8, 8), channels=("x",), spacing_mm=(), items={"train": 4}, patients={"train": 2}
    )
    detector = AuditedDetector(options={}, seeds=1, claims=(), scores=scores)
    return AuditFile(cohort=cohort, detectors={"pixels": detector}, environment={})


def test_audits_are_collected_by_cohort(tmp_path: Path) -> None:
    audit("aaaa", 0.5).write(tmp_path / "one" / "audit.json")
    audit("bbbb", 0.25).write(tmp_path / "two" / "audit.json")
    audit("bbbb", None).write(tmp_path / "three" / "deep" / "audit.json")
    sentence = (
        "Audit of the detectors on this cohort: pixels finds {} of planted copies, "
        "false positives 0.040 [0.010, 0.100]."
    )
    assert collect_audits(tmp_path) == (
        {
            "aaaa": [sentence.format("0.500")],
            "bbbb": [sentence.format("not scored"), sentence.format("0.250")],
        },
        (),
    )


def test_no_folder_means_no_audits(tmp_path: Path) -> None:
    assert collect_audits(tmp_path / "nowhere") == ({}, ())


def test_a_broken_audit_is_named_and_hides_no_other(tmp_path: Path) -> None:
    audit("aaaa", 0.5).write(tmp_path / "good" / "audit.json")
    (tmp_path / "audit.json").write_text('{"schema": 1}')
    bare = audit("bbbb", 0.5).model_dump(mode="json", by_alias=True)
    del bare["detectors"]["pixels"]["scores"]["detector.recall_mean"]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "audit.json").write_text(json.dumps(bare))
    sentences, refused = collect_audits(tmp_path)
    assert list(sentences) == ["aaaa"]
    reasons = ("cohort: Field required", "detectors.pixels: Value error, the score detector.recall_mean is missing")
    assert [str(one) for one in refused] == [
        f"{tmp_path / place}: is not a valid audit: {reason}"
        for place, reason in zip(("audit.json", "bare/audit.json"), reasons, strict=True)
    ]
    with pytest.raises(BadDataError):
        AuditFile.read(tmp_path / "audit.json")


@pytest.mark.parametrize(("recall", "blind"), [(0.99, False), (0.985, True), (None, False)])
def test_a_blind_detector_is_refused_by_its_audit(recall: float | None, blind: bool) -> None:
    file = audit("key", 0.5)
    (detector,) = file.detectors.values()
    detector.scores["detector.recall.exact"] = ScoreEntry(value=recall, reason="" if recall else "none")
    why = "it finds 98.5 % of unchanged copies of training images (at least 99 % are needed)"
    assert detector.blind() == (why if blind else "")
    assert (f"is refused, because {why}." in file.sentence()) is blind
