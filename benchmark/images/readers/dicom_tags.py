"""Single tags of DICOM files, read without the pixels: what a listing needs before anything is read."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers.dicom import UNREADABLE, read_tags, require_deflated_size


def modality(path: Path) -> str:
    """Return the Modality of a file, such as CT or SR; empty where the file does not say it or cannot be read."""
    try:
        require_deflated_size(path)
        return str(read_tags(path, ["Modality"]).get("Modality") or "")
    except (*UNREADABLE, BadDataError):
        return ""
