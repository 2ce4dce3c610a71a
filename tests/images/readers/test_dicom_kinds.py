"""Which objects of a folder are planes of the scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import enhanced, write_object, write_series, write_slice
from pydicom import uid

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from benchmark.images.readers.dicom_kinds import counted
from benchmark.images.readers.series import CAPTURES, Series, read_series

GRID = np.arange(48, dtype=np.uint16).reshape(6, 8)


def ct(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 2000, shape or (8, 6, 5))


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(BadDataError) as caught:
        read()
    return str(caught.value)


def skipped(series: Series) -> str:
    return counted(Counter(kind for kind, _ in series.skipped))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


KINDS = [
    (uid.BasicTextSRStorage, "SR", None, "1 report (SR)"),
    (uid.XRayRadiationDoseSRStorage, "SR", None, "1 report (SR)"),
    (uid.KeyObjectSelectionDocumentStorage, "KO", None, "1 key object selection (KO)"),
    (uid.GrayscaleSoftcopyPresentationStateStorage, "PR", None, "1 presentation state (PR)"),
    (uid.SegmentationStorage, "SEG", GRID, "1 segmentation (SEG)"),
    (uid.SurfaceSegmentationStorage, "SEG", None, "1 segmentation (SEG)"),
    (uid.RTDoseStorage, "RTDOSE", GRID, "1 dose grid (RTDOSE)"),
    (uid.RTStructureSetStorage, "RTSTRUCT", None, "1 structure set (RTSTRUCT)"),
    (uid.RTPlanStorage, "RTPLAN", None, "1 plan (RTPLAN)"),
    (uid.RTIonPlanStorage, "RTPLAN", None, "1 plan (RTPLAN)"),
    (uid.RTImageStorage, "RTIMAGE", GRID, "1 portal image (RTIMAGE)"),
    (uid.RTBeamsTreatmentRecordStorage, "RTRECORD", None, "1 radiotherapy object (RT)"),
    (uid.SecondaryCaptureImageStorage, "OT", GRID, "1 secondary capture (SC)"),
    (uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage, "OT", GRID, "1 secondary capture (SC)"),
    (uid.EncapsulatedPDFStorage, "DOC", None, "1 document (PDF, CDA, STL)"),
    (uid.TwelveLeadECGWaveformStorage, "ECG", None, "1 waveform (ECG)"),
    (uid.SpatialRegistrationStorage, "REG", None, "1 registration (REG)"),
    (uid.DeformableSpatialRegistrationStorage, "REG", None, "1 registration (REG)"),
    (uid.ParametricMapStorage, "MR", GRID, "1 parametric map"),
    (uid.RawDataStorage, "MR", None, "1 raw data object (RAW)"),
    (uid.MRSpectroscopyStorage, "MR", None, "1 spectrum (MRS)"),
    (uid.ColorPaletteStorage, None, None, "1 object without an image"),
    (uid.MediaStorageDirectoryStorage, None, None, "1 directory (DICOMDIR)"),
    ("1.3.12.2.1107.5.9.1", "MR", None, "1 raw data object (RAW)"),
    ("1.3.46.670589.11.0.0.12.1", "MR", None, "1 object without an image"),
    ("1.2.840.113619.4.30", "CT", GRID, "1 image of an unknown class"),
    (uid.CTImageStorage, "SR", None, "1 report (SR)"),  # the class was replaced by an anonymiser
    (None, "SR", None, "1 report (SR)"),
]


@pytest.mark.parametrize(("sop_class", "modality", "pixels", "said"), KINDS)
def test_objects_with_a_scan_are_skipped_and_counted(
    tmp_path: Path, sop_class: str, modality: str | None, pixels: np.ndarray | None, said: str
) -> None:
    hu = ct()
    write_series(tmp_path, hu)
    path = write_object(tmp_path / "a.dcm", sop_class or uid.BasicTextSRStorage, modality, pixels)
    if sop_class is None:
        file = pydicom.dcmread(path)
        del file.SOPClassUID
        del file.file_meta.MediaStorageSOPClassUID
        file.save_as(path)
    series = read_series(files(tmp_path))
    assert [image.pixels.shape for image in series.volumes] == [(5, 6, 8)]
    assert series.notes == ()
    assert [path for _, path in series.skipped] == [path]
    assert skipped(series) == said


IMAGES = [
    uid.CTImageStorage, uid.MRImageStorage, uid.PositronEmissionTomographyImageStorage, uid.NuclearMedicineImageStorage,
    uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing, uid.UltrasoundImageStorage, uid.XRayAngiographicImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage, uid.EnhancedMRImageStorage, uid.OphthalmicTomographyImageStorage,
    uid.BreastTomosynthesisImageStorage, None,
]  # fmt: skip


@pytest.mark.parametrize("sop_class", IMAGES)
def test_image_classes_are_planes(tmp_path: Path, sop_class: str | None) -> None:
    paths = write_series(tmp_path, ct(), SOPClassUID=sop_class or uid.CTImageStorage)
    if sop_class is None:  # an anonymiser removed it: pixels are enough
        for path in paths:
            file = pydicom.dcmread(path)
            del file.SOPClassUID
            file.save_as(path)
    series = read_series(files(tmp_path))
    assert (series.skipped, series.notes) == ((), ())


def test_scouts_and_screen_saves_in_the_class_of_the_scan(tmp_path: Path) -> None:
    hu = ct()
    write_series(tmp_path, hu, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    # A scout with the directions, the position and the matrix of a plane.
    write_series(tmp_path, hu[:1], names="scout{}.dcm", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    screen = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    write_slice(tmp_path / "page.dcm", GRID, ImageType=screen)
    write_slice(tmp_path / "dose.dcm", GRID, ImageType=["DERIVED", "SECONDARY"])
    write_slice(tmp_path / "fa.dcm", np.zeros((8, 24), np.uint8), PhotometricInterpretation="RGB")
    series = read_series(files(tmp_path))
    assert (len(series.volumes), series.scouts) == (1, 0)
    assert skipped(series) == ("1 colour image, 1 screen save, 1 scout (LOCALIZER), 1 derived image without a position")


def test_derived_planes_with_positions_are_planes(tmp_path: Path) -> None:
    write_series(tmp_path, ct(), ImageType=["DERIVED", "SECONDARY", "MPR"])
    series = read_series(files(tmp_path))
    assert (series.skipped, series.notes) == ((), ())


def test_a_film_with_a_scan_is_skipped(tmp_path: Path) -> None:
    write_series(tmp_path, ct())
    write_slice(tmp_path / "cine.dcm", np.zeros((9, 6, 5), np.uint8), SOPClassUID=uid.UltrasoundMultiFrameImageStorage)
    assert skipped(read_series(files(tmp_path))) == "1 film without positions"


def test_a_film_alone(tmp_path: Path) -> None:
    cine = np.arange(270, dtype=np.uint16).reshape(9, 6, 5)
    path = write_slice(tmp_path / "cine.dcm", cine, SOPClassUID=uid.XRayAngiographicImageStorage)
    assert refusal(lambda: read_series([path])) == (
        f"{path} holds no planes of a scan: 1 film without positions\n  hint: leave it out"
    )
    assert refusal(lambda: read_image(path)) == (
        f"{path} holds 9 frames, one image is needed\n  hint: save its frames as single images, or leave it out"
    )


def test_counts_of_a_folder_without_planes(tmp_path: Path) -> None:
    for number in range(12):
        write_object(tmp_path / f"sr{number}.dcm", uid.BasicTextSRStorage, "SR")
    write_object(tmp_path / "dose.dcm", uid.RTDoseStorage, "RTDOSE", GRID)
    assert refusal(lambda: read_series(files(tmp_path))) == (
        f"{tmp_path} holds no planes of a scan: 12 reports (SR), 1 dose grid (RTDOSE)\n  hint: leave it out"
    )


def test_single_objects_are_no_radiographs(tmp_path: Path) -> None:
    path = write_object(tmp_path / "seg.dcm", uid.SegmentationStorage, "SEG", GRID)
    assert refusal(lambda: read_image(path)) == (
        f"{path} is no image of a patient, but a segmentation (SEG)\n  hint: leave it out"
    )


def test_a_radiograph_stored_as_secondary_capture(tmp_path: Path) -> None:
    path = write_object(tmp_path / "chest.dcm", uid.SecondaryCaptureImageStorage, "CR", GRID)
    assert np.array_equal(read_image(path).pixels, GRID)


def test_a_scan_stored_as_secondary_captures(tmp_path: Path) -> None:
    """As MATLAB's dicomwrite stores it, unless another class is asked for."""
    write_series(tmp_path, ct(), SOPClassUID=uid.SecondaryCaptureImageStorage)
    write_object(tmp_path / "sr.dcm", uid.BasicTextSRStorage, "SR")
    series = read_series(files(tmp_path))
    assert [image.pixels.shape for image in series.volumes] == [(5, 6, 8)]
    assert series.notes == ((CAPTURES, ""),)
    assert skipped(series) == "1 report (SR)"


def test_a_damaged_plane_is_named_not_skipped(tmp_path: Path) -> None:
    paths = write_series(tmp_path, ct())
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[: content.index(b"\xe0\x7f\x10\x00")])  # cut before the pixels
    assert refusal(lambda: read_series(files(tmp_path))) == (
        f"{paths[2]} is DICOM without an image (no pixel data)\n  hint: copy it again, or leave it out"
    )
    paths[2].write_bytes(content[:200])
    assert refusal(lambda: read_series(files(tmp_path))) == (
        f"{paths[2]} is not a DICOM file, or its header is damaged\n  hint: download or copy the file again"
    )


def test_an_original_plane_that_lost_its_position(tmp_path: Path) -> None:
    paths = write_series(tmp_path, ct())
    file = pydicom.dcmread(paths[3])
    del file.ImagePositionPatient
    file.save_as(paths[3])
    assert refusal(lambda: read_series(files(tmp_path))) == (
        f"{paths[3]} has no ImagePositionPatient, but other planes of its series have one"
        "\n  hint: export the series again, or leave it out"
    )


def test_a_size_that_the_file_cannot_hold(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", GRID)
    file = pydicom.dcmread(path)
    file.Rows = file.Columns = 60000
    file.save_as(path)
    assert refusal(lambda: read_image(path)) == (
        f"{path} declares 1 x 60000 x 60000 pixels, more than its {path.stat().st_size:,} bytes can hold"
        "\n  hint: download or copy the file again"
    )


def test_enhanced_dose_is_no_scan(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", ct())
    file = pydicom.dcmread(path)
    file.SOPClassUID = uid.RTDoseStorage
    file.save_as(path)
    assert refusal(lambda: read_series([path])) == (
        f"{path} holds no planes of a scan: 1 dose grid (RTDOSE)\n  hint: leave it out"
    )
