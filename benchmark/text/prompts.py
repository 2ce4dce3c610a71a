"""`bench prompts`: which prompts of a list does a text-to-image pipeline know by heart?"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.cohorts.tables import read_csv
from benchmark.contracts import chunks
from benchmark.errors import AdapterError, BadDataError, MissingDataError, UsageError
from benchmark.metrics.prompts import Enrichment, enrichment, length_adjusted, outliers, rank_correlation, variants
from benchmark.networks.marks import MARKER
from benchmark.options import require_pattern
from benchmark.progress import progress
from benchmark.storage import content_key, file_name, files_key, replacing, write_json
from benchmark.text.detect import FURTHER, further_scores, require_finite

if TYPE_CHECKING:
    from benchmark.contracts import Array

TEXTS, SCORES, SUMMARY = "prompts.parquet", "scores.parquet", "summary.json"
PRECISIONS = ("fp32", "bf16")
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """How a pipeline is asked."""

    steps: int = 50
    """Of DDIM sampling."""
    seeds: int = 4
    """Noises a prompt."""
    guidance: float = 7.5
    first: bool = False
    """The first step alone: `steps` times cheaper, for large lists."""
    further: bool = False
    """Attention, anisotropy and the likeness of the seeds' images too."""
    precision: str = "fp32"
    """`fp32` or `bf16`."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"there is no precision {self.precision!r}", f"choose {' or '.join(PRECISIONS)}")
        if self.first and self.further:
            raise UsageError("the further detectors need all steps", "leave one of --first and --further out")
        if self.steps < 1 or self.seeds < 1:
            raise UsageError(f"{self.steps} steps and {self.seeds} seeds were asked for", "give 1 or more of each")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which prompts are called outliers, and what a marker looks like."""

    percentile: float = 99.0
    z: float | None = None
    """Instead of the percentile: deviations above the mean."""
    marker: str = MARKER
    """Regular expression of de-identification marks."""

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise UsageError(f"percentile {self.percentile:g} is none", "give a number between 0 and 100, such as 99")
        require_pattern("marker", self.marker, "___|XXXX")


def read_prompts(path: Path, column: str) -> pd.DataFrame:
    """Return each different prompt of a CSV column once (prompt, sha, count), in order of appearance.

    Empty prompts are left out: their guidance is 0 by definition. Raises MissingDataError, BadDataError.
    """
    texts = read_csv(path, (column,))[column].str.strip()
    texts = texts[texts != ""]
    if not len(texts):
        raise BadDataError(f"{path} has only empty prompts in column {column}", "name the column that holds them")
    counts = texts.value_counts(sort=False)
    table = pd.DataFrame({"prompt": texts.drop_duplicates().to_numpy()})
    table["sha"] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in table["prompt"]]
    table["count"] = table["prompt"].map(counts).astype(int)
    return table


def open_pipeline(place: str, device: str, precision: str = "fp32") -> Any:
    """Load a pipeline of Stable Diffusion's kind, in fp32 or bf16. Raises MissingDataError, AdapterError.

    `place` is a folder that `save_pretrained` wrote, a run folder of ldm-text, or a hub id and commit, ID@COMMIT.
    """
    from benchmark.networks.pipelines import load_pipeline

    if importlib.util.find_spec("transformers") is None:
        raise AdapterError("text encoders need transformers", "install it: pip install 'memobench[text]'")
    path, _, revision = place.partition("@") if not Path(place).is_dir() else (str(_inner(Path(place))), "", "")
    if not revision and not Path(path).is_dir():
        raise MissingDataError(
            f"{path} is no folder on this disk", "give a folder that save_pretrained wrote, or a hub id as ID@COMMIT"
        )
    pipeline = load_pipeline(path, device, revision=revision, safety_checker=None, requires_safety_checker=False)
    if not all(hasattr(pipeline, part) for part in ("tokenizer", "text_encoder", "unet")):
        raise AdapterError(
            f"{path} holds a {type(pipeline).__name__}, which takes no prompts", "give a text-to-image pipeline"
        )
    if precision == "bf16":
        import torch

        pipeline.to(torch.bfloat16)
    return pipeline


def _inner(folder: Path) -> Path:
    """Return the pipeline within a run folder, or the folder itself."""
    inner = folder / "fit" / "model"
    return inner if (inner / "model_index.json").is_file() else folder


def _identity(place: str) -> str:
    return files_key(_inner(Path(place))) if Path(place).is_dir() else place


def score_prompts(
    path: str, table: pd.DataFrame, ask: Pass, rule: Rule, *, out: Path, batch: int, device: str
) -> tuple[Path, dict[str, Any]]:
    """Score every prompt of a table (`read_prompts`), and leave norms, scores and a summary in a folder of `out`.

    Args:
        path: folder of the pipeline.
        table: prompt, sha, count.
        ask: steps, seeds, guidance.
        rule: outliers and markers.
        out: a folder PIPELINE-KEY is made in it; a second call with equal arguments goes on where the first ended.
        batch: pairs of prompt and seed at once.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns the folder and the summary, which holds no text. Raises as `open_pipeline`.
    """
    if batch < 1:
        raise UsageError(f"batch {batch} is none", "give 1 or more")
    from benchmark.networks.guided import latent_shape

    pipeline = open_pipeline(path, device, ask.precision)
    key = content_key(_identity(path), asdict(ask), list(table["sha"]), length=8)
    folder = out / f"{file_name(_inner(Path(path)).resolve().name)}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _fill(pipeline, list(table["prompt"]), ask, folder, batch)
    scores = _scores(
        table, arrays, lengths(pipeline, list(table["prompt"])), rule, int(np.prod(latent_shape(pipeline)))
    )
    summary = summarise(scores, ask, rule)
    for name, frame in ((TEXTS, table), (SCORES, scores)):
        with replacing(folder / name) as temporary:
            frame.to_parquet(temporary, index=False)
    write_json(folder / SUMMARY, summary)
    return folder, summary


def _fill(pipeline: Any, prompts: Sequence[str], ask: Pass, folder: Path, batch: int) -> dict[str, Array]:
    """Fill arrays (prompts, seeds, numbers), float32, on disk; what is not NaN there is done."""
    from benchmark.networks.tracing import THUMB, trace

    widths = {"norms": 1 if ask.first else ask.steps}
    if ask.further:
        widths |= {"thumbs": int(pipeline.vae.config.out_channels) * THUMB**2, "further": len(FURTHER)}
    arrays = {name: _open(folder / f"{name}.npy", (len(prompts), ask.seeds, width)) for name, width in widths.items()}
    last = arrays[list(widths)[-1]]  # written after the others, so that its entries say what is done
    pairs = np.argwhere(np.isnan(last[:, :, -1]))
    total = len(prompts) * ask.seeds
    with progress("prompts", total, total - len(pairs)) as advance:
        for part in chunks(len(pairs), batch):
            rows, seeds = pairs[part].T
            found = trace(
                pipeline, [prompts[row] for row in rows], seeds.tolist(), steps=ask.steps, guidance=ask.guidance,
                further=ask.further, only=1 if ask.first else None,
            )  # fmt: skip
            require_finite(found.norms)
            for name, array in arrays.items():
                array[rows, seeds] = getattr(found, name)
                array.flush()
            advance(len(rows))
    return dict(arrays)


def _open(file: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    if not file.exists():
        with replacing(file) as temporary:
            np.lib.format.open_memmap(temporary, "w+", np.float32, shape)[:] = np.nan
    opened: np.memmap[Any, Any] = np.load(file, mmap_mode="r+")
    return opened


def lengths(pipeline: Any, prompts: Sequence[str]) -> Array:
    """Return the number of tokens of each prompt before it is cut, without those that begin and end every prompt."""
    tokenizer = pipeline.tokenizer
    return np.array([len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids) for text in prompts])


def _scores(table: pd.DataFrame, arrays: dict[str, Array], tokens: Array, rule: Rule, size: int) -> pd.DataFrame:
    """Return one row a prompt, highest d_mem first; no text."""
    scores = table[["sha", "count"]].assign(**variants(np.asarray(arrays["norms"]), size), tokens=tokens)
    scores["adjusted"] = length_adjusted(scores["d_mem"].to_numpy(), tokens)
    if "further" in arrays:
        scores = scores.assign(**further_scores(arrays["further"], arrays["thumbs"]))
    scores["marked"] = table["prompt"].str.contains(rule.marker, regex=True).to_numpy()
    for column in ("d_mem", "adjusted"):
        scores[f"{column}_outlier"] = outliers(scores[column].to_numpy(), percentile=rule.percentile, z=rule.z)
    return scores.sort_values(["d_mem", "sha"], ascending=[False, True], ignore_index=True)


def summarise(scores: pd.DataFrame, ask: Pass, rule: Rule) -> dict[str, Any]:
    """Return aggregates that may be published: no text, no digest of a text."""
    found = {column: _enrichment(scores, column) for column in ("d_mem", "adjusted")}
    return {
        "prompts": len(scores),
        "repeated": int((scores["count"] > 1).sum()),
        "marked": int(scores["marked"].sum()),
        "pass": asdict(ask),
        "rule": asdict(rule),
        "quantiles": {
            column: {
                str(q): float(value) for q, value in zip(QUANTILES, np.quantile(scores[column], QUANTILES), strict=True)
            }
            for column in ("d_mem", "first", "per_root_size", "adjusted", "tokens")
        },
        "length_correlation": {
            column: rank_correlation(scores[column].to_numpy(), scores["tokens"].to_numpy())
            for column in ("d_mem", "adjusted")
        },
        "outliers": {column: int(scores[f"{column}_outlier"].sum()) for column in ("d_mem", "adjusted")},
        "enrichment": {column: asdict(value) for column, value in found.items()},
    }


def _enrichment(scores: pd.DataFrame, column: str) -> Enrichment:
    return enrichment(scores["marked"].to_numpy(), scores[f"{column}_outlier"].to_numpy())


def rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, by d_mem, length-adjusted) rows for a table on the terminal."""
    columns: tuple[str, ...] = ("d_mem", "adjusted")

    def both(value: Callable[[str], str]) -> tuple[str, str]:
        first, second = (value(column) for column in columns)
        return first, second

    return [
        ("prompts", str(summary["prompts"]), ""),
        ("  repeated in the list", str(summary["repeated"]), ""),
        ("  with a marker", str(summary["marked"]), ""),
        ("median", *both(lambda column: f"{summary['quantiles'][column]['0.5']:.4g}")),
        ("99 % quantile", *both(lambda column: f"{summary['quantiles'][column]['0.99']:.4g}")),
        ("rank correlation with length", *both(lambda column: _number(summary["length_correlation"][column]))),
        ("outliers", *both(lambda column: str(summary["outliers"][column]))),
        ("marker: share in outliers / others", *both(lambda column: _ratio(summary["enrichment"][column]))),
    ]


def _number(value: float | None) -> str:
    return "none: one side is constant" if value is None else f"{value:.2f}"


def _ratio(found: dict[str, Any]) -> str:
    ratio = found["ratio"]
    if ratio["value"] is None:
        return f"none: {ratio['reason']}"
    return f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
