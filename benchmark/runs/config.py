"""A run as it was asked for, and with its cards, classes and defaults filled in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.cohorts.locate import locate
from benchmark.cohorts.prepare import prepare
from benchmark.cohorts.splits import SplitRule
from benchmark.core.errors import UsageError
from benchmark.core.options import build
from benchmark.core.progress import Say
from benchmark.core.types import Cohort, Dataset, HasReports, ModelAdapter, captioned
from benchmark.detectors.registry import Choice, choose_all
from benchmark.plugins import registry
from benchmark.plugins.registry import DatasetCard, ModelCard, Preset


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    model: str
    data: str
    preset: str = "smoke"
    root: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Hyper-parameters given with --set."""
    image_size: int | None = None
    channels: str | None = None
    data_settings: dict[str, Any] = field(default_factory=dict)
    """Options of the data set given with --set-data."""
    split: SplitRule = "patients"
    train_items: int | None = None
    exclude: Path | None = None
    """A list of items to leave out."""
    strict: bool = False
    """Refuse a data set of which anything cannot be used."""
    samples: int | None = None
    detectors: tuple[str, ...] = ()
    """Beside those of the protocol."""
    seed: int = 0
    budget_seconds: float | None = None
    device: str = "auto"
    search_gib: float = 2.0
    """Memory that a search may take."""
    runs: Path = Path("runs")
    cache: Path = Path("cache")


@dataclass(frozen=True)
class Resolved:
    """A request with its cards, classes and defaults filled in."""

    request: Request
    model: ModelCard
    model_class: type[ModelAdapter]
    adapter: ModelAdapter
    data: DatasetCard
    dataset: Dataset
    samples: int
    detectors: tuple[Choice, ...]
    """Those of the protocol, then those asked for."""

    @property
    def settings(self) -> dict[str, Any]:
        """Every hyper-parameter, defaults included."""
        return asdict(self.adapter)  # type: ignore[call-overload, no-any-return]


def resolve(request: Request) -> Resolved:
    """Find model and data set, and check every option before anything is read or trained. Raises UsageError."""
    model, data = registry.find_model(request.model), registry.find_dataset(request.data)
    preset = _preset(model, request.preset)
    dimensions = item_dimensions(data, build_dataset(request)[1])
    volumes = dimensions == 3
    if dimensions not in model.dimensions:
        takes = " or ".join(f"{count}D" for count in model.dimensions)
        raise UsageError(
            f"{model.name} takes {takes} items, {data.name} has {dimensions}D items",
            "choose another model: `bench models` lists their dimensions",
        )
    if request.search_gib <= 0:
        raise UsageError(f"--search-memory {request.search_gib:g} GiB is none", "give a number above 0, such as 2")
    settings = preset.set | (preset.volumes if volumes else {}) | request.settings
    model_class = registry.load_class("models", model)
    _, dataset = build_dataset(request, preset.volume_size if volumes else preset.image_size)
    return Resolved(
        request=request,
        model=model,
        model_class=model_class,
        adapter=build(model_class, settings, what=f"model {model.name}"),
        data=data,
        dataset=dataset,
        samples=_positive(preset.samples if request.samples is None else request.samples),
        detectors=choose_all(request.detectors),
    )


def build_dataset(request: Request, preset_size: int | None = None) -> tuple[DatasetCard, Dataset]:
    """Return the card and the configured data set of a request. Raises UsageError, AdapterError."""
    card = registry.find_dataset(request.data)
    cls = registry.load_class("datasets", card)
    return card, build(cls, data_options(request, cls, preset_size), what=f"data set {card.name}")


def item_dimensions(card: DatasetCard, dataset: Dataset) -> int:
    """Return 2 or 3: as the options of the data set say, else as its card does."""
    return int(getattr(dataset, "dimensions", card.dimensions))


def open_cohort(request: Request, card: DatasetCard, dataset: Dataset, say: Say) -> Cohort:
    """Find the files of a data set, and prepare them or open the cache. Raises as `locate` and `prepare` do."""
    root = locate(card, dataset, root=request.root, cache=request.cache)
    cohort = prepare(
        card.name, dataset, root, request.cache,
        seed=request.seed, train_items=request.train_items, split=request.split,
        exclude=request.exclude, strict=request.strict, say=say,
    )  # fmt: skip
    return captioned(cohort, dataset.reports(root)) if isinstance(dataset, HasReports) else cohort


def data_options(request: Request, dataset_class: type[Any], preset_size: int | None) -> dict[str, Any]:
    """Return the data set's options: given ones first, then the preset's size where the data set has sizes."""
    options = dict(request.data_settings)
    if request.channels:
        options["channels"] = request.channels
    if request.image_size:
        options["image_size"] = request.image_size
    elif preset_size and "image_size" in getattr(dataset_class, "__dataclass_fields__", {}):
        options.setdefault("image_size", preset_size)
    return options


def _preset(model: ModelCard, name: str) -> Preset:
    if name in model.presets:
        return model.presets[name]
    if not model.presets:
        return Preset()
    raise UsageError(f"{model.name} has no preset {name!r}", f"it has: {', '.join(model.presets)}")


def _positive(samples: int) -> int:
    if samples < 2:
        raise UsageError(
            f"{samples} samples were asked for", "at least 2 are needed; a share of 1 % needs some hundreds"
        )
    return samples
