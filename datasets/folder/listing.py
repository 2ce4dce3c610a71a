"""The images below a root: a file each, or a folder for a DICOM series, all of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.cohorts.dicom_datasets import dicom_names
from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.images.readers import DICOM, READERS
from benchmark.images.readers.series import FEWEST
from benchmark.images.walk import NO_ENDING, Walk, ending_of, walk

from .layout import Unit

ANY = "any"
"""Value of the option ending that takes all kinds of files."""
VOLUMES = (".nii", ".nii.gz", ".hdr", ".mhd", ".mha", ".nrrd", ".nhdr", ".h5", ".hdf5")
ARRAYS = (".npy", ".npz")
SERIES = "DICOM series"
FILMS = "DICOM images"
DICOM_KINDS = {"dicom": (SERIES, FILMS), "dicom-series": (SERIES,), "dicom-images": (FILMS,)}
"""Values of the option ending for DICOM of any ending, or without one, and the kinds they choose."""
PLANAR = ("CR", "DX", "MG", "RG", "XA", "RF", "US", "IO", "PX", "OP", "XC", "ES", "GM", "SM")
"""Modalities of single images: a folder with several of them holds no volume."""
SMALL = f"left out, folders of fewer than {FEWEST} DICOM files beside series"


@dataclass
class Listing:
    """The images of a folder."""

    files: dict[str, list[str]]
    """Names of images (of a series, its folder) to the files, all as paths below the root, sorted."""
    below: Walk
    left_out: list[str] = field(default_factory=list)
    """Folders of too few DICOM files to be a series, where others hold series."""
    dicom: bool = False
    """Whether the images are DICOM files."""

    def units(self) -> list[Unit]:
        """Return each image with its folders and the stem of its name."""
        return [_unit(name, files) for name, files in self.files.items()]

    def paths(self, name: str) -> tuple[str, ...]:
        """Return the paths of the files of an image."""
        return tuple(f"{self.below.root}/{file}" for file in self.files[name])

    def identity(self, name: str) -> tuple[str, ...]:
        """Return what is equal for two names of the same files."""
        return tuple(sorted(self.below.same.get(file, file) for file in self.files[name]))

    def remarks(self) -> dict[str, list[str]]:
        """Return what was skipped."""
        return self.below.remarks() | ({SMALL: self.left_out} if self.left_out else {})


def list_images(root: Path, ending: str) -> Listing:
    """List the images below root. Raises MissingDataError without any, BadDataError where kinds are mixed."""
    below = walk(root)
    folders = dicom_names(below)
    kinds, left_out = _dicom(below, folders)
    dicom = {file for files in folders.values() for file in files}
    for name in below.files:
        kind = _kind(name)
        if kind:
            kinds.setdefault(kind, {})[name] = [name]
        elif ending_of(name) == "" and name not in dicom:
            below.skipped[NO_ENDING] += 1
    wanted = "" if ending.lower() == ANY else ending
    kinds = {kind: chosen for kind, files in kinds.items() if (chosen := _ending_with(kind, files, wanted))}
    if not kinds:
        raise _nothing(root, wanted, below)
    if len(kinds) > 1 and ending.lower() != ANY:
        raise _mixed(root, kinds)
    files = {name: listed for chosen in kinds.values() for name, listed in chosen.items()}
    return Listing(dict(sorted(files.items())), below, left_out, dicom=kinds.keys() <= set(DICOM_KINDS["dicom"]))


def plain(name: str) -> str:
    """Return a path below the folder without the file's ending."""
    ending = ending_of(name)
    return name[: -len(ending)] if ending in READERS else name


def _dicom(below: Walk, folders: Mapping[str, list[str]]) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Sort folders of DICOM files into series and single images; beside series, a few files are scouts or reports."""
    from benchmark.images.readers.dicom import frame_count

    series: dict[str, list[str]] = {}
    films: dict[str, list[str]] = {}
    small: dict[str, list[str]] = {}
    for folder, files in folders.items():
        if len(files) < FEWEST:
            small[folder] = files
        elif _is_planar(below, files):
            films.update({file: [file] for file in files})
        else:
            series[folder or "."] = files
    left_out = []
    for folder, files in small.items():
        if not series or _is_planar(below, files):
            films.update({file: [file] for file in files})
            continue
        volumes = [file for file in files if frame_count(below.path(file)) >= FEWEST]  # enhanced CT and MR
        series.update({file: [file] for file in volumes})
        left_out += [] if volumes else [folder or "."]
    return {kind: files for kind, files in ((SERIES, series), (FILMS, films)) if files}, left_out


def _is_planar(below: Walk, files: list[str]) -> bool:
    """Return whether the first image among DICOM files is a radiograph or another single image, by its Modality."""
    from benchmark.images.readers.dicom_tags import modality

    modalities = (modality(below.path(file)) for file in files[:FEWEST])
    return next((name for name in modalities if name not in ("", "SR", "PR", "KO", "DOC")), "") in PLANAR


def _kind(name: str) -> str:
    ending = ending_of(name)
    if ending in VOLUMES:
        return "volumes"
    if ending in ARRAYS:
        return "arrays"
    return "flat images" if ending in READERS and ending not in DICOM else ""


def _unit(name: str, files: list[str]) -> Unit:
    if files == [name]:
        *folders, last = plain(name).split("/")
        return Unit(name, tuple(folders), last)
    return Unit(name, () if name == "." else tuple(name.split("/")), "")


def _ending_with(kind: str, files: dict[str, list[str]], ending: str) -> dict[str, list[str]]:
    if ending.lower() in DICOM_KINDS:
        return files if kind in DICOM_KINDS[ending.lower()] else {}
    return {name: listed for name, listed in files.items() if listed[0].lower().endswith(ending.lower())}


def _nothing(root: Path, ending: str, below: Walk) -> MissingDataError:
    seen = "".join(f"; {what}" for what in below.remarks())
    return MissingDataError(
        f"{root} holds no image{f' that ends in {ending}' if ending else ''}{seen}",
        f"put files there that end in {', '.join(READERS)}, or DICOM folders",
    )


def _mixed(root: Path, kinds: Mapping[str, Mapping[str, list[str]]]) -> BadDataError:
    counts = ", ".join(f"{len(files)} {kind}" for kind, files in kinds.items())
    answers = [f"ending={_answer(kind, kinds)}" for kind in kinds]
    return BadDataError(
        f"{root} mixes kinds of files: {counts}",
        f"choose one: {' or '.join(f'--set-data {answer}' for answer in answers)}",
    )


def _answer(kind: str, kinds: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the value of the option ending that chooses a kind: its most frequent ending, or a word for DICOM."""
    words = [word for word, chosen in DICOM_KINDS.items() if [other for other in kinds if other in chosen] == [kind]]
    endings = Counter(ending_of(listed[0]) for listed in kinds[kind].values())
    return words[0] if words else endings.most_common(1)[0][0]
