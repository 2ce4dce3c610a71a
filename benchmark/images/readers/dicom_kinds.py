"""What a DICOM object is: an image of the scan, or a report, a plan, a dose grid ... that archives store with it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from benchmark.images.readers.frame_tags import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom import Dataset


class Kind(NamedTuple):
    """A kind of object that is skipped among the planes of a scan."""

    one: str
    """Its name in the singular, with its modality."""
    many: str
    alone: bool = False
    """Whether it is read as an image where a folder, or a file that was given, holds nothing else."""


REPORT = Kind("report (SR)", "reports (SR)")
KEY_OBJECT = Kind("key object selection (KO)", "key object selections (KO)")
PRESENTATION = Kind("presentation state (PR)", "presentation states (PR)")
SEGMENTATION = Kind("segmentation (SEG)", "segmentations (SEG)")
REGISTRATION = Kind("registration (REG)", "registrations (REG)")
RAW = Kind("raw data object (RAW)", "raw data objects (RAW)")
MAP = Kind("parametric map", "parametric maps")
DOCUMENT = Kind("document (PDF, CDA, STL)", "documents (PDF, CDA, STL)")
WAVEFORM = Kind("waveform (ECG)", "waveforms (ECG)")
SPECTRUM = Kind("spectrum (MRS)", "spectra (MRS)")
DOSE = Kind("dose grid (RTDOSE)", "dose grids (RTDOSE)")
STRUCTURES = Kind("structure set (RTSTRUCT)", "structure sets (RTSTRUCT)")
PLAN = Kind("plan (RTPLAN)", "plans (RTPLAN)")
PORTAL = Kind("portal image (RTIMAGE)", "portal images (RTIMAGE)")
THERAPY = Kind("radiotherapy object (RT)", "radiotherapy objects (RT)")
DIRECTORY = Kind("directory (DICOMDIR)", "directories (DICOMDIR)")
OTHER = Kind("object without an image", "objects without an image")
CAPTURE = Kind("secondary capture (SC)", "secondary captures (SC)", alone=True)
UNKNOWN = Kind("image of an unknown class", "images of an unknown class", alone=True)
SCREEN = Kind("screen save", "screen saves")
SCOUT = Kind("scout (LOCALIZER)", "scouts (LOCALIZER)")
COLOUR = Kind("colour image", "colour images")
FILM = Kind("film without positions", "films without positions")
UNPLACED = Kind("derived image without a position", "derived images without a position")

STORAGE = "1.2.840.10008.5.1.4.1.1."
"""Root of the storage classes of DICOM PS3.4, Annex B."""
NO_IMAGES = (
    ("88.59", KEY_OBJECT),
    ("88", REPORT),
    ("11", PRESENTATION),
    ("66.4", SEGMENTATION),
    ("66.5", SEGMENTATION),
    ("66.1", REGISTRATION),
    ("66.3", REGISTRATION),
    ("66", RAW),
    ("30", MAP),
    ("104", DOCUMENT),
    ("9", WAVEFORM),
    ("4.2", SPECTRUM),
    ("481.2", DOSE),
    ("481.3", STRUCTURES),
    ("481.5", PLAN),
    ("481.8", PLAN),
    ("481.1", PORTAL),
    ("481", THERAPY),
    ("7", CAPTURE),
    ("8", OTHER),
    ("10", OTHER),
    ("67", OTHER),
    ("68", OTHER),
    ("78", OTHER),
    ("79", OTHER),
    ("80", OTHER),
    ("90", OTHER),
    ("91", OTHER),
    ("129", OTHER),
    ("131", OTHER),
    ("200", OTHER),
    ("201", OTHER),
)
"""Storage classes that are no image of a scan; the first that fits, by whole components of the UID."""
IMAGES = ("1", "2", "3", "4", "5", "6", "12", "13", "14", "20", "77", "81", "82", "128", "130", "501", "601")
"""Components below STORAGE whose classes are images: CR, DX, MG, IO, CT, MR, NM, US, XA, XRF, tomosynthesis, OCT, PET
and visible light, with their enhanced and legacy converted classes."""
MODALITIES = {
    "SR": REPORT, "KO": KEY_OBJECT, "PR": PRESENTATION, "SEG": SEGMENTATION, "REG": REGISTRATION, "DOC": DOCUMENT,
    "ECG": WAVEFORM, "HD": WAVEFORM, "AU": WAVEFORM, "RTDOSE": DOSE, "RTSTRUCT": STRUCTURES, "RTPLAN": PLAN,
    "RTRECORD": THERAPY, "RTIMAGE": PORTAL,
}  # fmt: skip
"""Modality -> kind, for objects whose storage class an anonymiser removed or replaced."""
PRIVATE_NO_IMAGES = ("1.3.12.2.1107.5.9.1",)
"""Siemens CSA Non-Image Storage."""
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
SCOUT_TYPES = {"LOCALIZER", "SCOUT"}
SCREEN_TYPES = {"SCREEN SAVE", "SCREENSAVE", "SCREEN CAPTURE", "SCREENSHOT", "DOSE_INFO", "DOSE REPORT", "CSA REPORT"}
"""Parts of ImageType by which scanners mark pages that a person looked at, stored in the class of the scan."""
GREY = ("MONOCHROME1", "MONOCHROME2")


def has_pixels(header: Dataset) -> bool:
    """Return whether an object holds pixels of any number type."""
    return any(name in header for name in PIXELS)


def class_kind(header: Dataset) -> Kind | None:
    """Return what an object is by its storage class, or None where it is an image."""
    uid = str(value_of(header, "SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = MODALITIES.get(str(value_of(header, "Modality") or "").upper())
    if not uid:
        return modality
    if modality and not has_pixels(header):
        return modality
    kind = kind_of_class(uid)
    return OTHER if kind is UNKNOWN and not has_pixels(header) else kind


def plane_kind(header: Dataset) -> Kind | None:
    """Return what an image is among the planes of a scan, or None where it is one of them.

    Scouts and screen saves are stored in the class of the scan; ImageType (PS3.3, C.7.6.1.1.2) tells them apart. Colour
    is never a plane: perfusion and diffusion maps are coded in it.
    """
    kind = class_kind(header)
    if kind and not kind.alone:
        return kind
    types = image_type(header)
    if types & SCREEN_TYPES:
        return SCREEN
    if types & SCOUT_TYPES:
        return SCOUT
    return COLOUR if colour(header) else kind


def colour(header: Dataset) -> str:
    """Return the photometric interpretation of a colour image, or an empty string for a grey one."""
    kind = str(value_of(header, "PhotometricInterpretation") or "MONOCHROME2")
    return kind if kind not in GREY or (value_of(header, "SamplesPerPixel") or 1) != 1 else ""


def image_type(header: Dataset) -> set[str]:
    """Return the parts of ImageType."""
    value = value_of(header, "ImageType") or []
    return {str(part).strip().upper() for part in ([value] if isinstance(value, str) else value)}


def counted(passed: Mapping[Kind, int]) -> str:
    """Return such as `12 reports (SR), 1 dose grid (RTDOSE)`, the most frequent first."""
    ordered = Counter(passed).most_common()
    return ", ".join(f"{count} {kind.one if count == 1 else kind.many}" for kind, count in ordered)


@cache
def kind_of_class(uid: str) -> Kind | None:
    """Return what a storage class holds: None for images, UNKNOWN for classes that are not listed."""
    if uid == "1.2.840.10008.1.3.10":
        return DIRECTORY
    if uid in PRIVATE_NO_IMAGES:
        return RAW
    component = uid.removeprefix(STORAGE)
    if component == uid:
        return UNKNOWN
    for root, kind in NO_IMAGES:
        if component == root or component.startswith(f"{root}."):
            return kind
    return None if component.partition(".")[0] in IMAGES else UNKNOWN
