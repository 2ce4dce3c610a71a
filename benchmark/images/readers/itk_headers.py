"""Text headers of MetaImage and NRRD: what must be known before SimpleITK opens the files that they name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.core.errors import BadDataError
from benchmark.images.readers.limits import AGAIN, DEFLATE, require_companion

LONGEST = 2**20
"""Bytes of a header; those of real files have a few thousand."""
ANYTHING = 2**40
"""Expansion of compressions without a useful bound (bzip2); `limits.limit` still holds."""
TEXT = 4
"""Bytes per byte of numbers written as text: `0 ` may be a float64."""
ENCODINGS = {"raw": 1, "hex": 1, "txt": TEXT, "text": TEXT, "ascii": TEXT, "gz": DEFLATE, "gzip": DEFLATE}
BLANK = " \t\r"
NEED_NDIMS = ("TransformMatrix", "Offset", "CenterOfRotation", "ElementSpacing", "DimSize", "Position", "Orientation")
ONE_SIZE = tuple(f"MET_{kind}" for kind in ("CHAR", "UCHAR", "SHORT", "USHORT", "INT", "UINT", "FLOAT", "DOUBLE"))
"""MetaImage's types that have the same number of bytes on every computer."""
MATRICES = ("TransformMatrix", "Rotation", "Orientation")
"""MetaImage's names of the directions."""
ITK_AXES = ("RAI", "LPS")
"""AnatomicalOrientation of axes to the left, the back and the head, by where they come from and by where they go."""
INTENSITY = ("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset")
DOMAINS = ("domain", "space", "???", "none")
"""NRRD's kinds of an axis along which pixels are neighbours."""
MILLIMETRES = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "micron": 0.001, "microns": 0.001, "": 1.0}
"""NRRD's space units, in mm."""
SPACES = ("right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps")
"""Spaces of NRRD whose axes are those of the patient, and which ITK converts."""


@dataclass(frozen=True)
class BinaryVoxels:
    """Voxels of a MetaImage as one block of bytes."""

    offset: int
    """Bytes before the first; below 0, they are the last of the file."""
    compressed: bool
    big_endian: bool


@dataclass(frozen=True)
class Layout:
    """Where the voxels of a file are."""

    files: tuple[Path, ...]
    """With the voxels; the header's own where they follow it."""
    expansion: int
    """Bytes that one of theirs can expand to."""
    voxels: BinaryVoxels | None = None
    """How they are stored in the one file, where this is known here; else SimpleITK knows."""
    unit_mm: float = 1.0
    sized: bool = True
    """Whether the header gives the size of a voxel; SimpleITK takes 1 mm where it does not."""
    oriented: bool = True
    """Whether the axes are said to be those of the patient."""
    assumed: bool = False
    """Whether ITK's directions are used because the file has none."""
    scale: tuple[float, float] = (1.0, 0.0)
    """Slope and intercept from numbers as stored to intensities."""


def layout(path: Path) -> Layout:
    """Return the layout of a MetaImage or NRRD file. Raises BadDataError for a header that is damaged or not allowed.

    A header may name files of its own folder, and below it, only: others could be any file of this computer.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        return _nrrd(start, path)
    return _metaimage(start, path)


def _metaimage(start: bytes, path: Path) -> Layout:
    fields, place = _metaimage_fields(start, path)
    _require_sizes(re.split(r"\s+", fields.get("ElementSpacing", "1")), path)
    names = _metaimage_names(fields["ElementDataFile"], start[place:].decode("latin-1"))
    files = _companions(names, path)
    packed, binary = _is_true(fields, "CompressedData"), _is_true(fields, "BinaryData", "True")
    voxels = None
    if binary and len(files) == 1 and len(names) < 2 and fields.get("ElementType") in ONE_SIZE:
        try:
            skipped = int(fields.get("HeaderSize", 0))
        except ValueError:
            raise BadDataError(*damage(path)) from None
        msb = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
        voxels = BinaryVoxels(skipped if skipped < 0 or names else place, packed, msb)
    return Layout(
        files,
        DEFLATE if packed else 1 if binary else TEXT,
        voxels,
        sized="ElementSpacing" in fields or "ElementSize" in fields,
        assumed=not any(name in fields for name in MATRICES) and fields.get("AnatomicalOrientation") not in ITK_AXES,
        scale=_intensity_scale(fields, path),
    )


def _intensity_scale(fields: dict[str, str], path: Path) -> tuple[float, float]:
    """Return slope and intercept of a MetaImage, which SimpleITK ignores. Raises BadDataError."""
    try:
        slope, intercept = (float(fields.get(name, usual)) for name, usual in zip(INTENSITY, "10", strict=True))
    except ValueError:
        raise BadDataError(*damage(path)) from None
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope):
        raise BadDataError(*damage(path))
    return slope, intercept


def _metaimage_fields(start: bytes, path: Path) -> tuple[dict[str, str], int]:
    """Return the fields of a header by name, and where it ends."""
    fields: dict[str, str] = {}
    place = 0
    while "ElementDataFile" not in fields:
        end = start.find(b"\n", place)
        line = start[place : end if end >= 0 else len(start)].decode("latin-1")
        name, sign, value = line.partition("=")
        if (end < 0 and name.strip(BLANK) != "ElementDataFile") or (line.strip() and not sign):
            raise BadDataError(*damage(path))
        fields[name.strip(BLANK)] = value.strip(BLANK)
        place = end + 1 if end >= 0 else len(start)
    if not _is_complete(fields):
        raise BadDataError(*damage(path))
    return fields, place


def _is_complete(fields: dict[str, str]) -> bool:
    """Return whether SimpleITK finds the size and the type; otherwise it prints four lines before it gives up."""
    names = list(fields)
    if fields.get("NDims") not in ("2", "3", "4", "5"):
        return False
    if any(name in NEED_NDIMS for name in names[: names.index("NDims")]):
        return False
    sizes = re.fullmatch(r"[0-9]+([ \t]+[0-9]+)*", fields.get("DimSize", ""))
    typed = re.fullmatch(r"MET_U?(CHAR|SHORT|INT|LONG|LONG_LONG|FLOAT|DOUBLE)(_ARRAY)?", fields.get("ElementType", ""))
    return typed is not None and sizes is not None and len(sizes[0].split()) == int(fields["NDims"])


def _is_true(fields: dict[str, str], name: str, usual: str = "False") -> bool:
    return fields.get(name, usual)[:1] in ("T", "t", "1")


def _metaimage_names(data: str, rest: str) -> list[str]:
    """Return the files that ElementDataFile names; none where the voxels follow the header."""
    if data.lower() == "local":
        return []
    if data.lower().startswith("list"):
        return [line.strip() for line in rest.splitlines() if line.strip()]
    return [data.partition(" ")[0] if "%" in data else data]


def _nrrd(start: bytes, path: Path) -> Layout:
    text = re.split(r"\r?\n\r?\n", start.decode("latin-1"), maxsplit=1)[0]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    if not lines or not lines[0].startswith("NRRD"):
        raise BadDataError(*damage(path))
    # A header that goes over into pixels ends the process in the library's parser.
    if any(not character.isprintable() and character != "\t" for line in lines for character in line):
        raise BadDataError(*damage(path))
    fields = {name.strip().lower(): value.strip() for name, sign, value in (line.partition(": ") for line in lines)}
    data = fields.get("data file", fields.get("datafile", ""))
    names = [data] if data else []
    if data.upper().startswith("LIST"):
        names = lines[[":" in line and line.lower().startswith("data") for line in lines].index(True) + 1 :]
    elif "%" in data:
        names = [data.partition(" ")[0]]
    directions = fields.get("space directions", "")
    if "none" in directions:
        raise BadDataError(
            f"{path} has an axis without a direction in space ({directions}), one grey volume is needed",
            "split it into one file per volume",
        )
    _require_sizes(re.split(r"\s+", fields["spacings"]) if "spacings" in fields else [], path)
    _require_domains(fields, path)
    expansion = ENCODINGS.get(fields.get("encoding", "raw").lower(), ANYTHING)
    oriented = bool(directions) and fields.get("space", "").lower() in SPACES
    unit = _unit(fields.get("space units") or fields.get("units", ""), path)
    return Layout(
        _companions(names, path),
        expansion,
        unit_mm=unit,
        sized=bool(directions or "spacings" in fields),
        oriented=oriented,
    )


def _require_domains(fields: dict[str, str], path: Path) -> None:
    """Raise BadDataError for what SimpleITK would call damage: lists of images, and bzip2."""
    kinds = [kind for kind in fields.get("kinds", "").split() if kind.lower() not in DOMAINS]
    if kinds:
        raise BadDataError(
            f"{path} has an axis of kind {kinds[0]}, one grey volume is needed", "split it into one file per volume"
        )
    if fields.get("encoding", "").lower() in ("bz2", "bzip2"):
        raise BadDataError(f"{path} is packed with bzip2, which is not read", "save it with gzip, or unpacked")


def _unit(text: str, path: Path) -> float:
    """Return the millimetres of a file's unit of length, which is one for all axes."""
    units = {unit.strip().lower() for unit in re.findall(r'"([^"]*)"', text)} or {""}
    if len(units) > 1 or not units <= MILLIMETRES.keys():
        raise BadDataError(
            f"{path} has the space units {text}, a length in m, cm, mm or um is needed",
            "write the same unit for all axes, such as mm",
        )
    return MILLIMETRES[units.pop()]


def _require_sizes(texts: list[str], path: Path) -> None:
    for text in texts:
        try:
            size = float(text)
        except ValueError:
            raise BadDataError(*damage(path)) from None
        if not 0 < size < float("inf"):
            raise BadDataError(
                f"{path} has voxels of {' x '.join(texts)} mm: a size is above 0",
                "convert the original again, or leave it out",
            )


def _companions(names: list[str], path: Path) -> tuple[Path, ...]:
    """Return the files that a header names, or the header's own file where it names none."""
    files = _named(names, path)
    for file in files:
        require_companion(file, path)
    return files


def _named(names: list[str], path: Path) -> tuple[Path, ...]:
    for name in names:
        given = PurePosixPath(name.replace("\\", "/"))
        if given.is_absolute() or ".." in given.parts or ":" in name:
            raise BadDataError(
                f"{path} names the file {name}, which is not in its folder", "copy it there, and write its name only"
            )
        if "%" not in name and not (path.parent / given).exists():
            raise BadDataError(f"{path} is a header, and its file {name} is missing", "copy header and voxels again")
    if any("%" in name for name in names):
        folder = (path.parent / names[0]).parent
        return tuple(file for file in sorted(folder.iterdir()) if file.is_file() and file != path)
    return tuple(path.parent / name.replace("\\", "/") for name in names) or (path,)


def damage(path: Path) -> tuple[str, str]:
    """Return message and hint of a file that cannot be read."""
    return f"{path} is truncated or damaged: its header or its voxels cannot be read", AGAIN
