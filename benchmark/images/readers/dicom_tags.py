"""Single tags of DICOM files, read without the pixels: what a listing needs before anything is read."""

from __future__ import annotations

from pathlib import Path

import pydicom

from benchmark.core.errors import BadDataError
from benchmark.images.readers.dicom import UNREADABLE, require_deflated_size


def modality(path: Path) -> str:
    """Return the Modality of a file, such as CT or SR; empty where the file does not say it or cannot be read."""
    try:
        require_deflated_size(path)
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Modality"])
        return str(header.get("Modality") or "")
    except (*UNREADABLE, BadDataError):
        return ""
