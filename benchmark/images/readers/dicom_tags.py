"""Single tags of DICOM files, read without the pixels: what a listing needs before anything is read."""

from __future__ import annotations

from pathlib import Path

import pydicom

from benchmark.images.readers.dicom import UNREADABLE


def modality(path: Path) -> str:
    """Return the Modality of a file, such as CT or SR; empty where the file does not say it or cannot be read."""
    try:
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Modality"])
        return str(header.get("Modality") or "")
    except UNREADABLE:
        return ""
