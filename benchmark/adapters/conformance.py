"""Whether an adapter fulfils its contract (`core.types.ModelAdapter`), tested on toy cohorts: `bench check NAME`.

Each check is one sentence of the contract. A fault names the check, what was observed and what to do.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmark.adapters.conformance_tools import (
    InterruptedTraining,
    checkpoint_steps,
    counted_steps,
    no_network,
    no_warnings_of_training,
    toy_split,
)
from benchmark.adapters.isolation.failures import ProcessEndedError
from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.core.errors import AdapterError, BenchError, DeclinedError, MissingDataError, UsageError
from benchmark.core.options import build, suggest
from benchmark.core.percent import percent
from benchmark.core.progress import Advance, silent
from benchmark.core.types import Budget, HasLoss, HasReconstruction, ModelAdapter, takes_prompts
from benchmark.images.constant import constant
from benchmark.images.sample_checks import check_samples, taken
from benchmark.plugins.registry import ModelCard

if TYPE_CHECKING:
    from benchmark.core.types import Images, Split

COUNT = 5
"""Images drawn at a time: not a multiple of a usual batch size, so that the last batch is smaller."""
CLAMPED = 0.9
"""Share of values at the upper end from which on samples are on another scale."""
COHORTS = {
    "2D, 1 channel": (2, 1),
    "2D, 5 channels": (2, 5),
    "3D, 1 channel": (3, 1),
    "3D, 5 channels": (3, 5),
}
"""Dimensions and channels of the toy cohorts."""


class FaultError(Exception):
    """The contract is broken; the message says what was observed."""


class NotApplicableError(Exception):
    """The check does not apply to the adapter; the message says why."""


@dataclass(frozen=True)
class Finding:
    """The result of one check on one toy cohort."""

    check: str
    cohort: str
    """A key of COHORTS, such as `2D, 5 channels`."""
    status: Literal["ok", "fault", "refused", "not applicable"]
    """`refused`: the adapter raised a UsageError with a hint, as it should for what it cannot do."""
    detail: str = ""


@dataclass(frozen=True)
class Trial:
    """An adapter's class and toy hyper-parameters, one toy cohort, and an empty folder."""

    name: str
    cls: type[Any]
    settings: Mapping[str, Any]
    split: Split
    folder: Path
    device: str

    def new(self) -> ModelAdapter:
        """Return an adapter that has not been trained."""
        adapter: ModelAdapter = build(self.cls, dict(self.settings), what=f"model {self.name}")
        return adapter

    def fitted(self, name: str, split: Split | None = None, budget: Budget | None = None) -> ModelAdapter:
        """Train a new adapter in a folder of this name; a second call with the same name resumes."""
        adapter, folder = self.new(), self.folder / name
        folder.mkdir(exist_ok=True)
        split = self.split if split is None else split
        adapter.fit(split, folder=folder, budget=budget or Budget(), seed=3, device=self.device)
        return adapter


def draw(adapter: ModelAdapter, trial: Trial, seed: int = 7) -> Images:
    """Return COUNT samples, (COUNT, C, *spatial), checked as a run checks them."""
    return taken(adapter.sample(COUNT, seed=seed), slice(0, COUNT), trial.split.shape, trial.name)


def _same(one: Images, other: Images) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def check_adapter(
    card: ModelCard,
    settings: Mapping[str, Any],
    *,
    device: str = "cpu",
    only: Collection[str] = (),
    advance: Advance | None = None,
) -> list[Finding]:
    """Run every check on every toy cohort: 2D and 3D, with 1 and 5 channels.

    The adapter must refuse the dimensions that its card does not list. Those that the class of a file does not list are
    not tried: `bench run` refuses them before the adapter sees an item.

    Raises UsageError and AdapterError where the adapter cannot be built, DeclinedError and MissingDataError where this
    machine lacks something that it needs.

    Args:
        card: of the adapter; `card.toy` has hyper-parameters that train in seconds.
        settings: further hyper-parameters, which replace those of the card.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        only: names of CHECKS to run besides `trains`, on which all others build; all where none is given.
        advance: called with a `note` after each check, and with the number of those that are left out.
    """
    cls = ModelClass(card)
    try:
        return _checked(cls, settings, device, chosen_checks(only), advance)
    finally:
        cls.end()


def _checked(
    cls: ModelClass, settings: Mapping[str, Any], device: str, checks: Collection[str], advance: Advance | None
) -> list[Finding]:
    card = cls.card
    given = cls.whole_paths({**card.toy, **settings})
    cls.build(given)
    findings: list[Finding] = []
    for cohort, (dims, _) in COHORTS.items():
        if cls.declares_dimensions and dims not in card.dimensions:
            detail = f"the class declares dimensions {list(card.dimensions)}"
            cohort_findings, ran = [Finding("trains", cohort, "not applicable", detail)], 0
        else:
            with tempfile.TemporaryDirectory() as folder:
                trial = {"cohort": cohort, "settings": given, "folder": folder, "device": device}
                cohort_findings = _try_all(cls, trial, checks, advance)
            ran = len(cohort_findings)
        if advance:
            advance(len(checks) - ran, note=cohort)
        findings += cohort_findings
    return findings


def chosen_checks(only: Collection[str]) -> dict[str, Callable[[Trial], None]]:
    """Return the checks with these names, and `trains` before them. Raises UsageError for an unknown name."""
    for name in only:
        if name not in CHECKS:
            raise UsageError(f"there is no check {name!r}", f"{suggest(name, CHECKS)}choose from {', '.join(CHECKS)}")
    return {name: check for name, check in CHECKS.items() if not only or name in (*only, "trains")}


def _try_all(
    cls: ModelClass, trial: Mapping[str, Any], checks: Collection[str], advance: Advance | None
) -> list[Finding]:
    """Run the checks in order; stop where one fails on which the others build, so that a fault is not told twice."""
    findings: list[Finding] = []
    dims, dimensions = COHORTS[trial["cohort"]][0], cls.card.dimensions
    for name in checks:
        finding = _asked(cls, name, trial)
        if advance:
            advance(1, note=f"{trial['cohort']}: {name}")
        if name == "trains" and finding.status == "ok" and dims not in dimensions:
            detail = f"the card says dimensions {list(dimensions)}, but {dims}D items were trained on: add {dims}"
            finding = replace(finding, status="fault", detail=detail)
        findings.append(finding)
        if name in ("trains", "range and shape", "seeds") and finding.status != "ok":
            break
    return findings


def _asked(cls: ModelClass, check: str, trial: Mapping[str, Any]) -> Finding:
    """Run a check in the process of the model; one that ends it is at fault."""
    try:
        answer = cls.ask("check", f"the check {check!r}", {"trial": {**trial, "check": check}}, work=True)
    except ProcessEndedError as end:
        return Finding(check, trial["cohort"], "fault", end.message)
    return Finding(**answer.values["answer"]["finding"])


def checked_here(
    cls: type[Any], name: str, *, check: str, cohort: str, settings: Mapping[str, Any], folder: str, device: str
) -> Finding:
    """Run one check in this process, which is that of the model. Raises DeclinedError, MissingDataError."""
    dims, channels = COHORTS[cohort]
    trial = Trial(name, cls, settings, toy_split(channels, dims), Path(folder), device)
    return _try(check, CHECKS[check], trial, cohort)


def _try(name: str, check: Callable[[Trial], None], trial: Trial, cohort: str) -> Finding:
    try:
        with (
            silent(),
            no_warnings_of_training(),
            no_network(lambda host: FaultError(f"it tried to reach {host} over the network: use local weights")),
        ):
            check(trial)
    except (DeclinedError, MissingDataError):
        raise  # not a fault of the adapter: what it needs is not on this machine
    except FaultError as fault:
        return Finding(name, cohort, "fault", str(fault))
    except NotApplicableError as reason:
        return Finding(name, cohort, "not applicable", str(reason))
    except UsageError as refusal:
        if refusal.hint:
            return Finding(name, cohort, "refused", str(refusal))
        return Finding(name, cohort, "fault", f"it refused without a hint: {refusal.message}")
    except SystemExit as stop:
        return Finding(name, cohort, "fault", f"it called sys.exit({stop.code}): return, or raise an error")
    except Exception as error:  # noqa: BLE001  any failure of a plugin is a finding, reported with its type
        return Finding(name, cohort, "fault", f"{type(error).__name__}: {error}{_place(error, trial.cls)}")
    return Finding(name, cohort, "ok")


def _place(error: Exception, cls: type[Any]) -> str:
    """Return ` (model.py, line 31, in fit)`: the innermost line of the model's own file in the stack of an exception.

    Where the file has no line in the stack, it is the innermost line of all.
    """
    stack = traceback.extract_tb(error.__traceback__)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    own = [frame for frame in stack if frame.filename == file]
    frame = (own or stack)[-1]
    return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"


def trains(trial: Trial) -> None:
    """`fit` trains on the split, or refuses it with a UsageError that has a hint."""
    trial.fitted("whole")


def range_and_shape(trial: Trial) -> None:
    """`sample` yields `count` different images of training's shape, finite, in [-1, 1] (not in [0, 1]), float32."""
    adapter = trial.fitted("whole")
    try:
        images = draw(adapter, trial)
    except AdapterError as error:
        raise FaultError(error.message) from error
    if images.dtype != np.float32:
        raise FaultError(f"samples are {images.dtype}: return float32")
    white = float((images >= 1).mean())
    # A model of grey levels 0 to 255 whose samples are clamped to [-1, 1] draws nearly white images. The toy images
    # have 1 % of such pixels; a diverged model's are as often -1 as 1.
    if white > CLAMPED:
        raise FaultError(
            f"{percent(white, 0)} of the values are 1, as of grey levels 0 to 255 that were clamped: "
            "return x / 127.5 - 1"
        )
    if images.min() >= 0:  # the toy items are as often below 0 as above
        raise FaultError("samples have no value below 0, as on the scale [0, 1]: return 2 * x - 1")
    if constant(images).all():
        raise FaultError("every sample is constant, one value everywhere: look at what `sample` does after the network")
    if (images == images[:1]).all():
        raise FaultError("all samples of one call are the same image: draw noise for each of them")


def seeds(trial: Trial) -> None:
    """The same seed gives the same images, another seed gives other images."""
    adapter = trial.fitted("whole")
    once = draw(adapter, trial)
    if not _same(once, draw(adapter, trial)):
        raise FaultError("the same seed drew different images: draw all noise from `seed`")
    if _same(once, draw(adapter, trial, seed=8)):
        raise FaultError("two seeds drew the same images: use `seed`")


def held_out(trial: Trial) -> None:
    """Training twice gives the same model, whatever the held-out items of the cohort are."""
    once = draw(trial.fitted("whole"), trial)
    if not _same(once, draw(trial.fitted("again"), trial)):
        raise FaultError("training twice with one seed made different models: draw all random numbers from `seed`")
    channels, dims = trial.split.shape[0], len(trial.split.shape) - 1
    other = trial.fitted("others", toy_split(channels, dims, held_out=1))
    if not _same(once, draw(other, trial)):
        raise FaultError("other held-out items changed the model: read `split.images()`, never all of `split.pixels`")


def saved(trial: Trial) -> None:
    """A loaded adapter draws the same images as the saved one."""
    adapter, folder = trial.fitted("whole"), trial.folder / "saved"
    folder.mkdir(exist_ok=True)
    adapter.save(folder)
    restored = trial.cls.load(folder, device=trial.device)
    if not _same(draw(adapter, trial), draw(restored, trial)):
        raise FaultError("the loaded model draws other images than the saved one: save all that `sample` needs")


def resumes(trial: Trial) -> None:
    """A training that is interrupted at any step and called again ends with the same model."""
    with counted_steps() as steps:
        whole = draw(trial.fitted("counted"), trial)
    if not steps.count:
        raise NotApplicableError("it trains without optimiser steps in this process")
    # The first step, the middle and the last but one: the usual places of a fault (state that is not saved at the
    # start, random numbers that are not restored, an average that is lost at the end).
    for after in sorted({1, (steps.count + 1) // 2, steps.count - 1} - {0}):
        name = f"cut-{after}"
        # Up to 20 checkpoints before the interruption: one for each of hundreds of steps took most of the time.
        interval = max(1, after // 20)
        with suppress(InterruptedTraining), checkpoint_steps(interval), counted_steps(cut_after=after):
            trial.fitted(name)
        if not _same(whole, draw(trial.fitted(name), trial)):
            raise FaultError(f"interrupted after {after} of {steps.count} steps and resumed, it gave another model")


def budget(trial: Trial) -> None:
    """A spent budget ends training early, with a model that can be sampled."""
    with counted_steps() as all_steps:
        trial.fitted("unlimited")
    if all_steps.count < 3:
        raise NotApplicableError(f"it takes {all_steps.count} optimiser steps in this process")
    with counted_steps() as steps:
        adapter = trial.fitted("limited", budget=Budget(seconds=1e-6))
    if steps.count >= all_steps.count:
        raise FaultError(f"with a budget of a microsecond it took all {steps.count} steps: stop when it is spent")
    draw(adapter, trial)


def abilities(trial: Trial) -> None:
    """`losses` gives a finite number per image; `reconstruct` and prompts give images of the same shape in [-1, 1]."""
    adapter, images = trial.fitted("whole"), trial.split.images()[:COUNT]
    if isinstance(adapter, HasLoss):
        losses = adapter.losses(images, seed=1)
        if losses.shape != (COUNT,) or not np.isfinite(losses).all():
            raise FaultError(f"losses has shape {losses.shape} or is not finite: return ({COUNT},) numbers")
        if not _same(losses, adapter.losses(images, seed=1)):
            raise FaultError("losses differ between two calls with one seed: draw all noise from `seed`")
    if takes_prompts(adapter):
        prompts = ["a lung", "", "___ " * 500, "\u2603", "a lung"]
        images = np.concatenate(list(adapter.sample(COUNT, seed=1, prompts=prompts)))
        check_samples(images, slice(0, COUNT), trial.split.shape, trial.name)
    if isinstance(adapter, HasReconstruction):
        try:
            check_samples(adapter.reconstruct(images), slice(0, COUNT), trial.split.shape, trial.name)
        except AdapterError as error:
            raise FaultError(f"reconstruct: {error.message}") from error


def refusals(trial: Trial) -> None:
    """Prompts (unless the adapter takes them), an empty split and sampling before training are refused with a hint."""
    fitted = trial.fitted("whole")
    empty = replace(trial.split, rows=np.arange(0), subjects=(), items=(), captions=())
    if not takes_prompts(fitted):
        _must_refuse("prompts", lambda: next(fitted.sample(1, seed=0, prompts=["a lung"])))
    _must_refuse("an empty training split", lambda: trial.fitted("empty", empty))
    _must_refuse("sampling before training", lambda: draw(trial.new(), trial))


def _must_refuse(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except BenchError as refusal:
        if not refusal.hint:
            raise FaultError(f"{what}: refused without a hint: {refusal.message}") from None
    except Exception as error:
        raise FaultError(f"{what}: {type(error).__name__}, where a UsageError is expected: {error}") from error
    else:
        raise FaultError(f"{what}: accepted without an error; raise UsageError(message, hint)")


CHECKS: dict[str, Callable[[Trial], None]] = {
    "trains": trains,
    "range and shape": range_and_shape,
    "seeds": seeds,
    "held-out data": held_out,
    "saved and loaded": saved,
    "resumes": resumes,
    "budget": budget,
    "abilities": abilities,
    "refusals": refusals,
}
