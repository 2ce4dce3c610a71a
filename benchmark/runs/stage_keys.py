"""Keys of the stages of a run: digests of all that decides their results."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.content_digests import option_digests
from benchmark.core.errors import MissingDataError
from benchmark.core.files import content_key
from benchmark.core.progress import to_stderr
from benchmark.core.source_digest import core_module, source_digest
from benchmark.core.stages import Stages
from benchmark.core.types import Cohort, HasFiles
from benchmark.plugins.registry import source_files
from benchmark.runs.config import Resolved
from benchmark.runs.run_folders import repeats_of, stopping_of
from benchmark.runs.trained_on import refusal_of


def fit_key_of(resolved: Resolved, cohort: Cohort) -> str:
    """Return the key of a training: settings, training data, seed, code, and files of a model made elsewhere."""
    config, code = resolved.config, source_digest(*source_files("models", resolved.model))
    parts = (resolved.settings, cohort.key, config.seed, config.budget_seconds, code, _files_of(resolved))
    return content_key(*parts, *_texts_of(cohort), *repeats_of(config), *stopping_of(resolved))


def _files_of(resolved: Resolved) -> list[object]:
    """Return digests of the files that a model's options name, and what the model itself says of others."""
    own = resolved.adapter.fingerprint() if isinstance(resolved.adapter, HasFiles) else ""
    try:
        return [option_digests(resolved.settings, cache=resolved.config.cache), own]
    except OSError as error:
        raise MissingDataError(
            f"model {resolved.model.name}: {error.filename} cannot be read: {error.strerror}", "copy it again"
        ) from error


def _texts_of(cohort: Cohort) -> tuple[str, ...]:
    """Return a digest of labels and captions, which models read and the cohort's key leaves out; nothing where none."""
    texts = [text for split in cohort.splits for text in (split.labels, split.captions)]
    return (content_key(*texts),) if any(texts) else ()


def configuration_key(resolved: Resolved) -> str:
    """Return a digest of the configuration that decides the samples: unlike a stage's key, without code and files."""
    config = resolved.config
    model = (resolved.model.entry, config.model.preset, resolved.settings)
    return content_key(
        *model, config.seed, config.budget_seconds, resolved.samples, *repeats_of(config), *stopping_of(resolved)
    )


def sample_key_of(resolved: Resolved, fit_key: str) -> str:
    """Return the key of the samples of a trained model."""
    return content_key(fit_key, resolved.samples, source_digest(core_module("adapters.sampling")))


def evaluate_key_of(resolved: Resolved, cohort: Cohort, sample_key: str) -> str:
    """Return the key of the comparison of samples with a cohort: detectors, their code, and why it is refused."""
    own = [path for choice in resolved.detectors for path in source_files("detectors", choice.card)]
    detectors = {choice.name: choice.identity(resolved.config.cache) for choice in resolved.detectors}
    code = source_digest(core_module("evaluation.run_evaluation"), *own)
    return content_key(sample_key, cohort.key, detectors, code, refusal_of(resolved))


def finished_stages(resolved: Resolved, cohort: Cohort, folder: Path) -> dict[str, bool]:
    """Return for each stage of a run whether the folder has it, so that a run would skip it. Writes nothing."""
    stages, fit_key = Stages(folder, to_stderr), fit_key_of(resolved, cohort)
    sample_key = sample_key_of(resolved, fit_key)
    keys = {"fit": fit_key, "sample": sample_key, "evaluate": evaluate_key_of(resolved, cohort, sample_key)}
    return {name: stages.finished(name, key) for name, key in keys.items()}
