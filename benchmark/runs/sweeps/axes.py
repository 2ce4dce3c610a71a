"""Axes of a sweep: what varies and over which values, from a TOML file, from the command line, or from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from benchmark.core.errors import UsageError
from benchmark.core.options import as_text, suggest
from benchmark.images.augmentations import AUGMENTATIONS
from benchmark.runs.sweeps.cells import Value

Control = Literal["equal-steps", "equal-epochs"]

ALL = "all"
"""Training size that takes every training patient."""
NONE = "none"
"""Value of the axis `detector` for the protocol's detectors alone."""
ADAPTIVE = "ada"
"""Value of the axis `augmentation` for the adaptive augmentation of a GAN's discriminator."""

MODEL_AXES = ("model", "preset", "augmentation")
DATA_AXES = (
    "data", "image_size", "channels", "split", "split_seed", "train_items", "train_patients", "repeat", "repeat_share",
)  # fmt: skip
RUN_AXES = ("samples", "detector", "budget_seconds", "seed")
AXES = (*MODEL_AXES, *DATA_AXES, *RUN_AXES)
"""Axes by name, besides hyper-parameters (by their name) and options of the data set (`data.NAME`)."""
WHOLE = ("image_size", "split_seed", "train_items", "train_patients", "repeat", "samples", "seed")
FRACTIONS = ("repeat_share", "budget_seconds")
SIZES = ("train_items", "train_patients")

FIXED = ("device", "search_memory", "runs", "cache", "detectors")
FIXED_DATA = ("root", "exclude", "strict", "trained_on")
"""Settings of all cells: they have one value each. `detectors` are those of every cell, `detector` is an axis."""


@dataclass(frozen=True)
class Axes:
    """What a sweep varies, and what all of its cells have in common."""

    values: Mapping[str, tuple[Value, ...]]
    """Values of each axis that was given, in its order; one value is the same for all cells."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Settings of FIXED and FIXED_DATA (as `data.root`)."""
    control: Control = "equal-steps"
    """What stays the same between training sizes: the steps, or how often each image is seen."""

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the axes with more than one value."""
        return tuple(name for name, values in self.values.items() if len(values) > 1)

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the hyper-parameters among the axes."""
        return tuple(name for name in self.values if name not in AXES and not name.startswith("data."))

    def document(self) -> dict[str, Any]:
        """Return nested values for a TOML file that `read_axes` reads as these axes."""
        model: dict[str, Any] = {"name": list(self.values["model"])}
        data: dict[str, Any] = {"name": list(self.values["data"])}
        top: dict[str, Any] = {"control": self.control}
        for name, values in self.values.items():
            if name in AXES and name not in ("model", "data"):
                top[name] = list(values)
            elif name.startswith("data."):
                data.setdefault("options", {})[name.removeprefix("data.")] = list(values)
            elif name not in AXES:
                model.setdefault("options", {})[name.removeprefix("model.")] = list(values)
        for name, value in self.fixed.items():
            place = data if name.startswith("data.") else top
            place[name.removeprefix("data.")] = value
        return top | {"model": model, "data": data}


def make_axes(values: Mapping[str, Any], source: str) -> Axes:
    """Return the axes that flat values (see `flat`) describe. Raises UsageError for what contradicts itself."""
    given = dict(values)
    control = given.pop("control", "equal-steps")
    if control not in get_args(Control):
        raise UsageError(f"{source}: there is no control {control!r}", f"choose one of {', '.join(get_args(Control))}")
    for name in ("model", "data"):
        if not given.get(name):
            raise UsageError(f"no {name} was named", f"give --{name} NAME, or --config with a file that names it")
    fixed = {name: given.pop(name) for name in list(given) if name in FIXED or name in _fixed_data()}
    axes = Axes({name: _values(name, given[name]) for name in _ordered(given)}, fixed, control)
    _refuse_contradictions(axes)
    return axes


def flat(nested: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the values of a file by axis: `model.options.steps` becomes `steps`, `data.root` stays `data.root`.

    Raises UsageError for a name that is neither an axis nor a setting.
    """
    values: dict[str, Any] = {}
    for name, value in nested.items():
        if name in ("model", "data") and isinstance(value, Mapping):
            values |= _table(name, value, source)
        elif name in (*AXES, *FIXED, "control", "steps"):
            values[name] = value
        else:
            raise _unknown(name, (*AXES, *FIXED, "control", "steps"), source)
    return values


def option_values(text: str) -> list[str]:
    """Return the values that a text of the command line lists: separated by semicolons, else by commas.

    A semicolon at its end keeps the commas of one value.
    """
    parts = text.split(";") if ";" in text else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def setting_name(name: str) -> str:
    """Return the axis of a hyper-parameter: its name, or `model.NAME` where another axis has this name."""
    return f"model.{name}" if name in AXES else name


def join_lists(axes: Axes, lists: frozenset[str]) -> Axes:
    """Return the axes with hyper-parameters that are lists themselves (`lists`) as one value: widths=32,64 is one.

    Several such values are written as lists of lists, or with semicolons, and hold a comma each.
    """

    def joined(name: str, values: tuple[Value, ...]) -> tuple[Value, ...]:
        if name not in lists or any("," in str(value) for value in values):
            return values
        return (",".join(as_text(value) for value in values),)

    return Axes({name: joined(name, values) for name, values in axes.values.items()}, axes.fixed, axes.control)


def _table(table: str, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    own = MODEL_AXES[1:] if table == "model" else (*DATA_AXES[1:], *FIXED_DATA)
    for name, value in values.items():
        if name == "name":
            result[table] = value
        elif name == "options":
            of_model = table == "model"
            result |= {setting_name(key) if of_model else f"data.{key}": one for key, one in value.items()}
        elif name in own:
            result[f"data.{name}" if name in FIXED_DATA else name] = value
        else:
            raise _unknown(f"{table}.{name}", [f"{table}.{key}" for key in ("name", "options", *own)], source)
    return result


def _unknown(name: str, known: Sequence[str], source: str) -> UsageError:
    return UsageError(
        f"{source}: there is no axis or setting {name!r}", f"{suggest(name, known)}known here: {', '.join(known)}"
    )


def _fixed_data() -> tuple[str, ...]:
    return tuple(f"data.{name}" for name in FIXED_DATA)


def _ordered(given: Mapping[str, Any]) -> list[str]:
    """Model first, seeds last: cells that are replicates of each other follow each other."""
    settings = [name for name in given if name not in AXES]
    return [name for name in (*MODEL_AXES, *settings, *DATA_AXES, *RUN_AXES) if name in given]


def _values(name: str, given: Any) -> tuple[Value, ...]:
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise UsageError(f"the axis {name} has no value", "give one or more, or leave it out")
    return tuple(dict.fromkeys(_value(name, value) for value in values))


def _value(name: str, given: Any) -> Value:
    if isinstance(given, list | tuple):  # one value of a hyper-parameter that is a list; the comma keeps it one
        return as_text(given) + ("," if len(given) == 1 else "")
    if name in (*WHOLE, *FRACTIONS):
        return given if name in SIZES and given == ALL else _number(name, given)
    if name == "augmentation" and given not in (*AUGMENTATIONS, ADAPTIVE):
        raise UsageError(
            f"there is no augmentation {given!r}", f"choose one of {', '.join((*AUGMENTATIONS, ADAPTIVE))}"
        )
    if name in AXES:
        return str(given)
    return _guessed(given) if isinstance(given, str) else given


def _number(name: str, given: Any) -> int | float:
    whole = name in WHOLE
    try:
        number = int(str(given)) if whole else float(str(given))
    except ValueError:
        kind = "a whole number" if whole else "a number"
        more = f", or {ALL}" if name in SIZES else ""
        raise UsageError(f"the axis {name} has the value {given!r}", f"give {kind}{more}") from None
    return number


def _guessed(text: str) -> Value:
    """Return a text of the command line as the number or boolean that a file would have."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _refuse_contradictions(axes: Axes) -> None:
    values, varied = axes.values, axes.varied
    steps = [name for name in varied if name == "steps" or name.endswith("_steps")]
    if axes.control == "equal-epochs" and steps:
        raise UsageError(
            f"equal epochs set the steps of each training size, and the axis {steps[0]} sets them too",
            f"leave one of them out: --control equal-epochs, or the values of {steps[0]}",
        )
    if axes.control == "equal-epochs" and not set(SIZES) & set(varied):
        raise UsageError(
            "equal epochs compare training sizes, and this sweep has one",
            "give several --train-items or --train-patients, or leave --control out",
        )
    if set(SIZES) <= set(values):
        raise UsageError("the training size is given both in items and in patients", "give one of these axes")
    if "augmentation" in values and "augment" in values:
        raise UsageError("augmentation is given twice, as an axis and as the setting `augment`", "give the axis alone")
    if "repeat_share" in values and "repeat" not in values:
        raise UsageError(
            "repeat_share has no effect without repeat", "give --repeat too: how often the images of this share are in"
        )
    if "data.root" in axes.fixed and len(values["data"]) > 1:
        raise UsageError(
            f"one folder (root) is given for {len(values['data'])} data sets",
            "put each at data/NAME, or at $MEMOBENCH_DATA/NAME, and leave root out",
        )
