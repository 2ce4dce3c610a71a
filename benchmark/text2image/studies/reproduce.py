"""`bench reproduce dutt2025`: prompt detectors and mitigations against ground truth from images, on real X-rays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write, content_key, private_folder, write_json
from benchmark.core.progress import Log, to_stderr
from benchmark.core.public_text import public_options
from benchmark.plugins import registry
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.detect import Traces, detector_scores, trace_all
from benchmark.text2image.grid import PROMPTS, draw_grid
from benchmark.text2image.mitigate import BEFORE, effects
from benchmark.text2image.mitigations import MitigationSettings
from benchmark.text2image.options import OutlierRule, require_number
from benchmark.text2image.prompts import lengths
from benchmark.text2image.studies.plan import Design, Study, plan_study
from benchmark.text2image.studies.retrain import MODEL, Retraining, retrained, trained
from benchmark.text2image.studies.verdict import MEMORISED, summarise

if TYPE_CHECKING:
    from benchmark.core.types import Images


RESULTS = "dutt2025.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Size of the study."""

    seeds: int = 8
    """Images per prompt, for detection and ground truth."""
    steps: int = 20
    """Steps of DDIM sampling."""
    guidance: float = 2.0
    """Scale of classifier-free guidance."""
    protected: int = 4
    """Number of memorised prompts on which mitigations are tested."""
    images: int = 50
    """Images per prompt and mitigation."""
    insertions: int = 4
    """Number of words or numbers that a mitigation inserts."""
    training: bool = True
    """Train the model again with each mitigation of training."""
    batch: int = 50
    """Images at once."""

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "protected", "images", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", "give 1 or more")
        require_number("guidance", self.guidance, "2")


def reproduce(
    data: DataConfig,
    reports: Path,
    plan: Plan,
    design: Design,
    *,
    preset: str,
    options: dict[str, Any],
    seed: int,
    device: str,
    cache: Path,
    out: Path,
    log: Log = to_stderr,
) -> tuple[Path, dict[str, Any]]:
    """Train on captioned X-rays, and compare every prompt detector and mitigation with ground truth from the images.

    Args:
        data: the data set of X-rays, and its split.
        reports: folder with Open-i's indiana_reports.csv.
        plan: size of the study.
        design: of the captions.
        preset: of the text-to-image model.
        options: its hyper-parameters that differ from the preset's.
        seed: of captions, training and sampling.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        cache: where prepared cohorts are kept.
        out: a folder dutt2025-KEY is made in it.
        log: called with each line of progress.

    Returns the folder and the results, which contain no text and no pixels. Raises BenchError.
    """
    chosen = registry.find_model(MODEL).presets[preset]
    cohort = open_cohort(data, *build_dataset(data, chosen.image_size), cache=cache, log=log)
    study = plan_study(cohort, reports, design, seed=seed)
    settings = chosen.set | options
    folder = out / f"dutt2025-{content_key(cohort.key, settings, asdict(design), seed, length=8)}"
    private_folder(out, inside=folder.name)
    device = str(pick_device(device))
    model = trained(settings, study, folder / "model", seed=seed, device=device)
    oracle = CopyOracle.of(study.train, study.heldout)
    traces = trace_all(
        model.pipeline, study.prompts["prompt"].tolist(), seeds=plan.seeds, steps=plan.steps, guidance=plan.guidance,
        batch=plan.batch, label="prompts",
    )  # fmt: skip
    table, threshold = _scored(model.pipeline, study, traces, oracle)
    results = summarise(table, threshold)
    _write_private(folder, table)
    _draw(folder / "grid.png", table, traces, oracle)
    protected = table[table["copied"] >= MEMORISED].nlargest(plan.protected, "d_mem")["prompt"].tolist()
    if protected:
        mitigation = _sampling(plan, traces)
        kept = effects(
            model.pipeline,
            protected,
            mitigation,
            seeds=plan.images,
            batch=plan.batch,
            copy_scorer=oracle.scorer(threshold),
        )
        results["mitigations"] = {name: asdict(effect) for name, effect in kept.items()}
        if plan.training:
            job = Retraining(
                study=study, settings=settings, folder=folder, seed=seed, device=device, prompts=protected,
                oracle=oracle, threshold=threshold, mitigation=mitigation, images=plan.images, batch=plan.batch,
            )  # fmt: skip
            results["training"] = {BEFORE: results["mitigations"][BEFORE], **retrained(job)}
    public_settings = {name: str(value) for name, value in public_options(settings).items()}
    results |= {"plan": asdict(plan), "design": asdict(design), "settings": public_settings, "cohort": cohort.key}
    write_json(folder / RESULTS, results)
    return folder, results


def _scored(pipeline: Any, study: Study, traces: Traces, oracle: CopyOracle) -> tuple[pd.DataFrame, float]:
    """Return prompts with every detector and the share of copies, and the copy threshold."""
    from benchmark.text2image.guided import latent_shape

    images = _flat(traces.images)
    threshold = oracle.threshold(images)
    shares = oracle.copied(images, threshold).reshape(len(study.prompts), -1).mean(axis=1)
    _, tokens = lengths(pipeline, study.prompts["prompt"].tolist())
    scores = detector_scores(traces, tokens, int(np.prod(latent_shape(pipeline))))
    return study.prompts.assign(copied=shares, **scores), threshold


def _flat(images: Images) -> Images:
    return images.reshape(-1, *images.shape[2:])


def _sampling(plan: Plan, traces: Traces) -> MitigationSettings:
    """Return the settings of mitigations; the target of optimised embeddings is the median first norm of all prompts.

    The published target belongs to another model, whose norms are on another scale.
    """
    return MitigationSettings(
        steps=plan.steps, guidance=plan.guidance, marker=OutlierRule().marker, insertions=plan.insertions,
        target=float(np.median(traces.norms[:, :, 0].mean(axis=1))),
    )  # fmt: skip


def _draw(path: Path, table: pd.DataFrame, traces: Traces, oracle: CopyOracle) -> None:
    """Draw the prompts with the highest d_mem."""
    top = table.nlargest(PROMPTS, "d_mem")
    rows = zip(top["group"], top["d_mem"], top["copied"], strict=True)
    labels = [f"{group}\nd_mem {d_mem:.2f}\ncopied {copied:.2f}" for group, d_mem, copied in rows]
    draw_grid(path, labels, traces.images[top.index], oracle)


def _write_private(folder: Path, table: pd.DataFrame) -> None:
    with atomic_write(folder / "prompts.parquet") as temporary:
        table.to_parquet(temporary, index=False)
