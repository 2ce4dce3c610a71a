"""The stages of a run: prepare -> fit -> sample -> evaluate -> record."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cohorts.captions import captioned_units, drawn_prompts
from benchmark.cohorts.open import open_cohort
from benchmark.cohorts.repeats import repeated
from benchmark.core.distributed import leave_world
from benchmark.core.energy import joules, spent
from benchmark.core.errors import BadDataError, DeclinedError, UsageError
from benchmark.core.files import private_folder
from benchmark.core.percent import percent
from benchmark.core.progress import Log, to_stderr
from benchmark.core.public_text import public_options
from benchmark.core.sealed import is_intact, noting, sealed_write, write_sealed_json
from benchmark.core.stages import Stages, exclusive
from benchmark.core.types import Budget, Cohort, Watchable, takes_prompts
from benchmark.detectors.fitting import detector_folder
from benchmark.evaluation.exposure import possible_for
from benchmark.evaluation.prompted import prompted_patients
from benchmark.evaluation.watch import SAMPLES, require_power
from benchmark.runs.config import Resolved, RunConfig, model_class_of, overridden, resolve
from benchmark.runs.run_folders import AGAIN, CONFIG, ENVIRONMENT, MODEL, MODEL_LOG, read_run, run_folder
from benchmark.runs.run_record import environment_of, public_preset, public_spec, write_declined, write_record
from benchmark.runs.shared_training import finished_training, shared_training
from benchmark.runs.stage_keys import configuration_key, evaluate_key_of, fit_key_of, sample_key_of
from benchmark.runs.trained_on import refusal_of, require_fair_list, trained_on
from benchmark.runs.watch_options import watch_options
from benchmark.runs.watching import CURVE, few_looks, watcher_of
from benchmark.training.trackers import Tracked, require_trackers, tracker_settings

if TYPE_CHECKING:
    from benchmark.adapters.isolation.model import IsolatedModel
    from benchmark.cohorts.captions import Prompts
    from benchmark.metrics.detectable import Detectable
    from benchmark.records.record import Spec


def run(config: RunConfig, *, log: Log = to_stderr, wait: bool = False) -> Path:
    """Run all stages and return the run folder; finished stages are skipped. Raises BenchError.

    Where another process is working on the folder, `wait` waits for it and takes what it has finished.
    """
    model_class_of(config).start()
    if _rank() == 0:  # this process imports what it needs later while the other one imports the model
        import_module("benchmark.evaluation.run_evaluation")
    resolved = resolve(config)
    try:
        return _run(resolved, log=log, wait=wait)
    finally:
        resolved.model_class.end()


def _run(resolved: Resolved, *, log: Log, wait: bool) -> Path:
    config = resolved.config
    require_trackers(config.trackers)
    cohort = open_split(resolved, log)
    _require_watch_power(resolved, cohort)
    if _is_text_model(resolved):
        captioned_units(cohort)  # refused before anything is trained
    else:
        log(what_can_be_shown(possible_for(cohort, resolved.samples), resolved.samples))
    folder = run_folder(resolved, cohort)
    resolved.model_class.log_to(folder / MODEL_LOG)
    if _rank() > 0:  # torchrun's other processes only help to train
        if finished_training(folder, fit_key_of(resolved, cohort), config.seed, log) is None:
            _fit(resolved, cohort, folder, log)
        return folder
    private_folder(config.runs, inside=folder.relative_to(config.runs))
    with exclusive(folder, wait=wait, log=log) as lock, _detectors_noted(resolved, cohort):
        stages = Stages(folder, log, lock)
        _write_configuration(config, stages)
        try:
            _fit_and_sample(resolved, cohort, stages)
            _evaluate(resolved, cohort, stages, config)
        except BaseException as error:
            stages.fail(error)
            if isinstance(error, DeclinedError):
                write_declined(resolved, cohort, stages, _end_model(resolved, config, stages), error.reason)
            raise
        write_record(resolved, cohort, stages, _end_model(resolved, config, stages))
    return folder


@contextmanager
def _detectors_noted(resolved: Resolved, cohort: Cohort) -> Iterator[None]:
    """Keep the digests of the detectors of this cohort in memory: a model that trains could replace them."""
    with ExitStack() as stack:
        for choice in resolved.detectors:
            place = detector_folder(choice, cohort.name, cohort.key, resolved.config.cache)
            stack.enter_context(noting(place))
        yield


def _write_configuration(config: RunConfig, stages: Stages) -> None:
    with sealed_write(stages.folder / CONFIG) as temporary:
        config.write(temporary)
    stages.enter("configuration", CONFIG)


def _end_model(resolved: Resolved, written: RunConfig, stages: Stages) -> Spec:
    """Ask the model for what the record says of it, and end its process and all that it has started.

    Nothing else writes into the run folder from now on. The configuration that was `written` there is written again
    where the model has changed it.
    """
    spec = public_spec(resolved)
    resolved.model_class.end()
    if not is_intact(stages.folder / CONFIG):
        stages.log(f"{stages.folder / CONFIG} was changed while the model worked: it is written again")
        _write_configuration(written, stages)
    return spec


def evaluate_again(
    folder: Path,
    *,
    detectors: tuple[str, ...] = (),
    device: str | None = None,
    search_memory: float | None = None,
    log: Log = to_stderr,
) -> None:
    """Evaluate a run's samples again, with the run's detectors or these, and rewrite its record. Raises BenchError."""
    changed = {"device": device, "detectors": detectors or None, "search_memory": search_memory}
    written = read_run(folder)
    resolved = resolve(RunConfig.of(overridden(written, changed), str(folder / CONFIG)))
    try:
        _evaluate_again(resolved, RunConfig.of(written, str(folder / CONFIG)), folder, log)
    finally:
        resolved.model_class.end()


def _evaluate_again(resolved: Resolved, written: RunConfig, folder: Path, log: Log) -> None:
    cohort = open_split(resolved, log)
    resolved.model_class.log_to(folder / MODEL_LOG)
    with exclusive(folder) as lock, _detectors_noted(resolved, cohort):
        stages = Stages(folder, log, lock)
        if stages.facts("sample").get("state") != "done":
            raise UsageError(f"{folder} holds no finished samples", "run it first: bench run")
        if stages.facts("sample").get("cohort") != cohort.key:
            raise BadDataError(
                f"the cohort behind {folder} has changed since its samples were drawn", "run it again: bench run"
            )
        if stages.facts("sample").get("configuration") != configuration_key(resolved):
            raise BadDataError(
                f"{folder / CONFIG}, or a default of {resolved.model.name}, is not that with which the samples were "
                "drawn",
                f"run it again with the options that you want: bench run --config {folder / CONFIG}",
            )
        stages.begin("evaluate", "again", "")
        try:
            _evaluate(resolved, cohort, stages, written)
        except BaseException as error:
            stages.fail(error)
            raise
        write_record(resolved, cohort, stages, _end_model(resolved, written, stages))


def open_split(resolved: Resolved, log: Log) -> Cohort:
    """Open the cohort, split as configured. Raises BenchError."""
    config = resolved.config
    require_fair_list(resolved)
    return open_cohort(config.data, resolved.data, resolved.dataset, cache=config.cache, log=log)


def _is_text_model(resolved: Resolved) -> bool:
    """Whether this run trains a text-to-image model; of a model trained elsewhere only its files tell."""
    return trained_on(resolved) == "here" and "prompts" in resolved.model.abilities


def what_can_be_shown(possible: Detectable, samples: int) -> str:
    """Say, before anything is trained or scored, what so many patients and samples can show."""
    if possible.patients is None or possible.share is None:
        return f"this cohort cannot show copies: {possible.reason}"
    return (
        f"{samples} samples can show {possible.patients} exposed patients, or a share of {percent(possible.share)}, "
        "with 95 % power; fewer copies may stay unseen"
    )


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _fit_and_sample(resolved: Resolved, cohort: Cohort, stages: Stages) -> None:
    fit_key = fit_key_of(resolved, cohort)
    sample_key = sample_key_of(resolved, fit_key)
    folder = stages.folder
    with shared_training(stages, fit_key, resolved.config.seed):
        stages.run("fit", fit_key, lambda: _fit(resolved, cohort, folder, stages.log), owns="fit", outputs=(MODEL,))
    if resolved.config.watch and (few := few_looks(folder / CURVE)):
        stages.log(few)
    leave_world()
    stages.run(
        "sample", sample_key, lambda: _sample(resolved, cohort, stages),
        owns="samples", outputs=("samples/*",),
    )  # fmt: skip


def _fit(resolved: Resolved, cohort: Cohort, folder: Path, log: Log) -> dict[str, Any]:
    config, before = resolved.config, joules()
    _watch(resolved, cohort, folder, log)
    peak = resolved.adapter.fit(
        repeated(cohort.train, config.data.repeat, config.data.repeat_share),
        folder=folder / "fit" / "training", budget=Budget(config.budget_seconds),
        seed=config.seed, device=config.device, trackers=config.trackers, tracked=_tracked(resolved, folder),
    )  # fmt: skip
    if _rank() == 0:
        with sealed_write(folder / "fit" / "model") as part:
            part.mkdir(parents=True)
            resolved.adapter.save(part)
    return {"peak_bytes": peak, **spent(before)}


def _tracked(resolved: Resolved, folder: Path) -> Tracked:
    """Return what trackers are told of a run: what its public record will say, and no more."""
    config = resolved.config
    shown = public_options(resolved.settings, resolved.model_class.listed)
    settings = {f"set.{name}": value for name, value in shown.items()}
    model, preset = resolved.public_model, public_preset(resolved)
    facts = {
        "model": model, "preset": preset, "data": resolved.public_data,
        "train_items": config.data.train_items, "samples": resolved.samples, "seed": config.seed,
    }  # fmt: skip
    private = folder / "fit" / "training" / "trackers"
    key = folder.parent.name.rpartition("-")[2]
    return Tracked(f"{model}-{preset}-{key}-seed-{config.seed}", tracker_settings(facts | settings), private)


def _watch(resolved: Resolved, cohort: Cohort, folder: Path, log: Log) -> None:
    """Give the model a watcher where one was asked for. A curve of an earlier training without one is removed."""
    options = watch_options(resolved.config)
    if options is None and _rank() == 0:
        (folder / CURVE).unlink(missing_ok=True)
    if options and isinstance(resolved.adapter, Watchable) and _rank() == 0:
        resolved.adapter.watched_by(watcher_of(options, cohort, folder, log))


def _require_watch_power(resolved: Resolved, cohort: Cohort) -> None:
    """Refuse, before anything is trained, to watch where nothing could be seen. Raises UsageError."""
    if resolved.config.watch:
        require_power(len(set(cohort.train.dealt)), len(set(cohort.heldout.dealt)), SAMPLES)


def _sample(resolved: Resolved, cohort: Cohort, stages: Stages) -> dict[str, Any]:
    from benchmark.adapters.sampling import draw

    before, adapter = joules(), _trained(resolved, cohort, stages)
    prompts = _prompts(resolved, cohort, stages.log) if takes_prompts(adapter) else None
    draw(
        adapter, resolved.samples, cohort.train, folder=stages.folder / "samples",
        seed=resolved.config.seed, name=resolved.model.name, prompts=prompts,
    )  # fmt: skip
    made = {"count": resolved.samples, "cohort": cohort.key, "configuration": configuration_key(resolved)}
    return made | spent(before)


def _prompts(resolved: Resolved, cohort: Cohort, tell: Log) -> Prompts:
    """Draw the prompts, and say of how many patients they are and what that can show."""
    prompts = drawn_prompts(cohort, resolved.samples, resolved.config.seed)
    train, heldout = prompted_patients(cohort, prompts.rows)
    tell(f"prompts: captions of {train} training and {heldout} held-out patients")
    tell(what_can_be_shown(possible_for(cohort, resolved.samples, prompts.rows), resolved.samples))
    return prompts


def _trained(resolved: Resolved, cohort: Cohort, stages: Stages) -> IsolatedModel:
    place = stages.require("fit", MODEL, AGAIN)
    return resolved.model_class.load(place, device=resolved.config.device, shape=cohort.train.shape)


def _evaluate(resolved: Resolved, cohort: Cohort, stages: Stages, written: RunConfig) -> None:
    from benchmark.evaluation.run_evaluation import RESULTS, SEARCHES, evaluate_run

    refusal = refusal_of(resolved)
    sampled = stages.facts("sample")  # noted before the model, which could replace its samples, is loaded again
    key = evaluate_key_of(resolved, cohort, sampled["key"])
    digests = {Path(name).name: value for name, value in sampled["outputs"].items()}

    def work() -> dict[str, Any]:
        adapter = _trained(resolved, cohort, stages)
        evaluate_run(
            cohort, stages.folder, resolved.detectors, adapter, count=sampled["count"],
            cache=resolved.config.cache, device=resolved.config.device,
            search_memory=int(resolved.config.search_memory * 2**30), log=stages.log, refusal=refusal,
            digests=digests, answered=lambda: _end_model(resolved, written, stages),
        )  # fmt: skip
        write_sealed_json(stages.folder / ENVIRONMENT, environment_of(resolved.config.device))
        return {"peak_bytes": _peak_bytes()}

    stages.run("evaluate", key, work, owns=SEARCHES, outputs=(*RESULTS, ENVIRONMENT))


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
