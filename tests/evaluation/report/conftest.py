"""Reports of a few drawn images: an audit that found copies, one that found none, one that could not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.core.types import Score
from benchmark.evaluation.report.data import (
    CurvePoint,
    Detector,
    Group,
    Histogram,
    ReportImages,
    ReportInput,
    Suspect,
)
from benchmark.evaluation.report.page import REPORT, SUMMARY, write_report
from benchmark.evaluation.verdict import CANNOT_TELL, CLEAR, COPIES, Verdict

PIXELS, COPY = "pixels:transforms=flips", "copy"
HOSTILE = "<script>alert(\"x\")</script>&'=cmd|' /C calc'!A0"
Made = Callable[..., ReportInput]


def smooth(seed: int, *shape: int) -> np.ndarray:
    """A drawn image with structure at several scales, uint8."""
    rng = np.random.default_rng(seed)
    noise = sum(gaussian_filter(rng.normal(size=shape), sigma) * sigma for sigma in (2, 5))
    return ((noise - noise.min()) / np.ptp(noise) * 255).round().astype(np.uint8)


def scores(share: Score, patients: Score) -> dict[str, Score]:
    return {
        "exposed.items": share,
        "exposed.patients": patients,
        "exposed.threshold": Score(value=0.912, n=2),
        "exposed.verbatim": Score(value=1.0, n=40),
        "exposed.control": Score(value=0.0, low=0.0, high=0.031, n=50),
        "withheld.items": Score(value=2.0, n=40),
        "withheld.false_items": Score(value=1.0, n=2),
        "copies.tau": Score(value=0.873, low=0.861, high=0.885, n=30),
        "members.auc": Score(value=0.617, low=0.551, high=0.683, n=90),
        "privacy.epsilon": Score(value=1.37, n=60),
        "growth.times10": Score(value=31.0, low=12.0, high=57.0, n=40),
        "growth.times100": Score(value=44.0, low=12.0, high=60.0, n=40),
        "detector.recall.exact": Score(value=1.0, low=0.97, high=1.0, n=200),
        "detector.recall_headline.exact": Score(value=0.985, low=0.953, high=0.997, n=200),
        "detector.recall.rotate15": Score(value=0.331, low=0.263, high=0.402, n=200),
        "detector.recall_headline.rotate15": Score(value=0.113, low=0.071, high=0.168, n=200),
    }


def detector(name: str, given: dict[str, Score]) -> Detector:
    counts = {
        "synthetic-to-train": (0, 3, 30, 5, 2),
        "test-to-train": (1, 9, 17, 3, 0),
        "synthetic-to-heldout": (0, 4, 31, 5, 0),
    }
    histograms = tuple(Histogram(name=title, low=0.5, high=1.0, counts=values) for title, values in counts.items())
    curve = tuple(
        CurvePoint(threshold=threshold, value=value, low=1.0, high=value + 2)
        for threshold, value in ((0.95, 2.0), (0.9, 3.0), (0.85, 5.0))
    )
    return Detector(name=name, scores=given, histograms=histograms, curve=curve, engine="float32 (numpy)")


def suspect(number: int, **changed: Any) -> Suspect:
    plain = Suspect(
        file=f"made-{number}.png", train_file=f"train/xray-{number}.png", patient=f"person-{number}",
        heldout_file=f"heldout/other-{number}.png", detector=PIXELS, similarity=0.99 - number / 1000,
        heldout_similarity=0.81, full_size=0.975, reason="verbatim" if number == 0 else "nearest",
        confidence="near-certain" if number == 0 else "review", synthetic=number, train_row=number,
        heldout_row=number + 50,
    )  # fmt: skip
    return replace(plain, **changed)


def report_of(kind: str = "hold", count: int = 2, **changed: Any) -> ReportInput:
    """A report with a verdict, by its kind; `changed` replaces fields of the input."""
    share = Score(value=0.071, low=0.043, high=0.119, n=40)
    patients = Score(value=3.0, low=2.0, high=6.0, n=60)
    sentence, code = f"{count} of 40 synthetic images look like one particular training patient ({PIXELS})", COPIES
    if kind == "nothing found":
        share, patients = Score(value=0.0, low=0.0, high=0.037, n=40), Score(value=0.0, low=0.0, high=2.0, n=60)
        sentence, code, count = "no copies of training images", CLEAR, 0
    if kind == "cannot tell":
        reason = "cannot tell: 60 training patients and 1 held-out patient"
        share = Score(value=None, n=40, reason=reason)
        patients = share
        sentence, code, count = reason, CANNOT_TELL, 0
    given = ReportInput(
        title="Audit of drawn images", date="2026-11-27", version="memobench 0.1.0, protocol p2",
        verdict=Verdict(kind, sentence, share, patients, 0.034, count, code),  # type: ignore[arg-type]
        groups=(
            Group(name="training", images=80, patients=60, digest="aaaa1111"),
            Group(name="held-out", images=50, patients=45, digest="bbbb2222"),
            Group(name="synthetic", images=40, digest="cccc3333"),
        ),
        detectors=(detector(PIXELS, scores(share, patients)), detector(COPY, scores(share, patients))),
        possible={"detectable.share": Score(value=0.034), "detectable.patients": Score(value=2.0)},
        suspects=tuple(suspect(number) for number in range(count)),
        facts={"size at which all images were compared": "64 x 64"},
        notes=("two-files-of-mueller.png are equal",),
    )  # fmt: skip
    return replace(given, **changed)


def images_of(*shape: int) -> ReportImages:
    """Synthetic images that are mirrored training images; held-out ones are others."""
    shape = shape or (48, 40)
    return ReportImages(
        synthetic=lambda number: smooth(number, *shape)[::-1],
        real=lambda number: smooth(number, *shape),
        planted={"exact": smooth(0, *shape[:2]), "rotate15": smooth(1, *shape[:2])},
    )


@pytest.fixture
def made() -> Made:
    """Make a report's input."""
    return report_of


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Write a report, and return the text of its two pages."""

    def write(report: ReportInput, images: ReportImages | None = None) -> tuple[str, str]:
        write_report(report, images or images_of(), tmp_path)
        return (tmp_path / REPORT).read_text(encoding="utf-8"), (tmp_path / SUMMARY).read_text(encoding="utf-8")

    return write
