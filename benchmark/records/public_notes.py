"""Notes of a cohort as records, boards and summaries hold them: sentences that this package writes, with their counts.

A data set's remark is free text, and a plugin's may hold names. One that is not listed here keeps its count alone.
"""

from __future__ import annotations

import re

UNLISTED = "a remark of the data set that only its private files hold"

_KINDS = (
    "reports (SR)", "key object selections (KO)", "presentation states (PR)", "segmentations (SEG)",
    "registrations (REG)", "raw data objects (RAW)", "parametric maps", "documents (PDF, CDA, STL)",
    "waveforms (ECG)", "spectra (MRS)", "dose grids (RTDOSE)", "structure sets (RTSTRUCT)", "plans (RTPLAN)",
    "portal images (RTIMAGE)", "radiotherapy objects (RT)", "directories (DICOMDIR)", "objects without an image",
    "secondary captures (SC)", "images of an unknown class", "screen saves", "scouts (LOCALIZER)", "colour images",
    "films without positions", "derived images without a position",
)  # fmt: skip
_SENTENCES = (
    # reading of files
    "left out, could not be used", "left out, no item passes the recipe",
    "left out, folders and files that cannot be opened", "left out, links to files that do not exist",
    "left out, folders and files whose names are not UTF-8 (rename them)",
    "skipped, links to folders that are read already", "skipped, second names of one file",
    "skipped, segmentations by their folders or names",
    "pixel spacing differs between files, so none is recorded",
    "NaN pixels set to the least value of their file (nan=background)",
    "in doubt, no orientation in the file: axes were kept as stored",
    "in doubt, axes far from those of the patient (40 degrees or more): the nearest were used",
    "in doubt, voxels above 100 mm or below 0.001 mm: the unit of the file may be wrong",
    "in doubt, sform and qform of the header contradict each other",
    "in doubt, voxel sizes (pixdim) in the header are unusable, those of the sform were used",
    "in doubt, no directions in the file: axes run to the left, the back and the head, as ITK assumes",
    # DICOM
    "secondary captures or images of an unknown class used, because the folder holds no other planes",
    "files copied twice, counted once", "DICOM series split into volumes",
    "tilted gantry, planes shifted into an upright volume", "tilted gantry, slices kept as they were acquired",
    "in doubt, DICOM planes without position or direction: the volume may be upside down",
    "spacing between planes changes, used as slices only",
    "scans of the head: a face can be rebuilt from them, so remove faces before anything leaves the house",
    *(f"skipped, not images of the scan: {kind}" for kind in _KINDS),
    # patients, splits, tables
    "counted as one patient, ids that differ only by spaces, case, leading zeros or .0",
    "counted as one patient, folders with the same PatientID in their DICOM files",
    "counted as one patient, the same name in folders of several classes",
    "counted as one patient, the same name in folders of several splits",
    "in doubt, one PatientID in DICOM files of several patients",
    "each image counts as a patient of its own: group_pattern is none",
    "each image counts as a patient of its own: --patients is none",
    "group_pattern finds one patient for all images", "--patients finds one patient for all images",
    "group_pattern finds another patient for each image", "--patients finds another patient for each image",
    "patients, from a table next to the images", "not used, tables of patients that list none of these files",
    "labels, from the folders", "sites, from the table", "listed, but not on this disk", "left out, not in the table",
    "in several equal rows of the table, used once",
    "sites of training images alone or of held-out images alone, which makes the comparison unfair",
    # published data sets
    "left out, raw data without a reconstruction", "automatic segmentation used as seg",
    # splits and duplicates
    "items excluded by a list", "groups of exact duplicates within one patient",
    "groups of exact duplicates across patients, kept on one side of the split",
    "few patients in calibration, so intervals are wide", "few patients in test, so intervals are wide",
)  # fmt: skip
_PATTERNS = (
    r"left out, folders of fewer than \d+ DICOM files beside series",
    r"DICOM series of fewer than \d+ planes skipped",
    # Endings are counted by those that `images.walk` lists; others are `other endings`.
    r"skipped, (not images|in formats that cannot be read): \d+ \((\.?[a-z0-9~ ]{1,30} \d+(, )?)+\)",
    r"left out, no (t1|t2|flair|t1ce|seg)( and no (t1|t2|flair|t1ce|seg))*",
    r"left out, not a view (PA|AP|LATERAL|LL|all)( or (PA|AP|LATERAL|LL|all))*",
    (
        r"patients, from (the tag PatientID|single files|the folders, (one each|several visits of one joined)"
        r"|their numbers in the names of the (folders|files)|part \d+ of the names of the files"
        r"|the names of the files( up to the first '[-_. ]')?) \(another rule: --(group-pattern|patients)\)"
    ),
)
_LISTED = re.compile(f"(?:(?:train|heldout): )?(?:{'|'.join((*map(re.escape, _SENTENCES), *_PATTERNS))})(?:: \\d+)?")
_COUNT = re.compile(r": \d+\Z")


def public_note(note: str) -> str:
    """Return a note as it is where the package writes such notes; of any other its count, where it has one."""
    if _LISTED.fullmatch(note):
        return note
    count = _COUNT.search(note)
    return UNLISTED + (count[0] if count else "")
