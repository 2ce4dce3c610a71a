"""Each number of an audit against the questions of EDPB Opinion 28/2024 and of a data-protection impact assessment.

Opinion 28/2024 of the European Data Protection Board was adopted on 17 December 2024. Its answer to the first question,
on anonymous models, states two conditions, and lists what authorities should look at: among it tests against attacks,
and documentation. Themes are named here without numbers of paragraphs: read them in the Opinion. The content of an
impact assessment is Article 35(7) of Regulation (EU) 2016/679 (GDPR).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.evaluation.report.wording import (
    best_recall,
    count_text,
    detector_name,
    percent,
    planted_names,
    share_text,
)
from benchmark.records.columns import number

if TYPE_CHECKING:
    from benchmark.core.types import Score
    from benchmark.evaluation.report.data import ReportInput


@dataclass(frozen=True)
class Answer:
    """One question, what the audit measured about it, and what it leaves open."""

    question: str
    source: str
    numbers: tuple[str, ...]
    open: str


NOT_MEASURED = ("Not measured by this audit.",)


def opinion(report: ReportInput) -> tuple[Answer, ...]:
    """Return the questions of EDPB Opinion 28/2024 on whether a model is anonymous."""
    return (
        Answer(
            "How likely is it to obtain personal data of people in the training set from the model's output, intended "
            "or not?",
            "Anonymous models, second condition: the likelihood must be insignificant for any data subject",
            (*_each(report, "share of images that are copies", "exposed.items", share_text),
             *_each(report, "training patients with a copy", "exposed.patients", count_text)),
            "Only the given synthetic images were examined, and only likeness of images. Each person counts, not the "
            "average: a small share is not by itself insignificant.",
        ),
        Answer(
            "How likely is it to extract personal data directly from the model, probabilistic extraction included?",
            "Anonymous models, first condition: the likelihood must be insignificant for any data subject",
            NOT_MEASURED,
            "The audit sees images, not the model's parameters. If the model itself is given away, test it as well.",
        ),
        Answer(
            "Was the model tested for regurgitation of training data?",
            "Tests of the model and its resistance to attacks",
            (*_each(report, "nearly identical images", "exposed.verbatim", count_text),
             *_each(report, "images to withhold", "withheld.items", count_text)),
            "This is what the audit tests. It looks for the kinds of copies that are listed under what it would find.",
        ),
        Answer(
            "Was the model tested for membership inference?",
            "Tests of the model and its resistance to attacks",
            (*_each(report, "members against others, AUC (0.5: no difference)", "members.auc", _plain),
             *_each(report, "lower bound on epsilon (0 shows nothing)", "privacy.epsilon", _plain)),
            "The attacker in this test has the synthetic images only, and compares nearest images. Stronger attackers "
            "who hold the model were not simulated.",
        ),
        Answer(
            "Was the model tested for attribute inference, exfiltration, model inversion and reconstruction?",
            "Tests of the model and its resistance to attacks",
            NOT_MEASURED,
            "These need other tests.",
        ),
        Answer(
            "Is the test itself strong enough to be evidence?",
            "The Opinion leaves it to the authority to judge scope, frequency, quantity and quality of tests",
            (*_power(report), *_recall(report),
             *_each(report, "false alarms on real held-out images (should hold 0 %)", "exposed.control", share_text)),
            "Power is stated for exact copies of patients drawn at random. Altered copies are harder to find.",
        ),
        Answer(
            "Which documents show when, how and to what extent the model was tested?",
            "The Opinion expects documentation of tests and of their results",
            (f"Date {report.date}; {report.version}.", *_counts(report)),
            "Add who ran the test, the model's name and version, and where its training is documented.",
        ),
    )  # fmt: skip


def impact_assessment(report: ReportInput) -> tuple[Answer, ...]:
    """Return what an audit adds to a data-protection impact assessment."""
    return (
        Answer(
            "Description of the processing and its purposes",
            "Article 35(7)(a)",
            _counts(report),
            "Purpose, legal basis and recipients are not known to the audit. Medical images are data concerning health "
            "(Article 9).",
        ),
        Answer("Necessity and proportionality", "Article 35(7)(b)", NOT_MEASURED, "To be stated by the controller."),
        Answer(
            "Risks to the rights and freedoms of the patients",
            "Article 35(7)(c)",
            (*_each(report, "training patients with a copy", "exposed.patients", count_text),
             *_each(report, "the same in a release 10 times as large", "growth.times10", count_text)),
            "Likelihood only. How severe the disclosure of one patient's image is, is for the controller to judge.",
        ),
        Answer(
            "Measures that address the risks",
            "Article 35(7)(d)",
            (f"{report.verdict.suspects} images are on the list to withhold.",
             *_each(report, "of them at most by chance", "withheld.false_items", count_text)),
            "State which images were kept after review and by whom, and audit the reduced set again.",
        ),
        Answer(
            "Review when the risk changes",
            "Article 35(11)",
            (f"This audit holds for {_samples(report)} synthetic images.",),
            "Audit again when the model, its training data or the number of released images changes.",
        ),
    )  # fmt: skip


def _each(report: ReportInput, label: str, name: str, text: Callable[[Score], str]) -> tuple[str, ...]:
    """Return one line per detector that has this score, its reason where there is no number."""
    lines = []
    for one in report.detectors:
        score = one.scores.get(name)
        if score is not None:
            why = f": {score.reason}" if score.value is None and score.reason else ""
            whose = f" [{detector_name(one.name)}]" if len(report.detectors) > 1 else ""
            lines.append(f"{label}: {text(score)}{why}{whose}")
    return tuple(lines)


def _plain(score: Score) -> str:
    if score.value is None:
        return "not scored"
    if score.low is None or score.high is None:
        return number(score.value)
    return f"{number(score.value)} ({number(score.low)} to {number(score.high)})"


def _power(report: ReportInput) -> tuple[str, ...]:
    share = report.possible.get("detectable.share")
    if share is None or share.value is None:
        return (f"No share of copies would surely have been seen{f': {share.reason}' if share else ''}.",)
    return (f"A share of copies of {percent(share.value)} would have been seen with 95 % probability.",)


def _recall(report: ReportInput) -> tuple[str, ...]:
    recalls = [best_recall(name, report.detectors) for name in planted_names(report.detectors)]
    measured = [value for value in recalls if value is not None]
    if not measured:
        return ("No copies were planted.",)
    half = sum(value >= 0.5 for value in measured)
    return (f"{half} of {len(measured)} kinds of planted copies are mostly found.",)


def _counts(report: ReportInput) -> tuple[str, ...]:
    return tuple(
        f"{group.images} {group.name} images" + (f" of {group.patients} patients." if group.patients else ".")
        for group in report.groups
    )


def _samples(report: ReportInput) -> int:
    group = report.group("synthetic")
    return group.images if group else 0
