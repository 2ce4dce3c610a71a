"""The question of an audit, checked in the first seconds: folders, kinds of images, sizes, patients, power."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.options import build
from benchmark.images.readers import read_image
from benchmark.metrics.detectable import detectable
from benchmark.plugins.registry import find_dataset, load_class

if TYPE_CHECKING:
    from benchmark.cohorts.given_split import GivenSplit
    from benchmark.core.progress import Log
    from benchmark.core.types import Dataset

LARGEST = {2: 128, 3: 32}
"""Pixels per side at which images are compared, by dimensions, unless a size is given; suspects are then compared at
their own size."""
TRIED = 20
"""Files of which one must be readable."""
MULTIPLE, SMALLEST = 8, 8
"""Sides that every detector takes."""


def require_folders(folders: Mapping[str, Path | None]) -> None:
    """Raise UsageError unless the folders of the options exist, and none is in another one."""
    given = {option: folder for option, folder in folders.items() if folder is not None}
    for option, folder in given.items():
        if not folder.is_dir():
            raise UsageError(f"--{option} names {folder}, which is no folder", "give the folder of the images")
    places = {option: folder.resolve() for option, folder in given.items()}
    for option, place in places.items():
        for other, around in places.items():
            if option != other and place.is_relative_to(around):
                raise UsageError(
                    f"--{option} {folders[option]} is in --{other} {folders[other]}",
                    "give folders of which none is in another",
                )


def require_shares(must_see: float, fail_above: float | None) -> None:
    """Raise UsageError for shares that are none: a comparison with NaN would be an all-clear."""
    if not 0 < must_see <= 1:
        raise UsageError(f"--must-see {must_see:g} is no share of images", "give more than 0 and at most 1")
    if fail_above is not None and not 0 <= fail_above <= 1:
        raise UsageError(f"--fail-above {fail_above:g} is no share of images", "give 0 to 1")


def require_outside(written: Mapping[str, Path | None], inputs: Mapping[str, Path]) -> None:
    """Raise UsageError where a folder that is written is in one of the images: the next audit would read its files."""
    for option, folder in written.items():
        for given, images in inputs.items():
            if folder is not None and folder.resolve().is_relative_to(images.resolve()):
                raise UsageError(
                    f"--{option} {folder} is in --{given} {images}, and what is written there would count as images",
                    f"give a folder outside: --{option} FOLDER",
                )


def image_folder(options: Mapping[str, Any]) -> Dataset:
    """Return the data set that reads any folder of images. Raises UsageError for its options."""
    card = find_dataset("folder")
    dataset: Dataset = build(
        load_class("datasets", card), dict(options), what="data set folder", given_as="--set-data {}=..."
    )
    return dataset


def without_patients(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which synthetic images are read: they are of no patient."""
    kept = {name: value for name, value in options.items() if name not in ("group_pattern", "table")}
    return kept | {"group_pattern": "none"}


def grid_options(train: Path, synthetic: Path, options: Mapping[str, Any], image_size: int | None) -> dict[str, Any]:
    """Return the options of the grid on which all images are compared: slices or volumes, and how many pixels.

    Volumes are compared as volumes, unless the synthetic images are planes. What is not background fills the grid: a
    model pads and resizes its training images, and writes its own without their spacing.

    Raises UsageError for training images that are planes where the synthetic ones are volumes.
    """
    real, made = first_shape(train, options), first_shape(synthetic, options)
    if len(made) > len(real):
        raise UsageError(
            f"the synthetic images are volumes, such as {_size(made)}, and the training images planes, such as "
            f"{_size(real)}",
            "give training volumes; if a file holds many planes, save each plane as a file of its own",
        )
    items = options.get("items") or ("volumes" if len(made) == 3 else "slices")
    largest = LARGEST[3 if items in ("volumes", "patches") else 2]
    size = image_size or min(largest, max(SMALLEST, -(-max(real) // MULTIPLE) * MULTIPLE))
    return {"fit": "fill", "aspect": "fill"} | dict(options) | {"items": items, "image_size": size}


def first_shape(folder: Path, options: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of the first image of a folder; that of a DICOM series is (rows, columns, planes).

    A broken file is skipped here: the audit names it. Raises the error of the first file where TRIED are broken.
    """
    errors = []
    for source in image_folder(without_patients(options)).sources(folder)[:TRIED]:
        try:
            shape = tuple(read_image(source.files[0], constant_ok=True).pixels.shape)
        except BadDataError as error:
            errors.append(error)
        else:
            return (*shape, len(source.files)) if len(source.files) > 1 else shape
    raise errors[0]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def ask(given: GivenSplit, for_synthetic: Dataset, synthetic: Path, log: Log) -> None:
    """Say what is compared with what; raise UsageError where so few patients or images can show nothing."""
    sources = given.sources(given.root)
    patients = {side: len({one.subject for one in sources if one.group == side}) for side in ("train", "heldout")}
    counts = {side: sum(one.group == side for one in sources) for side in patients}
    samples = len(for_synthetic.sources(synthetic))
    held = f"{counts['heldout']} held-out images of {patients['heldout']} patients, " if given.heldout else ""
    log(
        f"compared: {counts['train']} training images of {patients['train']} patients, {held}{samples} synthetic images"
    )
    possible = detectable(patients["train"], patients["heldout"], samples)
    if given.heldout and possible.patients is None:
        raise UsageError(
            f"this question has no answer: {possible.reason}",
            "add patients, or leave out --heldout: then only nearly identical copies are looked for",
        )
