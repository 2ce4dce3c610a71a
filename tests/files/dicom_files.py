"""DICOM files as scanners write them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def header(**tags: Any) -> FileDataset:
    """A CT slice without pixels; tags set to None are left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    usual: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": "Doe^Jane",
        "PatientID": "SECRET-17",
        "Modality": "CT",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
    }
    for name, value in (usual | tags).items():
        if value is not None:
            setattr(file, name, value)
    return file


def write_slice(path: Path, pixels: np.ndarray, *, slope: float = 1, intercept: float = 0, **tags: Any) -> Path:
    """Write stored values (rows, columns), or (frames, rows, columns), of 16 or 8 bits."""
    file = header(**tags)
    if pixels.ndim == 3:
        file.NumberOfFrames = len(pixels)
    file.Rows, file.Columns = pixels.shape[-2:]
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    if (slope, intercept) != (1, 0):
        file.RescaleSlope, file.RescaleIntercept = slope, intercept
    file.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (2.0, 0.7, 0.7),
    syntax: str = "plain",
    offset: int = 1024,
    names: str = "IM{:04d}.dcm",
    orientation: tuple[float, ...] = AXIAL,
    **tags: Any,
) -> list[Path]:
    """Write HU (slices from feet to head, rows, columns) as one file a slice, named against their order."""
    normal = np.cross(orientation[:3], orientation[3:])
    paths = []
    for place, plane in enumerate(hu):
        own = {
            "ImagePositionPatient": [
                float(value) for value in np.array([-90.0, -80.0, -300.0]) + normal * place * spacing[0]
            ],
            "ImageOrientationPatient": list(orientation),
            "PixelSpacing": list(spacing[1:]),
            "SliceThickness": spacing[0],
            "InstanceNumber": len(hu) - place,
        }
        path = folder / names.format(len(hu) - place)
        write_slice(path, (plane + offset).astype(np.uint16), intercept=-offset, **(own | tags))
        if syntax != "plain":
            compress(path, syntax)
        paths.append(path)
    return paths


def compress(path: Path, syntax: str, kind: int = gdcm.TransferSyntax.JPEGLosslessProcess14_1) -> None:
    """Store the pixels again: rle (pydicom), or by GDCM as its transfer syntax `kind`, JPEG lossless if not given."""
    if syntax == "rle":
        file = pydicom.dcmread(path)
        file.compress(RLELossless)
        file.save_as(path)
        return
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kind))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    stored = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    assert kind != gdcm.TransferSyntax.JPEGLosslessProcess14_1 or stored == JPEGLosslessSV1


def enhanced(path: Path, hu: np.ndarray, *, step: float = 2.0) -> Path:
    """Write one multi-frame file whose planes lie in its functional groups."""
    shared, measures, turned, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.7, 0.7]
    turned.ImageOrientationPatient = list(AXIAL)
    values.RescaleSlope, values.RescaleIntercept = 1, -1024
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    shared.PixelValueTransformationSequence = [values]
    frames = []
    for place in range(len(hu)):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, step * place]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
    return write_slice(path, (hu + 1024).astype(np.uint16), **groups)


def write_object(path: Path, sop_class: str, modality: str | None = None, pixels: np.ndarray | None = None) -> Path:
    """Write what archives store with a scan: a report, a plan, a dose grid ..., with pixels or without."""
    if pixels is not None:
        return write_slice(path, pixels, SOPClassUID=sop_class, Modality=modality, SeriesInstanceUID="1.2.3.99")
    file = header(SOPClassUID=sop_class, Modality=modality, SeriesInstanceUID="1.2.3.99")
    file.file_meta.MediaStorageSOPClassUID = sop_class
    del file.PhotometricInterpretation, file.SamplesPerPixel
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


def mosaic(path: Path, planes: np.ndarray, *, count: int | None = None, step: float = 3.0, **tags: Any) -> Path:
    """Write planes (n, rows, columns) as a Siemens mosaic whose first plane has its first pixel at (0, 0, 0) mm."""
    side = int(np.ceil(np.sqrt(len(planes))))
    rows, columns = planes.shape[1:]
    tiles = np.zeros((side * side, rows, columns), planes.dtype)
    tiles[: len(planes)] = planes
    sheet = tiles.reshape(side, side, rows, columns).transpose(0, 2, 1, 3).reshape(side * rows, side * columns)
    own: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        # That of a plane as large as the mosaic, with the centre of the first plane; pixels of 2 mm.
        "ImagePositionPatient": [-(side - 1) * columns / 2 * 2.0, -(side - 1) * rows / 2 * 2.0, 0.0],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [2.0, 2.0],
        "SpacingBetweenSlices": step,
        "SliceThickness": 2.5,
    }
    write_slice(path, sheet, **(own | tags))
    if count != 0:
        file = pydicom.dcmread(path)
        file.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count or len(planes))
        file.save_as(path)
    return path
