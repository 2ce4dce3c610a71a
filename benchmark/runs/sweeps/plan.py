"""The plan of a sweep: its cells, which of them are done or declined, and where each has its run folder.

Nothing is trained and no pixel is read. Each model with its settings is resolved once, each data set is listed once,
and each training set is split once: a cell itself costs a lookup.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.cohorts.ingest import prepared_folder
from benchmark.cohorts.locate import locate
from benchmark.cohorts.open import DataConfig, listed_training
from benchmark.cohorts.prepare import split_stored
from benchmark.cohorts.store import open_stored
from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.files import content_key
from benchmark.core.source_digest import remembered_digests
from benchmark.core.types import Cohort, Embedded
from benchmark.detectors.registry import choose
from benchmark.plugins import registry
from benchmark.runs.config import ModelConfig, Resolved, RunConfig, resolve
from benchmark.runs.run_folders import has_record, run_place
from benchmark.runs.stage_keys import finished_stages
from benchmark.runs.sweeps.axes import ADAPTIVE, ALL, DATA_AXES, NONE, Axes, join_lists
from benchmark.runs.sweeps.cells import Cell, CellOutcome, Value
from benchmark.runs.trained_on import require_fair_list

if TYPE_CHECKING:
    from benchmark.cohorts.store import Stored

Point = Mapping[str, Value]
"""Value of a cell on each axis."""


@dataclass(frozen=True)
class Plan:
    """The cells of a sweep, each with what is known of it before the sweep."""

    axes: Axes
    outcomes: tuple[CellOutcome, ...]
    """One per cell: `planned`, `cached` or `declined`."""
    joined: int
    """Points of the axes that describe a run which another cell is already."""
    unprepared: tuple[str, ...]
    """Data sets that the cache does not hold yet: whether their cells are cached is not known."""

    def of_state(self, state: str) -> list[CellOutcome]:
        """Return the cells of this state."""
        return [outcome for outcome in self.outcomes if outcome.state == state]


def make_plan(axes: Axes) -> Plan:
    """Return the cells of these axes. Raises UsageError for a value that no model and no data set of the sweep takes.

    A value that one model or data set takes and another does not is a declined cell there.
    """
    _require_names(axes)
    joined_axes = join_lists(axes, _list_settings(axes))
    with remembered_digests():
        planner = Planner(joined_axes)
        _require_settings(joined_axes, planner)
        outcomes = list(planner.cells())
    if outcomes and all(outcome.state == "declined" for outcome in outcomes):
        raise UsageError(f"no cell of this sweep can run: {outcomes[0].error}", "`bench models` lists what models take")
    return Plan(joined_axes, tuple(outcomes), planner.joined, tuple(sorted(planner.unprepared)))


@dataclass
class Planner:
    """Makes the cells of a sweep one after the other, and remembers what several of them share."""

    axes: Axes
    joined: int = 0
    unprepared: set[str] = field(default_factory=set)
    _models: dict[Any, Resolved | UsageError] = field(default_factory=dict)
    _data: dict[Any, DataConfig] = field(default_factory=dict)
    _stored: dict[str, tuple[Path | None, Stored | None]] = field(default_factory=dict)
    _cohorts: dict[str, Cohort | UsageError | None] = field(default_factory=dict)

    def cells(self) -> Iterator[CellOutcome]:
        """Yield each cell once, numbered in the order of the axes."""
        seen: set[str] = set()
        names = tuple(self.axes.values)
        for values in itertools.product(*self.axes.values.values()):
            point = dict(zip(names, values, strict=True))
            outcome, identity = self._cell(point, len(seen))
            if identity in seen:
                self.joined += 1
                continue
            seen.add(identity)
            yield outcome

    def _cell(self, point: Point, index: int) -> tuple[CellOutcome, str]:
        """Return a cell with its state, and what is equal for cells that are one run."""
        data = self.data_of(point)
        resolved = self.model_of(point, data)
        if isinstance(resolved, UsageError):
            return self._declined(point, index, self._config(point, self._model_config(point), data), resolved)
        resolved = self._at(resolved, point, data)
        cohort = self.cohort_of(resolved)
        if isinstance(cohort, UsageError):
            return self._declined(point, index, resolved.config, cohort)
        cell = Cell(index, point, resolved.config)
        if cohort is None:
            return CellOutcome(cell, "planned"), str(run_place(resolved, resolved.data.name, _data_identity(resolved)))
        folder = resolved.config.runs / run_place(resolved, cohort.name, cohort.key)
        done = _done(resolved, cohort, folder)
        return CellOutcome(cell, "cached" if done else "planned", folder), str(folder)

    def _declined(self, point: Point, index: int, config: RunConfig, error: UsageError) -> tuple[CellOutcome, str]:
        cell = Cell(index, point, config)
        return CellOutcome(cell, "declined", error=error.message), content_key("declined", dict(point))

    def model_of(self, point: Point, data: DataConfig) -> Resolved | UsageError:
        """Return the model of a cell with the settings of its axes, or why it declines; resolved once per model."""
        sized = data.model_copy(update={"train_items": None, "train_patients": None, "repeat": 1})
        key = (*(point.get(name) for name in ("model", "preset", "augmentation", *self.axes.settings)), id(data))
        if self.axes.control == "equal-steps":  # training size and repetitions decide nothing of the model
            key = (*key[:-1], sized.model_dump_json())
        if key not in self._models:
            self._models[key] = self._resolved(point, data)
        return self._models[key]

    def _resolved(self, point: Point, data: DataConfig) -> Resolved | UsageError:
        try:
            resolved = resolve(self._config(point, self._model_config(point), data))
            require_fair_list(resolved)
            settings = _augmented(resolved, point)
            if self.axes.control == "equal-epochs":
                settings |= self._equal_epochs(resolved, point)
            if not settings:
                return resolved
            chosen = resolved.config.model
            options = {**chosen.options, **settings}
            model = ModelConfig(name=chosen.name, preset=chosen.preset, options=options)
            return resolve(resolved.config.model_copy(update={"model": model}))
        except UsageError as error:
            return error

    def _model_config(self, point: Point) -> ModelConfig:
        chosen = ModelConfig.parse(str(point["model"]), what="model")
        options = {name.removeprefix("model."): point[name] for name in self.axes.settings}
        preset = str(point.get("preset", chosen.preset))
        return ModelConfig(name=chosen.name, preset=preset, options={**chosen.options, **options})

    def data_of(self, point: Point) -> DataConfig:
        """Return the data of a cell: one object for all cells with the same."""
        own = [name for name in self.axes.values if name in DATA_AXES or name.startswith("data.")]
        key = tuple(point[name] for name in own)
        if key not in self._data:
            chosen = DataConfig.parse(str(point["data"]), what="data set")
            options = {name.removeprefix("data."): point[name] for name in own if name.startswith("data.")}
            given = {name: point[name] for name in own if name in DATA_AXES[1:] and point[name] != ALL}
            fixed = {
                name.removeprefix("data."): value
                for name, value in self.axes.fixed.items()
                if name.startswith("data.") and value is not None
            }
            values = {"name": chosen.name, "options": {**chosen.options, **options}, **given, **fixed}
            self._data[key] = DataConfig.model_validate(values)
        return self._data[key]

    def _config(self, point: Point, model: ModelConfig, data: DataConfig) -> RunConfig:
        """Return the configuration of a cell; objects that cells share stay shared, which keeps 10,000 cells small."""
        detectors = tuple(self.axes.fixed.get("detectors") or ())
        if point.get("detector", NONE) != NONE:
            detectors = (*detectors, str(point["detector"]))
        given = {name: point[name] for name in ("samples", "seed", "budget_seconds") if name in point}
        fixed = {name: value for name, value in self.axes.fixed.items() if "." not in name and name != "detectors"}
        return RunConfig.model_validate({**fixed, **given, "model": model, "data": data, "detectors": detectors})

    def _at(self, resolved: Resolved, point: Point, data: DataConfig) -> Resolved:
        """Return a resolved model at the seed, samples, detectors and training data of a cell."""
        config = self._config(point, resolved.config.model, data)
        preset = resolved.model.presets.get(config.model.preset, registry.Preset())
        samples = preset.samples if config.samples is None else config.samples
        variant = _variant(config, samples if samples != preset.samples else None)
        config = config.model_copy(update={"variant": variant})
        return replace(resolved, config=config, samples=samples)

    def cohort_of(self, resolved: Resolved) -> Cohort | UsageError | None:
        """Return the cohort of a cell, split once per training set; none where the cache does not hold its images."""
        key = _data_identity(resolved)
        if key not in self._cohorts:
            try:
                self._cohorts[key] = self._split(resolved)
            except UsageError as error:
                self._cohorts[key] = error
        return self._cohorts[key]

    def _split(self, resolved: Resolved) -> Cohort | None:
        config, data = resolved.config, resolved.config.data
        root, stored = self._stored_of(resolved)
        if stored is None or root is None:
            self.unprepared.add(resolved.data.name)
            return None
        return split_stored(
            resolved.data.name, resolved.dataset, root, stored, split_seed=data.split_seed,
            train_items=data.train_items, train_patients=data.train_patients, split=data.split,
            trained_on=listed_training(config.data), exclude=data.exclude,
        )  # fmt: skip

    def _stored_of(self, resolved: Resolved) -> tuple[Path | None, Stored | None]:
        """Return the folder of a data set and its prepared images, looked up once. Raises MissingDataError."""
        config = resolved.config
        key = content_key(resolved.data.entry, _options(resolved), str(config.data.root), str(config.cache))
        if key not in self._stored:
            self._stored[key] = _prepared(resolved)
        return self._stored[key]

    def _equal_epochs(self, resolved: Resolved, point: Point) -> dict[str, Any]:
        """Return the steps at which each image is seen as often as with the largest training size of the sweep."""
        axis = next(name for name in ("train_items", "train_patients") if name in self.axes.varied)
        sizes = [self._size(resolved, {**point, axis: value}) for value in self.axes.values[axis]]
        share = self._size(resolved, point) / max(sizes)
        return {
            name: max(1, round(value * share))
            for name, value in resolved.settings.items()
            if (name == "steps" or name.endswith("_steps")) and not name.startswith("sampl")
        }

    def _size(self, resolved: Resolved, point: Point) -> int:
        """Return the number of training images at a point of the axes, each counted once."""
        size = point.get("train_items")
        if isinstance(size, int):
            return size
        data = self.data_of(point)
        cohort = self.cohort_of(replace(resolved, config=resolved.config.model_copy(update={"data": data})))
        if isinstance(cohort, UsageError):
            raise cohort
        if cohort is None:
            raise MissingDataError(
                f"equal epochs need the number of training images, and {resolved.data.name} is not prepared yet",
                f"prepare it: bench datasets check {resolved.data.name}; or give every size as a number of items",
            )
        return len(cohort.train)


def _require_names(axes: Axes) -> None:
    """Raise UsageError for a model, data set or detector that does not exist, MissingDataError for absent data."""
    for text in axes.values["model"]:
        registry.find_model(ModelConfig.parse(str(text), what="model").name)
    for text in axes.values["data"]:
        registry.find_dataset(DataConfig.parse(str(text), what="data set").name)
    for text in axes.values.get("detector", ()):
        if text != NONE:
            choose(str(text))


def _model_classes(axes: Axes) -> list[ModelClass]:
    names = [ModelConfig.parse(str(text), what="model").name for text in axes.values["model"]]
    return [ModelClass(registry.find_model(name)) for name in names]


def _list_settings(axes: Axes) -> frozenset[str]:
    """Return the hyper-parameters of a sweep that are lists in one of its models."""
    classes = _model_classes(axes)
    lists = {option.name for cls in classes for option in cls.options if option.takes_list}
    return frozenset(name for name in axes.settings if name.removeprefix("model.") in lists)


def _require_settings(axes: Axes, planner: Planner) -> None:
    """Raise UsageError for a hyper-parameter that no model of the sweep has."""
    classes = _model_classes(axes)
    for name in axes.settings:
        plain = name.removeprefix("model.")
        if not any(plain in {option.name for option in cls.options} for cls in classes):
            classes[0].build({plain: axes.values[name][0]})


def _augmented(resolved: Resolved, point: Point) -> dict[str, Any]:
    """Return the settings of a cell's augmentation. Raises UsageError where the model does not have it."""
    if "augmentation" not in point:
        return {}
    name, cls = str(point["augmentation"]), resolved.model_class
    without = cls.without_adaptive
    own = "augment" in {option.name for option in cls.options}
    if name == ADAPTIVE:
        if not without:
            raise UsageError(f"{resolved.model.name} has no adaptive augmentation", "it is for GANs")
        return {}
    if own:
        return {**without, "augment": name}
    if name == "none":
        return without
    raise UsageError(
        f"{resolved.model.name} does not train on augmented images", "it has no setting `augment`: leave it out"
    )


def _variant(config: RunConfig, samples: int | None) -> str:
    """Return the end of a run folder's name where samples or detectors are not the preset's."""
    parts = [f"samples-{samples}"] if samples is not None else []
    if config.detectors:
        parts.append(f"detectors-{content_key([one.text for one in config.detectors], length=8)}")
    return "-".join(parts)


def _data_identity(resolved: Resolved) -> str:
    """Return a digest of all that decides a cohort."""
    data = resolved.config.data.model_dump(mode="json", exclude={"repeat", "repeat_share", "strict", "image_size"})
    return content_key(resolved.data.entry, _options(resolved), data, str(resolved.config.cache))


def _options(resolved: Resolved) -> dict[str, Any]:
    return asdict(resolved.dataset)  # type: ignore[call-overload, no-any-return]


def _prepared(resolved: Resolved) -> tuple[Path | None, Stored | None]:
    config = resolved.config
    if isinstance(resolved.dataset, Embedded):  # `locate` would write its files
        root = config.data.root or config.cache / "embedded" / resolved.data.name
        if not root.is_dir():
            return None, None
    else:
        root = locate(resolved.data, resolved.dataset, root=config.data.root, cache=config.cache)
    try:
        folder = prepared_folder(resolved.data.name, resolved.dataset, root, config.cache)
    except MissingDataError:
        if isinstance(resolved.dataset, Embedded):  # half written: the run finishes it
            return None, None
        raise
    return root, open_stored(folder) if folder else None


def _done(resolved: Resolved, cohort: Cohort, folder: Path) -> bool:
    """Whether a run folder has every stage of a cell, and the record that its run wrote.

    A run that was killed before it entered its record, or an earlier version that entered none, leaves a record that no
    reader accepts: the cell runs again, which skips its stages and writes the record.
    """
    return has_record(folder) and all(finished_stages(resolved, cohort, folder).values())
