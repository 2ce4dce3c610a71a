"""`bench reproduce dutt2025`: prompt detectors and mitigations against copies that are known, on real X-rays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark import registry
from benchmark.cohorts.prepare import to_stderr
from benchmark.contracts import Budget, Score, Split, chunks
from benchmark.errors import UsageError
from benchmark.metrics.prompts import enrichment, outliers
from benchmark.metrics.shares import Sample, membership
from benchmark.options import build
from benchmark.request import Request, build_dataset, open_cohort
from benchmark.storage import content_key, replacing, write_json
from benchmark.text.detect import Traces, detectors, trace_all
from benchmark.text.mitigate import BEFORE, Effect, effects
from benchmark.text.mitigations import Sampling
from benchmark.text.plan import Design, Study, plan_study
from benchmark.text.prompts import Rule, lengths
from benchmark.text.truth import Judge, Truth

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images

MEMORISED = 0.5
"""A prompt is memorised where at least so many of its images are copies."""
MODEL = "ldm-text"
TRAINING: dict[str, dict[str, Any]] = {
    "markers randomised": {"random_markers": True},
    "caption variants": {"variants": "variants.csv"},
    "recaptioned": {"recaptions": "recaptions.csv"},
    "deduplicated": {"deduplicate": True},
    "noise on embeddings": {"embedding_noise": 0.1},
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the study costs."""

    seeds: int = 8
    """Images a prompt, for detection and truth."""
    steps: int = 20
    """Of DDIM sampling."""
    guidance: float = 2.0
    protected: int = 4
    """Memorised prompts that mitigations are tried on."""
    images: int = 50
    """A prompt and mitigation."""
    insertions: int = 4
    """Words or numbers added by a mitigation."""
    training: bool = True
    """Train the model again with each mitigation of training."""
    batch: int = 50

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "protected", "images", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", "give 1 or more")


@dataclass(frozen=True)
class Findings:
    """What was found; `public` holds no text and no pixel."""

    public: dict[str, Any]
    prompts: pd.DataFrame
    """One row a prompt, with its text. Private."""
    traces: Traces


def reproduce(
    request: Request, reports: Path, plan: Plan, design: Design, *, out: Path, say: Callable[[str], None] = to_stderr
) -> tuple[Path, Findings]:
    """Train on captioned X-rays, and compare every prompt detector and mitigation with what the images show.

    Args:
        request: data set, root, preset and `--set` of the model.
        reports: folder with Open-i's indiana_reports.csv.
        plan: sizes.
        design: of the captions.
        out: a folder dutt2025-KEY is made in it.
        say: takes each line for the person at the keyboard.

    Raises BenchError.
    """
    preset = registry.find_model(MODEL).presets[request.preset]
    card, dataset = build_dataset(request, preset.image_size)
    cohort = open_cohort(request, card, dataset, say)
    study = plan_study(cohort, reports, design, seed=request.seed)
    settings = preset.set | request.settings
    folder = out / f"dutt2025-{content_key(cohort.key, settings, asdict(design), request.seed, length=8)}"
    model = _trained(settings, study.train, folder / "model", request)
    truth = Truth.of(study.train, study.heldout)
    traces = _traced(model.pipeline, study, plan, "prompts")
    table, judged = _scored(model.pipeline, study, traces, truth)
    protected = table[table["copied"] >= MEMORISED].nlargest(plan.protected, "d_mem")["prompt"].tolist()
    found = summarise(table, judged, traces)
    if protected:
        how = _sampling(plan, traces)
        judge = truth.judge(judged)
        kept = effects(model.pipeline, protected, how, seeds=plan.images, batch=plan.batch, judge=judge)
        found["mitigations"] = {name: asdict(effect) for name, effect in kept.items()}
        if plan.training:
            found["training"] = _retrained(study, settings, folder, request, protected, plan, judge, kept[BEFORE], how)
    found |= {
        "plan": asdict(plan),
        "design": asdict(design),
        "settings": {name: str(value) for name, value in settings.items()},
        "cohort": cohort.key,
    }
    findings = Findings(found, table, traces)
    _write(folder, findings)
    return folder, findings


def _trained(settings: dict[str, Any], train: Split, folder: Path, request: Request) -> Any:
    card = registry.find_model(MODEL)
    cls = registry.load_class("models", card)
    if (folder / "model_index.json").is_file():
        return cls.load(folder, device=request.device)
    model = build(cls, settings, what=f"model {MODEL}")
    model.fit(
        train, folder=folder.parent / f"{folder.name}-training", budget=Budget(request.budget_seconds),
        seed=request.seed, device=request.device,
    )  # fmt: skip
    with replacing(folder) as part:
        model.save(part)
    return model


def _traced(pipeline: Any, study: Study, plan: Plan, label: str) -> Traces:
    return trace_all(
        pipeline, study.prompts["prompt"].tolist(), seeds=plan.seeds, steps=plan.steps, guidance=plan.guidance,
        batch=plan.batch, label=label,
    )  # fmt: skip


def _scored(pipeline: Any, study: Study, traces: Traces, truth: Truth) -> tuple[pd.DataFrame, float]:
    """Return prompts with every detector and the share of copies, and the copy threshold."""
    from benchmark.networks.guided import latent_shape

    images = _flat(traces.images)
    threshold = truth.threshold(images)
    shares = truth.copied(images, threshold).reshape(len(study.prompts), -1).mean(axis=1)
    tokens = lengths(pipeline, study.prompts["prompt"].tolist())
    found = detectors(traces, tokens, int(np.prod(latent_shape(pipeline))))
    return study.prompts.assign(copied=shares, **found), threshold


def _flat(images: Images) -> Images:
    return images.reshape(-1, *images.shape[2:])


def _sampling(plan: Plan, traces: Traces) -> Sampling:
    """Optimise embeddings down to the first norm of a usual prompt: published targets are of another model."""
    return Sampling(
        steps=plan.steps, guidance=plan.guidance, marker=Rule().marker, insertions=plan.insertions,
        target=float(np.median(traces.norms[:, :, 0].mean(axis=1))),
    )  # fmt: skip


NAMES = (
    "d_mem", "first", "first10", "adjusted", "entropy_first", "entropy_last", "anisotropy", "seeds", "length",
)  # fmt: skip


def summarise(table: pd.DataFrame, threshold: float, traces: Traces) -> dict[str, Any]:
    """Return what may be published: detectors against truth, the 2 x 2 of marks and repeats, enrichment, length."""
    memorised = (table["copied"] >= MEMORISED).to_numpy()
    shown = [name for name in NAMES if name in table]

    def top(column: pd.Series[float]) -> Array:
        return outliers(column.to_numpy(), percentile=100 * (1 - TOP))

    return {
        "prompts": len(table),
        "memorised": int(memorised.sum()),
        "threshold": threshold,
        "detectors": {name: _separation(table[name].to_numpy(), memorised) for name in shown},
        "planned": {name: _separation(table[name].to_numpy(), table["repeats"].to_numpy() > 1) for name in shown},
        "cells": [_cell(rows) for _, rows in table.groupby(["group", "marked"], sort=False)],
        "enrichment": {
            "d_mem": _enriched(table, top(table["d_mem"])),
            "adjusted": _enriched(table, top(table["adjusted"])),
            "copied": _enriched(table, memorised),
        },
        "length_correlation": {
            name: float(np.corrcoef(table[name].rank(), table["length"].rank())[0, 1])
            for name in ("d_mem", "adjusted", "copied")
        },
    }  # fmt: skip


TOP = 0.05
"""Share of the prompts that are the top ones, for the enrichment of marks."""


def _cell(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "group": rows["group"].iloc[0],
        "marked": bool(rows["marked"].iloc[0]),
        "prompts": len(rows),
        "memorised": int((rows["copied"] >= MEMORISED).sum()),
        "copied": float(rows["copied"].mean()),
        "d_mem": float(rows["d_mem"].median()),
        "adjusted": float(rows["adjusted"].median()),
        "tokens": float(rows["length"].median()),
    }


def _enriched(table: pd.DataFrame, top: Array) -> dict[str, Any]:
    return asdict(enrichment(table["marked"].to_numpy(), top))


def _separation(values: Array, positive: Array) -> dict[str, Any]:
    """Return AUC and TPR at 1 % FPR with intervals over prompts, or the reason why there are none."""
    if not positive.any() or positive.all():
        reason = "all prompts are on one side"
        return {name: asdict(Score(value=None, reason=reason)) for name in ("auc", "tpr_at_1_fpr")}
    scores = membership(Sample.alone(values[positive]), Sample.alone(values[~positive]))
    return {name: asdict(replace(score, direction="higher")) for name, score in scores.items()}


def _retrained(
    study: Study,
    settings: dict[str, Any],
    folder: Path,
    request: Request,
    protected: list[str],
    plan: Plan,
    judge: Judge,
    before: Effect,
    how: Sampling,
) -> dict[str, Any]:
    """Train with each mitigation, and sample the same prompts as before."""
    _write_variants(study, folder)
    found = {BEFORE: asdict(before)}
    for name, changes in TRAINING.items():
        given = {key: str(folder / value) if str(value).endswith(".csv") else value for key, value in changes.items()}
        place = folder / name.replace(" ", "-")
        _share_autoencoder(folder / "model-training", folder / f"{place.name}-training", changes)
        model = _trained(settings | given, study.train, place, request)
        after = effects(model.pipeline, protected, how, seeds=plan.images, batch=plan.batch, judge=judge, names=())
        found[name] = asdict(after[BEFORE])
    return found


def _share_autoencoder(source: Path, target: Path, changes: dict[str, Any]) -> None:
    """Captions do not reach the autoencoder: it need not be trained again for them."""
    if "deduplicate" not in changes and not target.exists():
        shutil.copytree(source / "vae", target / "vae")


def _write_variants(study: Study, folder: Path) -> None:
    """Leave caption files as a user would: each caption with another's sentence, and with its class alone."""
    captions = list(dict.fromkeys(study.train.captions or ()))
    classes = [caption.partition(".")[0] for caption in captions]
    others = [captions[number - 1].partition(".")[2] for number in range(len(captions))]
    for name, texts in (
        ("variants.csv", [f"{kind}.{other}" for kind, other in zip(classes, others, strict=True)]),
        ("recaptions.csv", [f"chest x-ray, {kind}" for kind in classes]),
    ):
        with replacing(folder / name) as temporary:
            pd.DataFrame({"caption": captions, "variant": texts}).to_csv(temporary, index=False)


def _write(folder: Path, findings: Findings) -> None:
    with replacing(folder / "prompts.parquet") as temporary:
        findings.prompts.to_parquet(temporary, index=False)
    write_json(folder / "dutt2025.json", findings.public)
    draw_grid(folder / "grid.png", findings)


def draw_grid(path: Path, findings: Findings) -> None:
    """Draw the images of the prompts with the highest d_mem, a row each. Private: it shows copies of patients."""
    import PIL.Image

    top = findings.prompts["d_mem"].to_numpy().argsort()[::-1][:12]
    rows = []
    for part in chunks(len(top), 1):
        images = findings.traces.images[top[part]][0][:, 0]
        rows.append(np.concatenate(list(images), axis=1))
    grey = np.clip((np.concatenate(rows) + 1) * 127.5, 0, 255).astype(np.uint8)
    with replacing(path) as temporary:
        PIL.Image.fromarray(grey).resize((grey.shape[1] * 3, grey.shape[0] * 3), PIL.Image.Resampling.NEAREST).save(
            temporary, format="png"
        )
