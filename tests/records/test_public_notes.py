"""Notes in public files: the sentences of this package, and of any other remark its count alone."""

from __future__ import annotations

import pytest

from benchmark.cohorts import dicom_datasets, ingest_log, patient_ids, patient_table
from benchmark.images.readers import canonical, dicom_kinds, image, itk, nifti_geometry, series
from benchmark.images.walk import Walk
from benchmark.records.public_notes import UNLISTED, public_note

SENTENCES = (
    ingest_log.UNREADABLE, ingest_log.EMPTY, ingest_log.MIXED_SPACING, patient_ids.SAME_PATIENT, patient_table.ABSENT,
    patient_table.SITES, dicom_datasets.SCOUTS, dicom_datasets.FACES, image.FILLED, canonical.UNORIENTED,
    canonical.OBLIQUE, canonical.ODD_SIZE, itk.ASSUMED, nifti_geometry.CONTRADICTION, nifti_geometry.NO_SIZES,
    series.CAPTURES, series.DOUBLES, series.SPLIT, series.TILT_SHIFTED, series.TILT_KEPT, series.UNPLACED_STACK,
    series.UNEVEN_SLICES, "patients, from the folders, one each (another rule: --group-pattern)",
    "patients, from the names of the files up to the first '_' (another rule: --patients)",
    "left out, no t1 and no seg", "left out, not a view PA or AP", "skipped, not images: 12 (.json 10, .txt 2)",
)  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("start", ["", "train: ", "heldout: "])
def test_sentences_of_the_package_are_public(start: str, sentence: str) -> None:
    assert public_note(f"{start}{sentence}") == f"{start}{sentence}"
    assert public_note(f"{start}{sentence}: 17") == f"{start}{sentence}: 17"


def test_all_that_a_walk_says_is_public(tmp_path: object) -> None:
    names = {name: ["x"] for name in ("twice", "linked", "unreadable", "broken", "undecodable")}
    walk = Walk(root=tmp_path, **names)  # type: ignore[arg-type]
    walk.skipped.update({".txt": 3, "other endings": 2, "hidden and desktop files": 1, "no ending": 1})
    assert len(walk.remarks()) == 6
    for remark in walk.remarks():
        assert public_note(f"{remark}: 1" if walk.remarks()[remark] else remark).startswith(remark)


def test_all_kinds_of_dicom_objects_are_public() -> None:
    kinds = [value for value in vars(dicom_kinds).values() if isinstance(value, dicom_kinds.Kind)]
    assert len(kinds) > 20
    for kind in kinds:
        assert public_note(f"skipped, not images of the scan: {kind.many}: 3").endswith("3")
        assert public_note(f"skipped, not images of the scan: {kind.many}: 3") != f"{UNLISTED}: 3"


@pytest.mark.parametrize(
    "remark", ["seen by Dr. Anna", "left out, no anna", "left out, could not be used by anna", "a\nb"]
)
def test_of_other_remarks_the_count_alone_is_public(remark: str) -> None:
    assert public_note(remark) == UNLISTED
    assert public_note(f"{remark}: 12") == f"{UNLISTED}: 12"
