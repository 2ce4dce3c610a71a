"""The audit of detectors, against numbers counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmark.core.errors import BadDataError
from benchmark.core.types import Cohort, Score, Split, patient_codes
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import Fitted, rows_of
from benchmark.detectors.pixels import Pixels
from benchmark.detectors.query_transforms import views_of
from benchmark.evaluation.detector_audit import NONE, Audit, _others, audit, between_seeds, recall_of
from benchmark.evaluation.detector_audit_report import draw_recall, kinds, table_rows
from benchmark.evaluation.planted_recall import choose_planted
from benchmark.images.planted_copies import PASTED, STRENGTHS
from benchmark.metrics.calibration import auc, conformal_quantile
from benchmark.records.detector_audits import AuditedDetector, AuditFile
from benchmark.records.record import CohortFacts, ScoreEntry, entries

SIZES = {"train": 60, "calibration": 40, "test": 30}
FORMS = sum(map(len, STRENGTHS.values())) + sum(map(len, PASTED.values()))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Soft random images, two of each patient that are alike but not the same."""
    rng = np.random.default_rng(0)
    total = sum(SIZES.values())
    own = np.repeat(gaussian_filter(rng.standard_normal((total // 2, 1, 24, 24)), (0, 0, 2, 2)), 2, axis=0)
    noise = gaussian_filter(rng.standard_normal(own.shape), (0, 0, 1, 1))
    pixels = np.clip((own / own.std() + 0.5 * noise / noise.std()) / 3, -1, 1).astype(np.float32)
    splits, first = [], 0
    for name, count in SIZES.items():
        rows = np.arange(first, first + count)
        subjects, items = tuple(f"p{row // 2}" for row in rows), tuple(f"i{row}" for row in rows)
        splits.append(Split(name=name, pixels=pixels, rows=rows, subjects=subjects, items=items, channels=("x",)))
        first += count
    return Cohort(name="toy", key="k" * 16, spacing_mm=(), train=splits[0], calibration=splits[1], test=splits[2])


@pytest.fixture(scope="module")
def found(cohort: Cohort) -> Audit:
    return audit(fit(cohort), cohort, device="cpu", advance=lambda **_: None)


def fit(cohort: Cohort) -> Fitted:
    real = cohort.real
    return Fitted("pixels", Pixels(), real, rows_of(Pixels(), real), Path())


def correlations(cohort: Cohort) -> np.ndarray:
    real = cohort.real
    return np.asarray(np.corrcoef(real.images().reshape(len(real), -1).astype(np.float64)))


def tau_by_hand(cohort: Cohort) -> float:
    nearest = correlations(cohort)[60:100, :60].max(axis=1)
    return conformal_quantile(nearest, patient_codes(cohort.calibration.subjects))


def test_threshold_and_false_positives(cohort: Cohort, found: Audit) -> None:
    tau = tau_by_hand(cohort)
    wrong = (correlations(cohort)[100:, :60].max(axis=1) > tau).mean()
    assert found.scores["detector.tau"].value == pytest.approx(tau, abs=1e-6)
    assert found.scores["detector.false_positives"].value == pytest.approx(wrong)
    assert found.scores["detector.false_positives"].n == 30


def test_same_patient(cohort: Cohort, found: Audit) -> None:
    matrix, tau = correlations(cohort)[:60, :60], tau_by_hand(cohort)
    twins = np.array([matrix[i, i ^ 1] for i in range(60)])
    score = found.scores["detector.same_patient"]
    assert score.value == pytest.approx((twins > tau).mean())
    assert score.value is not None
    assert score.value > 0.5  # these patients' two images are alike: pixels takes one for a copy of the other
    assert (score.n, score.direction) == (60, "lower")


def test_no_patient_with_two_items(cohort: Cohort) -> None:
    alone = Cohort(
        **{
            **vars(cohort),
            "train": Split(**{**vars(cohort.train), "subjects": tuple(f"q{row}" for row in range(60))}),
        }
    )
    score = audit(fit(alone), alone, device="cpu", advance=lambda **_: None).scores["detector.same_patient"]
    assert (score.value, score.reason) == (None, "no patient has two training items")


def test_recall_and_auc_of_each_form(cohort: Cohort, found: Audit) -> None:
    recall = recall_of(found.scores)
    assert len(recall) == FORMS
    assert recall["exact"] == 1
    assert recall["flip[left-right]"] < 0.2  # unrelated pixels
    assert recall["contrast[gamma 1.4]"] == 1
    assert recall["noise[2.5%]"] >= recall["noise[10.0%]"]
    matrix, images = correlations(cohort), cohort.train.images()
    owners = patient_codes(cohort.real.subjects)
    others = np.where(owners[:60, None] == owners[None], NONE, matrix[:60]).max(axis=1)
    flipped = [np.corrcoef(image.ravel(), image[..., ::-1].ravel())[0, 1] for image in images]
    score = found.scores["detector.auc.flip[left-right]"]
    assert score.value == pytest.approx(auc(np.array(flipped), others), abs=1e-6)
    assert found.scores["detector.auc.exact"].value == 1


def test_whole_image_correlation_is_blind_to_local_copies(cohort: Cohort, found: Audit) -> None:
    """The recall of pasted boxes, counted by hand: made of every training image and a held-out one."""
    bank = bank_of(cohort, fit(cohort))
    planted = choose_planted(bank, seed=0)
    assert sorted(planted.hosts[:60] - 60) == sorted(set(planted.hosts - 60))  # 70 held-out images, each used once
    assert planted.hosts.min() >= 60
    images = bank.real.images()
    pasting = PASTED["local"]["25%"]
    made = pasting(torch.from_numpy(images[planted.positions]), torch.from_numpy(images[planted.hosts])).numpy()
    flat = (made.reshape(60, -1), images[:60].reshape(60, -1))
    matrix = np.corrcoef(*flat)[:60, 60:]
    own = matrix.argmax(axis=1) // 2 == np.arange(60) // 2  # two images per patient, in order
    recall = recall_of(found.scores)["local[25%]"]
    assert recall == pytest.approx((own & (matrix.max(axis=1) > tau_by_hand(cohort))).mean())
    assert recall < 0.2
    assert found.scores["detector.auc.local[25%]"].value is not None


def test_few_held_out_images_host_several_copies(cohort: Cohort) -> None:
    few = replace(cohort, calibration=cohort.calibration.part([0, 1, 2]), test=cohort.test.part([0, 1]))
    planted = choose_planted(bank_of(few, fit(few)), seed=0)
    assert np.bincount(planted.hosts).tolist() == [0] * 60 + [12] * 5


def test_the_null_of_auc_counts_views(cohort: Cohort) -> None:
    """The best of several views is greater by chance, for copies and for strangers alike."""
    detector = Pixels(views=views_of(("flips",)))
    real = cohort.real
    rows = rows_of(detector, real)
    positions, owners = np.arange(5), patient_codes(real.subjects)
    best = _others(rows, positions, owners, "cpu", same=False)
    images = real.images().reshape(len(real), -1)
    forms = [real.images(), np.flip(real.images(), -1), np.flip(real.images(), -2)]
    expected = np.full(5, NONE)
    for form in forms:
        matrix = np.corrcoef(form[:5].reshape(5, -1), images)[:5, 5:]
        expected = np.maximum(expected, np.where(owners[:5, None] == owners[None], NONE, matrix).max(axis=1))
    np.testing.assert_allclose(best, expected, atol=1e-6)


def test_every_verdict_is_kept(found: Audit) -> None:
    assert found.verdicts.shape == (30 + 60 * FORMS,)
    share = found.scores["detector.false_positives"].value
    assert found.verdicts[:30].mean() == pytest.approx(share)


def test_speed_is_measured(found: Audit) -> None:
    for name in ("detector.embed_seconds", "detector.pair_seconds"):
        value = found.scores[name].value
        assert value is not None
        assert value > 0


def test_between_seeds() -> None:
    def one(recall: float, flags: list[bool]) -> Audit:
        return Audit({"detector.recall.exact": Score(value=recall)}, ("exact",), np.array(flags))

    two = between_seeds([one(0.9, [True, True, False, False]), one(0.7, [True, False, False, False])])
    assert two["detector.agreement"].value == 0.75
    mean = two["detector.recall_mean"]
    assert (mean.value, mean.low, mean.high) == (pytest.approx(0.8), 0.7, 0.9)
    alone = between_seeds([one(0.9, [True])])
    assert alone["detector.recall_mean"].value == 0.9
    assert (alone["detector.agreement"].value, alone["detector.agreement"].reason) == (
        None,
        "one seed; give --seeds 3, or a detector that is trained",
    )


# The file, the table, the plot


@pytest.fixture(scope="module")
def file(found: Audit) -> AuditFile:
    cohort = CohortFacts(
        name="toy", key="k" * 16, shape=(1, 24, 24), channels=("x",), spacing_mm=(), items=SIZES,
        patients={name: size // 2 for name, size in SIZES.items()},
    )  # fmt: skip
    scores = entries(found.scores | between_seeds([found]))
    detector = AuditedDetector(options={}, seeds=1, claims=found.claims, scores=scores)
    return AuditFile(cohort=cohort, detectors={"pixels": detector}, environment={})


def test_the_file_reads_back(tmp_path: Path, file: AuditFile) -> None:
    file.write(tmp_path / "audit.json")
    assert AuditFile.read(tmp_path / "audit.json") == file


def test_a_file_that_is_no_audit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(BadDataError) as error:
        AuditFile.read(path)
    assert str(error.value) == (
        f"{path} is not a valid audit: cohort: Field required\n  hint: make it again: bench detectors check"
    )


def test_the_table_has_every_form(file: AuditFile) -> None:
    rows = table_rows(file)
    assert {row[0].strip() for row in rows} >= set(kinds(file)) | {"false positives", "agreement of seeds"}
    assert all(len(row) == 3 for row in rows)
    assert next(row for row in rows if row[0] == "  exact")[1] == "1.000 / 1.000"


def test_claims_that_are_not_kept_are_named(file: AuditFile) -> None:
    found = file.detectors["pixels"]
    assert found.claims == ("exact", "contrast[gamma 1.4]", "noise[5.0%]", "recode[JPEG 75]")
    few = ScoreEntry(value=0.94, n=60, direction="higher")
    worse = found.model_copy(update={"scores": found.scores | {"detector.recall.noise[5.0%]": few}})
    assert worse.broken() == ["noise[5.0%]"]
    rows = table_rows(file.model_copy(update={"detectors": {"pixels": worse}}))
    assert next(row for row in rows if row[0] == "claims not kept") == [
        "claims not kept",
        "noise[5.0%]",
        "copies it claims to find, but finds less than 95 % of",
    ]
    assert found.broken() == []


def test_the_plot_is_drawn(tmp_path: Path, file: AuditFile) -> None:
    draw_recall(file, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes()[:4] == b"\x89PNG"


def test_what_a_board_says(file: AuditFile) -> None:
    scores = file.detectors["pixels"].scores
    wrong, mean = scores["detector.false_positives"], scores["detector.recall_mean"]
    assert file.sentence() == (
        f"Audit of the detectors on this cohort: pixels finds {mean.value:.3f} of planted copies, "
        f"false positives {wrong.value:.3f} [{wrong.low:.3f}, {wrong.high:.3f}]."
    )
