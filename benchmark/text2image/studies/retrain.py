"""Train the study's model again, once with each mitigation of training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.core.csv_cells import csv_text
from benchmark.core.files import atomic_write
from benchmark.core.options import build
from benchmark.core.processes import processes
from benchmark.core.progress import progress
from benchmark.core.types import Budget
from benchmark.plugins import registry
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.mitigate import BEFORE, effects
from benchmark.text2image.mitigations import MitigationSettings
from benchmark.text2image.studies.plan import Study

MODEL = "ldm-text"
TRAINING_MITIGATIONS: dict[str, dict[str, Any]] = {
    "markers randomised": {"random_markers": True},
    "caption variants": {"variants": "variants.csv"},
    "recaptioned": {"recaptions": "recaptions.csv"},
    "deduplicated": {"deduplicate": True},
    "noise on embeddings": {"embedding_noise": 0.1},
}


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """What all trainings have in common."""

    study: Study
    settings: dict[str, Any]
    folder: Path
    seed: int
    device: str
    prompts: Sequence[str]
    """Prompts whose images are compared with the training images."""
    oracle: CopyOracle
    threshold: float
    mitigation: MitigationSettings
    images: int
    batch: int


def trained(settings: dict[str, Any], study: Study, folder: Path, *, seed: int, device: str) -> Any:
    """Return the model trained on the study; load it from folder where it exists."""
    cls = registry.load_class("models", registry.find_model(MODEL))
    if (folder / "model_index.json").is_file():
        return cls.load(folder, device=device)
    model = build(cls, settings, what=f"model {MODEL}")
    model.fit(study.train, folder=folder.parent / f"{folder.name}-training", budget=Budget(), seed=seed, device=device)
    with atomic_write(folder) as part:
        model.save(part)
    return model


def retrained(job: Retraining) -> dict[str, dict[str, Any]]:
    """Return the effect of each mitigation of training on the prompts, by name; on the CPU they train in parallel."""
    _write_variants(job.study, job.folder)
    if job.device != "cpu" or os.environ.get("BENCH_PROCESSES") != "1":
        return {name: _effect(job, name) for name in TRAINING_MITIGATIONS}
    with (
        processes(min(os.cpu_count() or 1, len(TRAINING_MITIGATIONS))) as pool,
        progress("trainings", len(TRAINING_MITIGATIONS)) as advance,
    ):
        futures: dict[str, Future[dict[str, Any]]] = {
            name: pool.submit(_effect_on_one_core, job, name) for name in TRAINING_MITIGATIONS
        }
        for future in futures.values():
            future.add_done_callback(lambda _: advance())
        return {name: future.result() for name, future in futures.items()}


def _effect_on_one_core(job: Retraining, name: str) -> dict[str, Any]:
    """Train on one core, so that parallel trainings do not compete for cores."""
    import torch

    torch.set_num_threads(1)
    return _effect(job, name)


def _effect(job: Retraining, name: str) -> dict[str, Any]:
    changes = TRAINING_MITIGATIONS[name]
    given = {key: str(job.folder / value) if str(value).endswith(".csv") else value for key, value in changes.items()}
    place = job.folder / name.replace(" ", "-")
    if "deduplicate" not in changes:
        _share_autoencoder(job.folder / "model-training", job.folder / f"{place.name}-training")
    model = trained(job.settings | given, job.study, place, seed=job.seed, device=job.device)
    after = effects(
        model.pipeline, job.prompts, job.mitigation, seeds=job.images, batch=job.batch,
        copy_scorer=job.oracle.scorer(job.threshold), names=(),
    )  # fmt: skip
    return asdict(after[BEFORE])


def _share_autoencoder(source: Path, target: Path) -> None:
    """Copy the trained autoencoder: it does not depend on captions."""
    if not target.exists():
        shutil.copytree(source / "vae", target / "vae")


def _write_variants(study: Study, folder: Path) -> None:
    """Write caption files as a user would: each caption with the sentence of another, and with its class only."""
    captions = list(dict.fromkeys(study.train.captions or ()))
    classes = [caption.partition(".")[0] for caption in captions]
    others = [captions[number - 1].partition(".")[2] for number in range(len(captions))]
    for name, texts in (
        ("variants.csv", [f"{kind}.{other}" for kind, other in zip(classes, others, strict=True)]),
        ("recaptions.csv", [f"chest x-ray, {kind}" for kind in classes]),
    ):
        with atomic_write(folder / name) as temporary:
            temporary.write_text(csv_text(pd.DataFrame({"caption": captions, "variant": texts})), "utf-8")
