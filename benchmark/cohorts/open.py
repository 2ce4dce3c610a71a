"""A data set by name and options: its configuration, and the cohort that it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.cohorts.ingest import prepared_folder
from benchmark.cohorts.locate import locate
from benchmark.cohorts.prepare import prepare, split_stored
from benchmark.cohorts.splits import SplitKind
from benchmark.cohorts.store import open_stored
from benchmark.core.files import require_layout
from benchmark.core.options import Selection, build
from benchmark.core.progress import Log
from benchmark.core.types import Cohort, Dataset, HasReports, captioned
from benchmark.plugins import registry
from benchmark.plugins.guard import plugin_call
from benchmark.plugins.registry import DatasetCard


class DataConfig(Selection):
    """Which data set is read, with which options, and how its patients are split."""

    root: Path | None = None
    """The folder with its files; none looks in the default places."""
    image_size: int | None = None
    """Pixels (voxels) per side; none takes the preset's."""
    channels: str | None = None
    """Names of some channels, with commas."""
    split: SplitKind = "patients"
    split_seed: int = 0
    """Orders the patients: part of the cohort and of the protocol, and no business of a run's seed."""
    train_items: int | None = None
    """Train on so many items only; the held-out splits stay."""
    train_patients: int | None = None
    """Train on so many patients only; the held-out splits stay."""
    repeat: int = 1
    """How often the images of some training patients are in the training set: duplication as a factor of a study."""
    repeat_share: float = 0.1
    """Share of the training patients whose images are repeated."""
    trained_on: str | None = None
    """Whom a model made elsewhere has seen: `split` (this split's training patients), or a CSV file that lists them."""
    exclude: Path | None = None
    """A CSV file of items to leave out."""
    strict: bool = False
    """Refuse a data set of which anything cannot be used."""


def build_dataset(config: DataConfig, preset_size: int | None = None) -> tuple[DatasetCard, Dataset]:
    """Return the card and the configured data set. Raises UsageError, AdapterError.

    `preset_size` is the image size of a model's preset, for a data set that has sizes and was given none.
    """
    card = registry.find_dataset(config.name)
    cls = registry.load_class("datasets", card)
    return card, build(
        cls, _options(config, cls, preset_size), what=f"data set {card.name}", given_as="--set-data {}=..."
    )


def item_dimensions(card: DatasetCard, dataset: Dataset) -> int:
    """Return 2 or 3: as the options of the data set say, else as its card does."""
    return int(getattr(dataset, "dimensions", card.dimensions))


def open_cohort(config: DataConfig, card: DatasetCard, dataset: Dataset, *, cache: Path, log: Log) -> Cohort:
    """Find the files of a data set, and prepare them or open the cache. Raises as `locate` and `prepare` do."""
    require_layout(cache, "cache", ("cohorts", "detectors"))
    root = locate(card, dataset, root=config.root, cache=cache)
    cohort = prepare(
        card.name, dataset, root, cache,
        split_seed=config.split_seed, train_items=config.train_items, train_patients=config.train_patients,
        split=config.split,
        trained_on=listed_training(config),
        exclude=config.exclude, strict=config.strict, log=log,
    )  # fmt: skip
    if not isinstance(dataset, HasReports):
        return cohort
    with plugin_call(f"data set {card.name}", "reports"):
        return captioned(cohort, dataset.reports(root))


def open_prepared(config: DataConfig, card: DatasetCard, dataset: Dataset, root: Path, *, cache: Path) -> Cohort | None:
    """Return the cohort where the cache has its items, else nothing. Decodes no image, and writes nothing.

    Raises as `open_cohort` does.
    """
    folder = prepared_folder(card.name, dataset, root, cache)
    stored = open_stored(folder) if folder else None
    if stored is None:
        return None
    return split_stored(
        card.name, dataset, root, stored,
        split_seed=config.split_seed, train_items=config.train_items, train_patients=config.train_patients,
        split=config.split,
        trained_on=listed_training(config), exclude=config.exclude,
    )  # fmt: skip


def listed_training(config: DataConfig) -> Path | None:
    """Return the list of training patients that a configuration names, if it names one."""
    return None if config.trained_on in (None, "split") else Path(str(config.trained_on))


def _options(config: DataConfig, dataset_class: type[Any], preset_size: int | None) -> dict[str, Any]:
    """Return the data set's options: given ones first, then the preset's size where the data set has sizes."""
    options = dict(config.options)
    if config.channels:
        options["channels"] = config.channels
    if config.image_size:
        options["image_size"] = config.image_size
    elif preset_size and "image_size" in getattr(dataset_class, "__dataclass_fields__", {}):
        options.setdefault("image_size", preset_size)
    return options
