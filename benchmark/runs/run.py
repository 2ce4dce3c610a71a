"""The stages of a run: prepare -> fit -> sample -> evaluate -> record."""

from __future__ import annotations

import math
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.cohorts.captions import captioned_units, drawn_prompts
from benchmark.cohorts.open import listed_training, open_cohort
from benchmark.cohorts.repeats import repeated
from benchmark.core.distributed import leave_world, wait_for_all
from benchmark.core.energy import joules, spent
from benchmark.core.errors import (
    AdapterError,
    BadDataError,
    BenchError,
    DeclinedError,
    MachineError,
    MissingDataError,
    UsageError,
)
from benchmark.core.files import content_key, private_folder
from benchmark.core.options import without_paths
from benchmark.core.percent import percent
from benchmark.core.progress import Log, to_stderr
from benchmark.core.sealed import read_sealed_json, require_intact, sealed_write, write_sealed_json
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.stages import Stages, exclusive
from benchmark.core.types import (
    Budget,
    Cohort,
    HasFiles,
    HasFoundSettings,
    ModelAdapter,
    TrainedElsewhere,
    Watchable,
    takes_prompts,
)
from benchmark.evaluation.exposure import possible_for
from benchmark.evaluation.prompted import prompted_patients
from benchmark.evaluation.watch import SAMPLES, require_power
from benchmark.plugins.registry import source_files
from benchmark.records.cohort_facts import facts_of
from benchmark.records.record import PROTOCOL, Record, Spec
from benchmark.runs.changed_settings import changed_settings
from benchmark.runs.config import Resolved, RunConfig, overridden, read_toml, resolve
from benchmark.runs.shared_training import shared_training
from benchmark.runs.watch_options import watch_options
from benchmark.runs.watching import CURVE, few_looks, watcher_of
from benchmark.training.trackers import Tracked, public_settings, require_trackers, tracking

if TYPE_CHECKING:
    from benchmark.cohorts.captions import Prompts
    from benchmark.metrics.detectable import Detectable

CONFIG = "run.toml"
"""The configuration in a run folder: private, since it may name paths."""
EVALUATION, ENVIRONMENT = "evaluation.json", "environment.json"
AGAIN = "run it again: bench run"


def run(config: RunConfig, *, log: Log = to_stderr, wait: bool = False) -> Path:
    """Run all stages and return the run folder; finished stages are skipped. Raises BenchError.

    Where another process is working on the folder, `wait` waits for it and takes what it has finished.
    """
    resolved = resolve(config)
    require_trackers(config.trackers)
    cohort = open_split(resolved, log)
    _require_watch_power(resolved, cohort)
    if _is_text_model(resolved):
        captioned_units(cohort)  # refused before anything is trained
    else:
        log(what_can_be_shown(possible_for(cohort, resolved.samples), resolved.samples))
    folder = run_folder(resolved, cohort)
    if _rank() > 0:  # torchrun's other processes only help to train
        if not Stages(folder, log).finished("fit", _fit_key(resolved, cohort)):
            _fit(resolved, cohort, folder, log)
        return folder
    private_folder(config.runs)
    with exclusive(folder, wait=wait, log=log) as lock:
        with sealed_write(folder / CONFIG) as temporary:
            config.write(temporary)
        stages = Stages(folder, log, lock)
        try:
            _fit_and_sample(resolved, cohort, stages)
            _evaluate(resolved, cohort, stages)
        except BaseException as error:
            stages.fail(error)
            if isinstance(error, DeclinedError):
                _record_declined(resolved, cohort, stages, error.reason)
            raise
        _record(resolved, cohort, stages)
    return folder


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
    resolved = resolve(RunConfig.of(overridden(read_run(folder), changed), str(folder / CONFIG)))
    cohort = open_split(resolved, log)
    with exclusive(folder) as lock:
        stages = Stages(folder, log, lock)
        if stages.facts("sample").get("state") != "done":
            raise UsageError(f"{folder} holds no finished samples", "run it first: bench run")
        if stages.facts("sample").get("cohort") != cohort.key:
            raise BadDataError(
                f"the cohort behind {folder} has changed since its samples were drawn", "run it again: bench run"
            )
        stages.begin("evaluate", "again", "")
        try:
            _evaluate(resolved, cohort, stages)
        except BaseException as error:
            stages.fail(error)
            raise
        _record(resolved, cohort, stages)


def open_split(resolved: Resolved, log: Log) -> Cohort:
    """Open the cohort, split as configured. Raises BenchError."""
    config = resolved.config
    require_fair_list(resolved)
    return open_cohort(config.data, resolved.data, resolved.dataset, cache=config.cache, log=log)


def require_fair_list(resolved: Resolved) -> None:
    """Refuse --trained-on where it does not fit the model, or names no file. Raises UsageError, MissingDataError."""
    config = resolved.config
    if trained_on(resolved) == "here" and config.data.trained_on:
        raise UsageError(
            f"--trained-on is for models trained elsewhere, and {resolved.model.name} is trained by this run",
            "leave it out",
        )
    if trained_on(resolved) != "here" and config.data.repeat > 1:
        raise UsageError(
            f"--repeat is for models trained by this run, and {resolved.model.name} was trained elsewhere",
            "leave it out",
        )
    listed = listed_training(config.data)
    if listed and not listed.exists():
        raise MissingDataError(
            f"--trained-on names {listed}, which does not exist",
            "give `split`, or the path of a CSV file with a column `patient` or `item`",
        )


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


def run_folder(resolved: Resolved, cohort: Cohort) -> Path:
    """Return runs/COHORT/MODEL-PRESET-KEY/seed-N[-VARIANT]; the key digests model, settings and training data."""
    return resolved.config.runs / run_place(resolved, cohort.name, cohort.key)


def run_place(resolved: Resolved, cohort_name: str, cohort_key: str) -> Path:
    """Return the run folder's path below the folder of all runs."""
    config = resolved.config
    parts = (resolved.model.entry, resolved.settings, cohort_key, config.budget_seconds)
    key = content_key(*parts, *_repeats(config), *_stopping(resolved), length=8)
    last = f"seed-{config.seed}" + (f"-{config.variant}" if config.variant else "")
    return Path(cohort_name) / f"{resolved.model.name}-{config.model.preset}-{key}" / last


def _repeats(config: RunConfig) -> tuple[int | float, ...]:
    """Return how training images are repeated; nothing where each is there once."""
    return (config.data.repeat, config.data.repeat_share) if config.data.repeat > 1 else ()


def read_run(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run folder, as nested values.

    Raises UsageError for what is no run folder, DamagedError where the configuration was changed after the run.
    """
    require_run_folder(folder)
    changed = f"run it again with the options that you want: bench run --config {folder / CONFIG}"
    return read_toml(require_intact(folder / CONFIG, changed))


def require_run_folder(folder: Path) -> None:
    """Raise UsageError for what is no run folder."""
    if (folder / CONFIG).exists():
        return
    if (folder / "spec.json").exists():
        raise UsageError(
            f"{folder} was written by an older version of memobench, whose runs this version does not read",
            "run it again with this version, or evaluate it with that one",
        )
    raise UsageError(f"{folder} is not a run folder: it has no {CONFIG}", "give the folder that `bench run` printed")


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _fit_key(resolved: Resolved, cohort: Cohort) -> str:
    config, code = resolved.config, source_digest(*source_files("models", resolved.model))
    files = resolved.adapter.fingerprint() if isinstance(resolved.adapter, HasFiles) else ""
    parts = (resolved.settings, cohort.key, config.seed, config.budget_seconds, code, files)
    return content_key(*parts, *_repeats(config), *_stopping(resolved))


def _stopping(resolved: Resolved) -> tuple[str, ...]:
    """Return the options of watching where they may change the model: a look alone does not, an early end does."""
    config = resolved.config
    if not config.stop_when:
        return ()
    return (f"stop when {config.stop_when}", f"watch {config.watch}", f"budget {config.watch_budget}")


def _sample_key(resolved: Resolved, fit_key: str) -> str:
    return content_key(fit_key, resolved.samples, source_digest(core_module("adapters.sampling")))


def _evaluate_key(resolved: Resolved, cohort: Cohort, sample_key: str) -> str:
    own = [path for choice in resolved.detectors for path in source_files("detectors", choice.card)]
    detectors = {choice.name: choice.identity for choice in resolved.detectors}
    code = source_digest(core_module("evaluation.run_evaluation"), *own)
    return content_key(sample_key, cohort.key, detectors, code, refusal_of(resolved))


def finished_stages(resolved: Resolved, cohort: Cohort, folder: Path) -> dict[str, bool]:
    """Return for each stage of a run whether the folder has it, so that a run would skip it. Writes nothing."""
    stages, fit_key = Stages(folder, to_stderr), _fit_key(resolved, cohort)
    sample_key = _sample_key(resolved, fit_key)
    keys = {"fit": fit_key, "sample": sample_key, "evaluate": _evaluate_key(resolved, cohort, sample_key)}
    return {name: stages.finished(name, key) for name, key in keys.items()}


def _fit_and_sample(resolved: Resolved, cohort: Cohort, stages: Stages) -> None:
    fit_key = _fit_key(resolved, cohort)
    sample_key = _sample_key(resolved, fit_key)
    folder = stages.folder
    with shared_training(stages, fit_key, resolved.config.seed):
        stages.run(
            "fit", fit_key, lambda: _fit(resolved, cohort, folder, stages.log), owns="fit", outputs=("fit/model",)
        )
    if resolved.config.watch and (few := few_looks(folder / CURVE)):
        stages.log(few)
    leave_world()
    stages.run(
        "sample", sample_key, lambda: _sample(resolved, cohort, folder, stages.log),
        owns="samples", outputs=("samples/*",),
    )  # fmt: skip


def _fit(resolved: Resolved, cohort: Cohort, folder: Path, log: Log) -> dict[str, Any]:
    config, before = resolved.config, joules()
    _watch(resolved, cohort, folder, log)
    wait_for_all(config.device)
    try:
        with tracking(config.trackers, _tracked(resolved, folder)):
            resolved.adapter.fit(
                repeated(cohort.train, config.data.repeat, config.data.repeat_share),
                folder=folder / "fit" / "training", budget=Budget(config.budget_seconds),
                seed=config.seed, device=config.device,
            )  # fmt: skip
        if _rank() == 0:
            with sealed_write(folder / "fit" / "model") as part:
                part.mkdir(parents=True)
                resolved.adapter.save(part)
    except (BenchError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _plugin_failure(resolved, "fit", error) from error
    return {"peak_bytes": _peak_bytes(), "parameters": parameters(folder / "fit" / "model"), **spent(before)}


def _tracked(resolved: Resolved, folder: Path) -> Tracked:
    """Return what trackers are told of a run: what its public record will say, and no more."""
    config = resolved.config
    settings = {f"set.{name}": value for name, value in resolved.settings.items()}
    facts = {
        "model": resolved.model.name, "preset": config.model.preset, "data": resolved.data.name,
        "train_items": config.data.train_items, "samples": resolved.samples, "seed": config.seed,
    }  # fmt: skip
    private = folder / "fit" / "training" / "trackers"
    return Tracked(f"{folder.parent.name}-{folder.name}", public_settings(facts | settings), private)


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


def _sample(resolved: Resolved, cohort: Cohort, folder: Path, tell: Log) -> dict[str, Any]:
    from benchmark.adapters.sampling import draw

    before, adapter = joules(), _trained(resolved, folder)
    prompts = _prompts(resolved, cohort, tell) if takes_prompts(adapter) else None
    try:
        draw(
            adapter, resolved.samples, cohort.train, folder=folder / "samples",
            seed=resolved.config.seed, name=resolved.model.name, prompts=prompts,
        )  # fmt: skip
    except (BenchError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _plugin_failure(resolved, "sample", error) from error
    return {"count": resolved.samples, "cohort": cohort.key, **spent(before)}


def _prompts(resolved: Resolved, cohort: Cohort, tell: Log) -> Prompts:
    """Draw the prompts, and say of how many patients they are and what that can show."""
    prompts = drawn_prompts(cohort, resolved.samples, resolved.config.seed)
    train, heldout = prompted_patients(cohort, prompts.rows)
    tell(f"prompts: captions of {train} training and {heldout} held-out patients")
    tell(what_can_be_shown(possible_for(cohort, resolved.samples, prompts.rows), resolved.samples))
    return prompts


def _trained(resolved: Resolved, folder: Path) -> ModelAdapter:
    try:
        return resolved.model_class.load(require_intact(folder / "fit" / "model", AGAIN), device=resolved.config.device)
    except (BenchError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _plugin_failure(resolved, "load", error) from error


def _plugin_failure(resolved: Resolved, stage: str, error: Exception) -> BenchError:
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC, from a writer that does not go through storage
        return MachineError(
            f"the disk is full: {stage} of {resolved.model.name} could not be written", "free some space"
        )
    return AdapterError(
        f"{resolved.model.name} failed in {stage}: {type(error).__name__}: {error}",
        "run with --verbose for the stack trace",
    )


def _evaluate(resolved: Resolved, cohort: Cohort, stages: Stages) -> None:
    from benchmark.evaluation.run_evaluation import RESULTS, SEARCHES, evaluate_run

    refusal = refusal_of(resolved)
    key = _evaluate_key(resolved, cohort, stages.facts("sample")["key"])

    def work() -> dict[str, Any]:
        adapter = _trained(resolved, stages.folder)
        evaluate_run(
            cohort, stages.folder, resolved.detectors, adapter, count=stages.facts("sample")["count"],
            cache=resolved.config.cache, device=resolved.config.device,
            search_memory=int(resolved.config.search_memory * 2**30), log=stages.log, refusal=refusal,
        )  # fmt: skip
        write_sealed_json(stages.folder / ENVIRONMENT, _environment(resolved.config.device))
        return {"peak_bytes": _peak_bytes()}

    stages.run("evaluate", key, work, owns=SEARCHES, outputs=(*RESULTS, ENVIRONMENT))


def _environment(device: str) -> dict[str, Any]:
    from benchmark.core.environment import describe

    return describe(device)


def _record(resolved: Resolved, cohort: Cohort, stages: Stages) -> None:
    results = read_sealed_json(stages.folder / EVALUATION)
    status = stages.status()
    record = Record(
        protocol=_protocol(resolved),
        spec=_public_spec(resolved),
        cohort=facts_of(cohort),
        scores=results["scores"],
        replicates=results["replicates"],
        cost=_cost(status),
        environment={**read_sealed_json(stages.folder / ENVIRONMENT), "search": results["engines"]},
        hashes={**results["hashes"], "cohort": cohort.key, "files": cohort.files_key, "fit": status["fit"]["key"]},
    )
    record.write(stages.folder / "record.json")


def _record_declined(resolved: Resolved, cohort: Cohort, stages: Stages, reason: str) -> None:
    """Leave a record without scores, so that the board shows why the cell is empty."""
    record = Record(
        protocol=_protocol(resolved),
        status="declined",
        reason=reason,
        spec=_public_spec(resolved),
        cohort=facts_of(cohort),
        scores={},
        cost={},
        environment=_environment(resolved.config.device),
        hashes={"cohort": cohort.key, "files": cohort.files_key},
    )
    record.write(stages.folder / "record.json")


def _protocol(resolved: Resolved) -> str:
    data = resolved.config.data
    as_written = (data.split, data.split_seed, data.repeat) == ("patients", 0, 1)
    as_written = as_written and trained_on(resolved) != "unknown"
    # A model that was chosen by its similarity to held-out patients is then compared with the same patients.
    return PROTOCOL if as_written and not resolved.config.stop_when else "custom"


def trained_on(resolved: Resolved) -> Literal["here", "split", "list", "unknown"]:
    """Return whether the model is trained by this run, or else what its owner says of whom it has seen."""
    adapter, said = resolved.adapter, resolved.config.data.trained_on
    if not (isinstance(adapter, TrainedElsewhere) and adapter.trained_elsewhere):
        return "here"
    if said is None:
        return "unknown"
    return "split" if said == "split" else "list"


def refusal_of(resolved: Resolved) -> str:
    """Return why the headline may not be scored, or nothing."""
    if trained_on(resolved) != "unknown":
        return ""
    return (
        f"cannot tell: {resolved.model.name} was not trained here, and nobody said which patients it was trained on; "
        "give --trained-on split if these were the training patients of this split (`bench datasets split` lists "
        "them), or --trained-on LIST.csv"
    )


def _public_spec(resolved: Resolved) -> Spec:
    config, split = resolved.config, resolved.config.data
    share = split.repeat_share if split.repeat > 1 else None
    repeats = {} if share is None else {"repeat": split.repeat, "repeat_share": share}
    return Spec(
        model=resolved.model.name, preset=config.model.preset,
        settings=without_paths(resolved.settings | _found_settings(resolved) | _stop_settings(resolved)),
        changed=without_paths(changed_settings(resolved) | _stop_settings(resolved)) | repeats,
        data=resolved.data.name, data_options=without_paths(asdict(resolved.dataset)),  # type: ignore[call-overload]
        split=split.split, split_seed=split.split_seed, train_items=split.train_items,
        train_patients=split.train_patients, samples=resolved.samples, repeat=split.repeat, repeat_share=share,
        trained_on=trained_on(resolved),
        seed=config.seed, budget_seconds=config.budget_seconds,
    )  # fmt: skip


def _stop_settings(resolved: Resolved) -> dict[str, str]:
    """Return what may have ended the training early, where anything may."""
    config = resolved.config
    return {"stop_when": config.stop_when, "watch": config.watch or ""} if config.stop_when else {}


def _found_settings(resolved: Resolved) -> dict[str, str]:
    """Return what the model found in its files and the user did not say."""
    return resolved.adapter.found_settings() if isinstance(resolved.adapter, HasFoundSettings) else {}


def _cost(status: dict[str, Any]) -> dict[str, float]:
    """Seconds of each stage, greatest memory, parameters of the saved model, and energy where counters tell."""
    cost = {f"{name}_seconds": float(status[name]["seconds"]) for name in ("fit", "sample", "evaluate")}
    cost["peak_bytes"] = float(max(status[name].get("peak_bytes", 0) for name in ("fit", "evaluate")))
    cost |= {f"{name}_joules": float(status[name]["joules"]) for name in ("fit", "sample") if "joules" in status[name]}
    if status["fit"].get("parameters"):
        cost["parameters"] = float(status["fit"]["parameters"])
    return cost


def parameters(folder: Path) -> int:
    """Count the numbers in the safetensors files of a saved model; 0 where it is saved otherwise."""
    from safetensors import safe_open

    total = 0
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
