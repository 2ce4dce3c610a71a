"""The scores of a record that boards and the terminal show, with their headings and explanations."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.records.ranges import Limits, limits_of

if TYPE_CHECKING:
    from benchmark.records.record import Record, ScoreEntry

RECALL = "detector.recall."
AUTOENCODER = "autoencoder"
"""Name of planted copies that passed the model's own autoencoder, where it has one. They are left out of means over all
transformations: models without an autoencoder, and models with different ones, could not be compared."""
REFUSALS = ("refused", "cannot tell")
"""With these words the reason begins where a headline may not be scored."""
ABSENT = "not in the record"
"""The cell of a score that a record should have and has not: deleted, or of another version."""


@dataclass(frozen=True)
class Line:
    """One score that exists for each detector."""

    id: str
    heading: str
    meaning: str
    digits: int = 3
    """Digits behind the point."""

    @property
    def limits(self) -> Limits:
        """The least and the greatest value that the score can take."""
        return limits_of(self.id)


LINES = (
    Line("exposed.patients", "exposed patients", "training patients with a copy among the samples (0: none)", 0),
    Line("exposed.items", "exposed share", "share of samples that are such copies"),
    Line("exposed.control", "  control", "the same for images of test patients, as if they were synthetic: holds 0"),
    Line("exposed.verbatim", "verbatim copies", "samples that show one particular training patient", 0),
    Line("withheld.items", "to withhold", "samples to remove before release; listed in matches.parquet", 0),
    Line("split.p", "fair split (p)", "are training and held-out patients alike? refused at 0.01"),
    Line("privacy.epsilon", "epsilon, at least", "lower bound on the privacy loss (0 shows nothing)", 2),
    Line("copies.rate", "copy rate", "share of synthetic items nearer to train than 95 % of calibration items"),
    Line("copies.null", "  null", "the same for real items of test patients: what the rule reads without copying"),
    Line("members.share", "memorised share", "share of training items that have a near synthetic item"),
    Line("members.null", "  null", "the same for items of test patients"),
    Line("members.auc", "members AUC", "are training items nearer to synthetic ones than held-out items are (0.5: no)"),
    Line("copies.tau", "tau", "similarity that 5 % of held-out items exceed against train"),
)
"""In the order of the row: the headline first, each number above its null."""

QUALITY = (
    Line(
        "quality.frechet[random-conv]",
        "Frechet [random-conv]",
        "distance to held-out patients, lower is nearer",
    ),
    Line("quality.frechet_floor[random-conv]", "  train, for comparison", "the same for training items"),
    Line("quality.ms_ssim[pixels]", "MS-SSIM of pairs", "similarity among synthetic items"),
    Line("quality.ms_ssim_real[pixels]", "  held-out, for comparison", "the same for real items"),
)

PROMPTS = (
    Line("prompts.auc[first]", "prompts AUC", "are captions trained on above others by d_mem's first step (0.5: no)"),
    Line(
        "prompts.marks[first]",
        "marks in top prompts",
        "how much more often than in the others (1: as often)",
    ),
    Line(
        "prompts.length[first]",
        "d_mem with length",
        "rank correlation: longer captions move a prediction further",
    ),
)
"""Scores of text-to-image models only."""

FURTHER = (
    Line("exposed.threshold", "", "copies less similar than this are not spoken of"),
    Line("heldout.exposed", "", "held-out patients that the model seems to have seen: they are no control"),
    Line("growth.times10", "", "exposed patients of a release 10 times as large; times100: 100 times"),
    Line("withheld.false_items", "", "at most so many of the samples to withhold are there by chance (95 %)"),
    Line("prompted.own", "", "text models: share nearest to the prompt's own patient, train minus held-out"),
    Line("withheld.false_patients", "", "training patients on that list by chance: expected, at most"),
    Line("members.auc_members", "", "halves of the members against each other: what an AUC reads without reason"),
    Line("members.tpr_at_1_fpr", "", "share of training items found at 1 % of held-out ones (0.01: chance)"),
    Line("neighbours.dcr_share", "", "share nearer to train than to as many held-out items (0.5: chance)"),
    Line("neighbours.ratio_share", "", "share whose nearest training item is 3 times nearer than the second"),
    Line("neighbours.ratio_median", "", "median distance to the nearest over that to the second training item"),
    Line("neighbours.calibrated_l2", "", "5 % quantile of the distance over half the mean of the 50 nearest"),
    Line("neighbours.auth_share", "", "share farther from its training item than that is from the next one"),
    Line("neighbours.m3_share", "", "share nearer to train than half of train is to itself (about 0.5)"),
    Line("neighbours.c_t", "", "data-copying z by cells: far below 0 is copying"),
    Line("neighbours.c_t_swapped", "", "the same for training items by their nearest synthetic item"),
    Line("published.dar2025.n_mem", "", "Dar et al.: share of training items memorised; _test: test patients"),
    Line("published.dar2025.n_copies", "", "Dar et al.: share of synthetic items that are copies; _test: others"),
    Line("published.akbar2025.mean", "", "Akbar et al.: mean nearest similarity; also max, q50, q95, q99"),
)
"""In the record, not in the row; for most the record also holds the value of test patients, as ID_null."""

UNLIKE = Line(
    "samples.unlike",
    "samples unlike train",
    "largest share of samples outside 99 % of the training images in one number, such as their mean (about 0.01 is "
    "expected): samples that came out wrong (scale, channels, latents, noise) copy nobody",
)
"""On a board where it was noted for a row."""

FURTHER_QUALITY = (
    Line("quality.kernel[random-conv]", "", "kernel distance to held-out patients, 0 for the same law; _floor: train"),
    Line("quality.precision[random-conv]", "", "share of synthetic items near a real one; recall: the other way"),
    Line(
        "quality.density[random-conv]",
        "",
        "real neighbourhoods around a synthetic item; coverage: those with one",
    ),
    Line("quality.mifid[random-conv]", "", "Frechet distance, larger where items are near to train"),
    Line("samples.constant", "", "samples of one grey value: above 1.3 % the headline is not scored"),
    Line("samples.repeated", "", "samples that repeat another one exactly: they count once"),
    UNLIKE,
    Line("detectable.patients", "", "fewest exposed patients that this cohort shows with 95 % power"),
    Line("detectable.share", "", "smallest exposed share that it shows with 95 % power"),
    Line("attack.loss.auc", "", "training items have a lower loss than held-out ones (0.5: no); see auc_members"),
)
"""In the record, not in the row; for all detectors together."""


def with_interval(score: ScoreEntry | None, digits: int = 3) -> str:
    """Return `0.102 [0.061, 0.148]`, or why there is no number: `refused`, `cannot tell`, `not scored`, `not in the
    record`."""
    if score is None:
        return ABSENT
    if score.value is None:
        start = score.reason.partition(":")[0]
        return start if start in (*REFUSALS, ABSENT) else "not scored"
    if score.low is None or score.high is None:
        return number(score.value, digits)
    return f"{number(score.value, digits)} [{number(score.low, digits)}, {number(score.high, digits)}]"


def value_text(score: ScoreEntry) -> str:
    """Return `0.102`, or `not scored`."""
    return "not scored" if score.value is None else number(score.value)


def number(value: float, digits: int = 3) -> str:
    """Return so many digits behind the point; where that is three, three significant ones from 100 on."""
    return f"{value:.{digits}f}" if abs(value) < 100 or digits < 3 else f"{value:.3g}"


def detectors_of(record: Record) -> tuple[str, ...]:
    """Return the detectors of a record, in its order: a score of exposure that is missing hides none."""
    exposed = (name for name in record.scores if name.startswith("exposed."))
    matches = (re.fullmatch(r"exposed\.\w+\[(.*)\]", name) for name in exposed)
    return tuple(dict.fromkeys(match[1] for match in matches if match))


def recalls(record: Record, detector: str) -> dict[str, float]:
    """Return the planted recall of each transformation."""
    ending = f"[{detector}]"
    names = [name for name in record.scores if name.startswith(RECALL) and name.endswith(ending)]
    values = {name[len(RECALL) : -len(ending)]: record.scores[name].value for name in names}
    return {name: value for name, value in values.items() if value is not None and name != AUTOENCODER}


def recall_text(by_transformation: Mapping[str, float], expected: Collection[str] = ()) -> str:
    """Return the mean of planted recalls by transformation, and the transformation with the lowest one.

    Where one of those `expected` is missing there is no mean: that of the others would be another quantity.
    """
    missing = [name for name in expected if name not in by_transformation]
    if missing:
        return f"{ABSENT}: {', '.join(missing)}"
    if not by_transformation:
        return "not scored"
    worst, lowest = min(by_transformation.items(), key=lambda pair: pair[1])
    mean = sum(by_transformation.values()) / len(by_transformation)
    return f"{mean:.2f} (worst: {worst} {lowest:.2f})"
