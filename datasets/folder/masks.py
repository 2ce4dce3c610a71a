"""Which images are segmentations of others: by the names of their folders, or of the files next to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .words import MASKS, is_class, is_container, is_split, is_view

if TYPE_CHECKING:
    from .layout import Unit

_MASK = re.compile(r".*(masks?|segmentations?|segm?|groundtruth)")
"""The last part of a name: `lungmask`, `brainseg`."""
_HINT = re.compile("|".join(sorted(MASKS)), re.IGNORECASE)
_SEPARATOR = re.compile(r"[-_. ]+")


def masks_among(units: Sequence[Unit]) -> list[str]:
    """Return the names of the segmentations: in a folder of masks next to another folder or file, or by file name."""
    places = {(unit.folders, bool(unit.stem)) for unit in units}
    others = {folders[:depth] for folders, is_file in places for depth in _depths_of_images(folders, is_file)}
    masked = {folders for folders, _ in places if any(folders[:depth] in others for depth in _depths_of_masks(folders))}
    names = {unit.name for unit in units if unit.folders in masked}
    rest: dict[tuple[str, ...], list[Unit]] = {}
    for unit in units:
        if unit.name not in names and unit.stem:
            rest.setdefault(unit.folders, []).append(unit)
    names.update(name for listed in rest.values() for name in _by_file_name(listed))
    return [unit.name for unit in units if unit.name in names]


def is_mask_folder(name: str) -> bool:
    """Return whether a folder holds segmentations: `masks`, `labelsTr`, `train_masks`."""
    return name.lower() in MASKS or _SEPARATOR.split(name.lower())[-1] in MASKS


def _depths_of_masks(folders: tuple[str, ...]) -> list[int]:
    return [depth for depth, folder in enumerate(folders) if is_mask_folder(folder)]


def _depths_of_images(folders: tuple[str, ...], is_file: bool) -> list[int]:
    """Return at which depths an image is not in a folder of masks: next to one there, it is what was segmented.

    At the top, its folder must be named as one of images, a class or a patient: `label` and `nolabel` are classes.
    """
    masks = _depths_of_masks(folders)
    first = masks[0] if masks else len(folders) + is_file
    return [depth for depth in range(first) if depth or not folders or _holds_images(folders[0])]


def _holds_images(folder: str) -> bool:
    named = is_container(folder) or is_split(folder) or is_view(folder) or is_class(folder)
    return named or any(map(str.isdigit, folder))


def _by_file_name(units: Sequence[Unit]) -> list[str]:
    """Return segmentations of one folder: named as another file with a word such as mask behind or before it."""
    likely = [unit for unit in units if _HINT.search(unit.stem)]  # few are: splitting all names is slow
    bases = {unit.name: base for unit in likely if (base := _base(unit.stem)) is not None}
    images = [unit.stem.lower() for unit in units if unit.name not in bases] if bases else []
    parts = {_SEPARATOR.sub(" ", part) for stem in images for part in ("", *_starts(stem), *_ends(stem))}
    return [name for name, base in bases.items() if base in parts or _person(base) in parts]


def _base(stem: str) -> str | None:
    """Return the name of what was segmented, its parts separated by spaces; nothing where no word says mask."""
    parts = [part for part in _SEPARATOR.split(stem.lower()) if part]
    while len(parts) > 2 and parts[-1].isdigit() and parts[-2] in MASKS:
        parts.pop()  # x_mask_1
    if not parts:
        return None
    if parts[-1] in MASKS or _MASK.fullmatch(parts[-1]):
        return " ".join(parts[:-1])
    return " ".join(parts[1:]) if parts[0] in MASKS else None


def _starts(stem: str) -> list[str]:
    return [stem, *(stem[: match.start()] for match in _SEPARATOR.finditer(stem))]


def _ends(stem: str) -> list[str]:
    return [stem, *(stem[match.end() :] for match in _SEPARATOR.finditer(stem))]


def _person(base: str) -> str:
    """Return the first part of a name if it holds a number: `sub-01` is one part."""
    match = re.match(r"(?:sub )?\S*\d\S*", base)
    return match[0] if match else base
