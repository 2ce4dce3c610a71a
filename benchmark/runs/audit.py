"""An audit: training, held-out and synthetic images in three folders, and what the synthetic ones give away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.cohorts.full_size import opener
from benchmark.cohorts.given_split import GivenSplit, cohort_of, every_item
from benchmark.cohorts.ingest import prepare_items
from benchmark.core.devices import search_devices
from benchmark.core.errors import UsageError
from benchmark.core.files import require_layout
from benchmark.core.options import build
from benchmark.core.progress import Log, progress, to_stderr
from benchmark.core.types import Cohort, Dataset, Split
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import fit_detector
from benchmark.detectors.registry import Choice, choose
from benchmark.evaluation.exposure import possible_for, possible_scores
from benchmark.evaluation.protocol import Outcome, evaluate
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.evaluation.verdict import Verdict, judge
from benchmark.images.readers import read_image
from benchmark.metrics.detectable import detectable
from benchmark.plugins.registry import find_dataset, load_class
from benchmark.runs.run import what_can_be_shown

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.cohorts.store import Stored
    from benchmark.core.types import Score

FAST = "pixels:transforms=flips,rotations,shifts"
"""Needs no training: finds what was copied as it is, flipped, shifted by 5 % or rotated by up to 10 degrees."""
DEEP = ("copy",)
"""Trained on the real images: finds copies that were altered more."""
LARGEST = {2: 128, 3: 48}
"""Pixels per side at which images are compared, by dimensions, unless a size is given; suspects are then compared at
their own size."""
SEED = 0


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The question of an audit."""

    train: Path
    heldout: Path
    synthetic: Path
    options: Mapping[str, Any]
    """Of the data set `folder`, such as `group_pattern`."""
    image_size: int | None = None
    quick: bool = False
    """Leave out the detectors that are trained."""
    must_see: float = 0.01
    fail_above: float | None = None
    device: str = "auto"
    search_memory: int = 2 * 2**30
    cache: Path = Path("cache")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The answer."""

    verdict: Verdict
    outcomes: dict[str, Outcome]
    suspects: pd.DataFrame
    """One row per suspect (`evaluation.suspects`)."""
    cohort: Cohort
    synthetic: Split
    possible: dict[str, Score]
    notes: tuple[str, ...]
    full_size: FullSize


def audit(config: AuditConfig, *, log: Log = to_stderr) -> Audit:
    """Compare the synthetic images with the training images, with the held-out ones as the control.

    Raises UsageError for a question that cannot be answered as it is put, and BenchError for files and machine.
    """
    devices = search_devices(config.device)
    _require_folders(config)
    require_layout(config.cache, "cache", ("cohorts", "detectors"))
    options = grid_options(config)
    dataset = _dataset(options)
    given = GivenSplit(dataset=dataset, train=config.train, heldout=config.heldout)
    _ask(given, _dataset(options | {"group_pattern": ""}), config, log)
    stored = prepare_items("audit", given, given.root, config.cache, log=log)
    cohort = cohort_of("audit", given, stored)
    made = prepare_items("synthetic", _dataset(_each(options)), config.synthetic, config.cache, log=log)
    synthetic = every_item("synthetic", made)
    log(what_can_be_shown(possible_for(cohort, len(synthetic)), len(synthetic)))
    outcomes = {}
    for choice in map(choose, (FAST,) if config.quick else (FAST, *DEEP)):
        outcomes[choice.name] = _searched(choice, cohort, synthetic, config, devices, log)
    full_size = FullSize(opener(made, synthetic), opener(stored, cohort.real))
    matches = {name: outcome.matches for name, outcome in outcomes.items()}
    suspects = list_suspects(matches, synthetic, cohort.real, full_size)
    possible = possible_scores(possible_for(cohort, len(synthetic)))
    verdict = judge(
        {name: outcome.scores for name, outcome in outcomes.items()}, possible["detectable.share"],
        samples=len(synthetic), suspects=len(suspects), unread=_unread(made), must_see=config.must_see,
        fail_above=config.fail_above,
    )  # fmt: skip
    return Audit(
        verdict=verdict, outcomes=outcomes, suspects=suspects, cohort=cohort, synthetic=synthetic, possible=possible,
        notes=(*cohort.notes, *(f"synthetic: {what}: {len(names)}" for what, names in made.remarks.items() if names)),
        full_size=full_size,
    )  # fmt: skip


def _searched(
    choice: Choice, cohort: Cohort, synthetic: Split, config: AuditConfig, devices: tuple[str, ...], log: Log
) -> Outcome:
    fitted = fit_detector(choice, cohort, cache=config.cache, device=config.device, log=log)
    with progress(f"search {choice.name}", 6) as advance:
        searching = Searching(devices, config.search_memory, None, partial(_tell, advance))
        outcome = evaluate(
            fitted.detector, bank_of(cohort, fitted), fitted.embed(synthetic), kept=fitted.folder, seed=SEED,
            searching=searching, advance=advance,
        )  # fmt: skip
    log(f"{choice.name}: {int(np.sum(outcome.matches['withhold']))} of {len(synthetic)} synthetic images to withhold")
    return outcome


def _tell(advance: Any, text: str) -> None:
    advance(0, note=text)


def _require_folders(config: AuditConfig) -> None:
    for option in ("train", "heldout", "synthetic"):
        folder: Path = getattr(config, option)
        if not folder.is_dir():
            raise UsageError(f"--{option} names {folder}, which is no folder", "give the folder of the images")
    places = {option: getattr(config, option).resolve() for option in ("train", "heldout", "synthetic")}
    for first, one in places.items():
        for second, other in places.items():
            if first != second and one.is_relative_to(other):
                raise UsageError(f"--{first} lies in --{second}: {one}", "give three folders, none in another")


def _dataset(options: Mapping[str, Any]) -> Dataset:
    card = find_dataset("folder")
    made: Dataset = build(
        load_class("datasets", card), dict(options), what="data set folder", given_as="--set-data {}=..."
    )
    return made


def _each(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which the synthetic images are read: they have no patients."""
    return {name: value for name, value in options.items() if name not in ("group_pattern", "table")}


def grid_options(config: AuditConfig) -> dict[str, Any]:
    """Return the options of the grid on which all images are compared: slices or volumes, and how many pixels."""
    options = dict(config.options)
    one = {name: _first(folder, options) for name, folder in (("training", config.train), ("synthetic", config.synthetic))}
    dimensions = {name: len(shape) for name, shape in one.items()}
    if dimensions["synthetic"] > dimensions["training"]:
        raise UsageError(
            f"the synthetic images are volumes {one['synthetic']}, and the training images planes {one['training']}",
            "give training images of the same kind",
        )
    if "items" not in options and dimensions["synthetic"] == 3:
        options["items"] = "volumes"
    largest = LARGEST[3 if options.get("items") in ("volumes", "patches") else 2]
    size = config.image_size or min(largest, -(-max(one["training"][:3]) // 8) * 8)
    return options | {"image_size": max(8, size)}


def _first(folder: Path, options: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of the first image of a folder; a DICOM series is (rows, columns, planes)."""
    sources = _dataset(_each(options)).sources(folder)
    files = sources[0].files
    shape = read_image(files[0], constant_ok=True).pixels.shape
    return (*shape, len(files)) if len(files) > 1 else shape


def _ask(given: GivenSplit, each: Dataset, config: AuditConfig, log: Log) -> None:
    """Say what is compared, and refuse in the first seconds what cannot be answered."""
    sources = given.sources(given.root)
    patients = {side: len({one.subject for one in sources if one.group == side}) for side in ("train", "heldout")}
    counts = {side: sum(one.group == side for one in sources) for side in patients}
    samples = len(each.sources(config.synthetic))
    log(
        f"compared: {counts['train']} training images of {patients['train']} patients, {counts['heldout']} held-out "
        f"images of {patients['heldout']} patients, {samples} synthetic images"
    )
    possible = detectable(patients["train"], patients["heldout"], samples)
    if possible.patients is None:
        raise UsageError(f"this question has no answer: {possible.reason}", "add what is missing, or leave out --heldout")


def _unread(made: Stored) -> int:
    return sum(len(names) for what, names in made.remarks.items() if what.startswith("left out"))
