"""The question of an audit, checked in the first seconds: folders, kinds of images, sizes, patients, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.options import build
from benchmark.core.progress import to_stderr
from benchmark.images.readers import read_image
from benchmark.images.walk import ending_of
from benchmark.metrics.detectable import detectable
from benchmark.plugins.registry import find_dataset, load_class

if TYPE_CHECKING:
    from benchmark.cohorts.given_split import GivenSplit
    from benchmark.core.progress import Log
    from benchmark.core.types import Dataset, Source
    from benchmark.metrics.competition import Spending

LARGEST = {2: 128, 3: 32}
"""Pixels per side at which images are compared, by dimensions, unless a size is given; suspects are then compared at
their own size."""
TRIED = 20
"""Files of which one must be readable."""
DROPPING = ("band", "content")
"""Options of the data set that leave out slices."""
MULTIPLE, SMALLEST = 8, 8
"""Sides that every detector takes."""


def require_folders(folders: Mapping[str, Path | None]) -> None:
    """Raise UsageError unless the folders of the options exist, and none is in another one."""
    given = {option: folder for option, folder in folders.items() if folder is not None}
    for option, folder in given.items():
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise UsageError(f"--{option} names {folder}, which {what}", "give the folder of the images")
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
    kept = {name: value for name, value in options.items() if name not in ("group_pattern", "table", "columns")}
    return kept | {"group_pattern": "none"}


def whole_folders(options: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return options that drop no file and no slice, of which a copy would not be seen; say which are not used.

    A model is often trained on some slices only. Whoever compares all of them searches more, never less.
    """
    dropped = [name for name in DROPPING if name in options]
    if dropped:
        log(f"{' and '.join(dropped)}: not used in an audit, which compares all slices of a volume")
    return {"ending": "any"} | {name: value for name, value in options.items() if name not in DROPPING}


def grid_options(
    train: Path, synthetic: Path, options: Mapping[str, Any], image_size: int | None, log: Log = to_stderr
) -> dict[str, Any]:
    """Return the options of the grid on which all images are compared: slices or volumes, and how many pixels.

    Volumes are compared as volumes, unless there are planes as well. What is not background fills the grid: a model
    pads and resizes its training images, and writes its own without their spacing.

    Raises UsageError for training images that are planes where the synthetic ones are volumes.
    """
    real, made = shapes(train, options), shapes(synthetic, options)
    deepest, other = max(made, key=len), max(real, key=len)
    if len(deepest) > len(other):
        raise UsageError(
            f"the synthetic images are volumes, such as {_size(deepest)}, and the training images planes, such as "
            f"{_size(other)}",
            "give training volumes; if a file holds many planes, save each plane as a file of its own",
        )
    sides = {"--train": real, "--synthetic": made}
    if mixed := [side for side, listed in sides.items() if len(set(map(len, listed))) > 1]:
        log(f"{' and '.join(mixed)}: planes and volumes, which are compared slice by slice")
    flat = any(len(shape) == 2 for shape in (*real, *made))
    items = options.get("items") or ("slices" if flat else "volumes")
    largest = LARGEST[3 if items in ("volumes", "patches") else 2]
    longest = max(side for shape in real for side in shape)
    size = image_size or min(largest, max(SMALLEST, -(-longest // MULTIPLE) * MULTIPLE))
    return {"fit": "fill", "aspect": "fill"} | dict(options) | {"items": items, "image_size": size}


def shapes(folder: Path, options: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """Return the shape of the first image of each type of file; that of a DICOM series is (rows, columns, planes).

    A broken file is skipped here: the audit names it. Raises the error of the first file where none can be read.
    """
    by_type: dict[tuple[str, bool], list[Source]] = {}
    for source in image_folder(without_patients(options)).sources(folder):
        by_type.setdefault((ending_of(source.files[0]), len(source.files) > 1), []).append(source)
    tried = [_first_shape(sources) for sources in by_type.values()]
    readable = [shape for shape in tried if not isinstance(shape, BadDataError)]
    if not readable:
        raise next(error for error in tried if isinstance(error, BadDataError))
    return readable


def _first_shape(sources: Sequence[Source]) -> tuple[int, ...] | BadDataError:
    """Return the first shape, or the first error where TRIED files are broken."""
    errors = []
    for source in sources[:TRIED]:
        try:
            shape = tuple(read_image(source.files[0], constant_ok=True).pixels.shape)
        except BadDataError as error:
            errors.append(error)
        else:
            return (*shape, len(source.files)) if len(source.files) > 1 else shape
    return errors[0]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def ask(given: GivenSplit, for_synthetic: Dataset, synthetic: Path, spending: Spending, log: Log) -> None:
    """Say what is compared with what; raise UsageError where so few patients or images can show nothing.

    `spending` is the error of each detector's interval (`competition.divided`).
    """
    sources = given.sources(given.root)
    patients = {side: len({one.subject for one in sources if one.group == side}) for side in ("train", "heldout")}
    counts = {side: sum(one.group == side for one in sources) for side in patients}
    samples = len(for_synthetic.sources(synthetic))
    held = f"{counts['heldout']} held-out images of {patients['heldout']} patients, " if given.heldout else ""
    log(
        f"compared: {counts['train']} training images of {patients['train']} patients, {held}{samples} synthetic images"
    )
    possible = detectable(patients["train"], patients["heldout"], samples, spending=spending)
    if given.heldout and possible.patients is None:
        raise UsageError(
            f"this question has no answer: {possible.reason}",
            "add patients, or leave out --heldout: then only nearly identical copies are looked for",
        )
