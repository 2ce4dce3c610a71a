"""The configuration of a run: read from a TOML file or the command line, and resolved into classes and defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.adapters.isolation.model import IsolatedModel
from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.cohorts.open import DataConfig, build_dataset, item_dimensions
from benchmark.cohorts.repeats import require_repeats
from benchmark.cohorts.splits import require_one_size
from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write, cache_folder
from benchmark.core.options import Selection, suggest
from benchmark.core.types import Dataset
from benchmark.detectors.registry import Choice, choose_all
from benchmark.plugins import registry
from benchmark.plugins.public_names import declared_name, public_name
from benchmark.plugins.registry import DatasetCard, ModelCard, Preset
from benchmark.runs.watch_options import require_watchable, watch_options


class ModelConfig(Selection):
    """Which model, at which preset, with which hyper-parameters."""

    preset: str = "smoke"


class RunConfig(BaseModel):
    """Everything that decides a run, and where it runs. The same names in run.toml and on the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig
    data: DataConfig
    samples: int | None = None
    """How many synthetic images to draw; none takes the preset's number."""
    detectors: tuple[Selection, ...] = ()
    """Detectors besides those of the protocol, such as `pixels:foreground=true`."""
    seed: int = 0
    """Seed of training and sampling: runs that differ in it alone are replicates."""
    budget_seconds: float | None = None
    """End training after so long."""
    watch: str | None = None
    """Look at the model while it trains, every so many steps (`500`) or such a share of the training (`5%`)."""
    watch_budget: str | None = None
    """Share of the training time that samples for this may take; none takes 10%."""
    stop_when: str | None = None
    """`exposed`: end training when training patients are exposed, and keep the network from before."""
    variant: str = ""
    """Ends the name of the run folder: a sweep so keeps runs apart that share a training, with other samples or
    detectors."""
    device: str = "auto"
    trackers: tuple[str, ...] = ()
    """Trackers besides TensorBoard: wandb, mlflow, trackio. They change no result, and no key."""
    search_memory: float = 2.0
    """GiB that a search may take."""
    runs: Path = Path("runs")
    cache: Path = Field(default_factory=cache_folder)
    """Prepared cohorts and detectors; in the user's cache, unless $MEMOBENCH_CACHE names another folder."""

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str) -> Self:
        """Check nested values as TOML has them; `source` names them in messages. Raises UsageError."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _refusal(cls, error, source) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file. Raises UsageError naming the file and what is wrong in it."""
        return cls.of(read_toml(path), str(path))

    def write(self, path: Path) -> None:
        """Write a TOML file that `read` takes; settings without a value are left out."""
        import tomli_w

        values = self.model_dump(mode="json", exclude_none=True)
        with atomic_write(path) as temporary:
            temporary.touch(mode=0o600)  # it may name patients, in paths and patterns
            temporary.write_text(tomli_w.dumps(values), encoding="utf-8")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; `model = "vae"` means the same as a table [model] with that name.

    Raises UsageError where the file is missing or no TOML.
    """
    values = parse_toml(path)
    short = {name: values[name] for name in ("model", "data") if isinstance(values.get(name), str)}
    return values | {name: dict(Selection.parse(text, what=name)) for name, text in short.items()}


def parse_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file as they are. Raises UsageError where the file is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", "write one with: bench run ... --write-config run.toml") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}", "correct it, or write a new one") from error


def overridden(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with those of the command line on top; what was not given (None) changes nothing.

    Raises UsageError for a value where a table belongs: merged over, it would be lost without a word.
    """
    merged = dict(values)
    for name, value in given.items():
        if isinstance(value, Mapping):
            below = merged.get(name, {})
            if not isinstance(below, Mapping):
                raise UsageError(
                    f"the configuration gives {name} = {below!r}, where a table of settings belongs",
                    "write its settings below a heading, such as [model] or [model.options]",
                )
            merged[name] = overridden(below, value)
        elif value is not None:
            merged[name] = value
    return merged


def _refusal(model: type[BaseModel], error: ValidationError, source: str) -> UsageError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        known = _known(model, place[:-1])
        return UsageError(
            f"{source}: there is no setting {'.'.join(place)!r}",
            f"{suggest(place[-1], known)}known here: {', '.join(known)}",
        )
    if first["type"] == "missing":
        return UsageError(f"{source}: {'.'.join(place)} is missing", "name it there or on the command line")
    return UsageError(
        f"{source}: {'.'.join(place)} does not fit: {first['msg']}", "`bench run --help` lists every setting"
    )


def _known(model: type[BaseModel], place: list[str]) -> list[str]:
    """Return the names of the settings at a place, such as `data`, or `detectors`, `0` in a list."""
    for part in (name for name in place if not name.isdigit()):
        annotation = model.model_fields[part].annotation
        below = next(iter(get_args(annotation)), annotation)
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            return []
        model = below
    return list(model.model_fields)


@dataclass(frozen=True)
class Resolved:
    """A configuration with its classes, cards and defaults filled in."""

    config: RunConfig
    model: ModelCard
    model_class: ModelClass
    adapter: IsolatedModel
    data: DatasetCard
    dataset: Dataset
    samples: int
    detectors: tuple[Choice, ...]
    """Those of the protocol, then those asked for."""

    @property
    def settings(self) -> dict[str, Any]:
        """Every hyper-parameter, defaults included."""
        return self.adapter.settings

    @property
    def public_model(self) -> str:
        """The model's name in public files."""
        return public_name("models", self.model, self.model_class.public_name)

    @property
    def public_data(self) -> str:
        """The data set's name in public files."""
        return public_name("datasets", self.data, declared_name(type(self.dataset)))


def model_class_of(config: RunConfig) -> ModelClass:
    """Return the stand-in for the class of the model; its process is not told where data set and cache are."""
    hidden = [config.cache, *([config.data.root] if config.data.root else [])]
    return ModelClass(registry.find_model(config.model.name), hidden)


def resolve(config: RunConfig) -> Resolved:
    """Find model and data set, and check every option before anything is read or trained. Raises UsageError."""
    model_class = model_class_of(config)
    data = registry.find_dataset(config.data.name)
    model_class.start()  # it imports the model while this process looks at the data
    model = model_class.card
    preset = _preset(model, config.model.preset)
    dimensions = item_dimensions(data, build_dataset(config.data)[1])
    volumes = dimensions == 3
    if dimensions not in model.dimensions:
        takes = " or ".join(f"{count}D" for count in model.dimensions)
        raise UsageError(
            f"{model.name} takes {takes} items, {data.name} has {dimensions}D items",
            "choose another model: `bench models` lists their dimensions",
        )
    if config.search_memory <= 0:
        raise UsageError(f"--search-memory {config.search_memory:g} GiB is none", "give a number above 0, such as 2")
    settings = preset.set | (preset.volumes if volumes else {}) | config.model.options
    require_one_size(config.data.train_items, config.data.train_patients)
    require_repeats(config.data.repeat, config.data.repeat_share)
    _, dataset = build_dataset(config.data, preset.volume_size if volumes else preset.image_size)
    adapter = model_class.build(settings)
    if watch_options(config):
        require_watchable(model.name, adapter)
    return Resolved(
        config=config,
        model=model,
        model_class=model_class,
        adapter=adapter,
        data=data,
        dataset=dataset,
        samples=_positive(preset.samples if config.samples is None else config.samples),
        detectors=choose_all(config.detectors),
    )


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
