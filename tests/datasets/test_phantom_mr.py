"""The simulated patients: files like BraTS20, contrasts like MR, patients that differ."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import MissingDataError, UsageError
from benchmark.datasets.phantom_mr import dataset, simulate
from benchmark.datasets.phantom_mr.dataset import PhantomMR, case_folder, write_patient


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    PhantomMR(patients=2).create(folder)
    return folder


@pytest.fixture(scope="module")
def patient(root):
    return [load(root, 1, name) for name in (*simulate.SEQUENCES, "seg")]


def load(root, number, name):
    folder = case_folder(root, number)
    return np.asanyarray(nib.load(folder / f"{folder.name}_{name}.nii.gz").dataobj)


def test_the_same_seed_gives_the_same_voxels(patient):
    again = simulate.simulate(1)
    assert list(again) == [*simulate.SEQUENCES, "seg"]
    for written, volume in zip(patient, again.values(), strict=True):
        assert np.array_equal(written, volume)
        assert written.dtype == volume.dtype


def test_layout_and_header_are_those_of_brats20(root):
    folder = root / "MICCAI_BraTS2020_TrainingData" / "BraTS20_Training_001"
    names = {f"BraTS20_Training_001_{name}.nii.gz" for name in ("t1", "t1ce", "t2", "flair", "seg")}
    assert {file.name for file in folder.iterdir()} == names
    image = nib.load(folder / "BraTS20_Training_001_t1.nii.gz")
    assert image.shape == (240, 240, 155)
    assert np.array_equal(image.affine, [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert image.get_data_dtype() == np.int16


def test_background_is_zero_in_all_and_labels_are_those_of_brats(patient):
    *images, seg = patient
    head = images[0] > 0
    assert all(np.array_equal(image > 0, head) for image in images)
    assert 0.9e6 < head.sum() < 2e6
    assert set(np.unique(seg)) <= {0, 1, 2, 4}
    assert np.all(head[seg > 0])


def test_tissues_are_ordered_as_in_mr():
    rows = {name: dict(zip(simulate.tissue.TISSUES, row, strict=True)) for name, row in BRIGHTNESS.items()}
    assert rows["t1"]["white"] > rows["t1"]["grey"] > rows["t1"]["fluid"]
    assert rows["t2"]["fluid"] > rows["t2"]["grey"] > rows["t2"]["white"]
    assert rows["flair"]["oedema"] > rows["flair"]["grey"] > rows["flair"]["white"] > rows["flair"]["fluid"]


BRIGHTNESS = simulate.contrast.BRIGHTNESS


def test_lesions_and_fluid_look_as_in_mr(patient):
    t1, t1ce, t2, flair, seg = (volume.astype(float) for volume in patient)
    brain = t1 > 0
    fluid = brain & (t2 > np.percentile(t2[brain], 98)) & (seg == 0)
    tissue = brain & (seg == 0) & ~fluid
    assert np.median(t1[fluid]) < 0.6 * np.median(t1[tissue])
    assert np.median(flair[fluid]) < 0.6 * np.median(flair[tissue])
    assert np.median(flair[seg == 2]) > 1.4 * np.median(flair[tissue])
    if (seg == 4).any():
        assert np.median(t1ce[seg == 4]) > np.median(t1ce[tissue])


def test_two_patients_differ_more_than_neighbouring_slices(patient, root):
    one, other = patient[0].astype(float), load(root, 2, "t1").astype(float)
    between = np.corrcoef(one[:, :, 85].ravel(), other[:, :, 85].ravel())[0, 1]
    within = np.corrcoef(one[:, :, 85].ravel(), one[:, :, 86].ravel())[0, 1]
    assert between < within - 0.03


def test_the_slice_rule_keeps_as_many_as_on_real_cases(root):
    data = PhantomMR(patients=2, image_size=64)
    for source in data.sources(root):
        items = data.read(source)
        assert 55 <= len(items.names) <= 100
        assert items.pixels.shape[1:] == (5, 64, 64)
        assert items.spacing_mm == (4.0, 4.0)


def test_fewer_patients_share_the_folder_and_more_are_refused(root):
    assert [source.name for source in PhantomMR(patients=1).sources(root)] == ["BraTS20_Training_001"]
    with pytest.raises(MissingDataError, match="lacks 1 of 3 simulated patients, the first is BraTS20_Training_003"):
        PhantomMR(patients=3).sources(root)
    with pytest.raises(UsageError):
        PhantomMR(patients=0)


def test_a_killed_patient_is_not_taken_for_finished(tmp_path, monkeypatch):
    def small(seed):
        return {name: np.full((4, 4, 4), seed, np.int16) for name in (*simulate.SEQUENCES, "seg")}

    def killed(path, volume):
        if path.name.endswith("t2.nii.gz"):
            raise KeyboardInterrupt
        whole(path, volume)

    whole = dataset._write_nifti
    monkeypatch.setattr(dataset, "simulate", small)
    monkeypatch.setattr(dataset, "_write_nifti", killed)
    with pytest.raises(KeyboardInterrupt):
        write_patient(tmp_path, 1)
    assert not case_folder(tmp_path, 1).exists()
    monkeypatch.setattr(dataset, "_write_nifti", whole)
    write_patient(tmp_path, 1)
    assert len(list(case_folder(tmp_path, 1).iterdir())) == 5


def test_a_finished_patient_is_left_as_it_is(root):
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.nii.gz")}
    PhantomMR(patients=2).create(root)
    assert before == {file: file.stat().st_mtime_ns for file in root.rglob("*.nii.gz")}


def test_planes_are_the_same_for_a_seed_and_differ_between_seeds_and_heights():
    first, again, other = (simulate.planes(seed, "flair", (10, 16)) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((2, 240, 240), np.int16)
    assert np.array_equal(first, again)
    between = np.corrcoef(first[0].ravel(), other[0].ravel())[0, 1]
    assert between < np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1] < 0.99
    assert all(0.2 < (plane > 0).mean() < 0.5 for plane in first)


def test_images_show_the_whole_head_in_every_grey():
    images = PhantomMR.images(3, (10,))
    assert (images.shape, images.dtype) == ((1, 208, 176), np.uint8)
    assert (images.min(), images.max()) == (0, 255)
    border = images[0].copy()
    border[1:-1, 1:-1] = 0
    assert not border.any()
