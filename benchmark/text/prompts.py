"""`bench prompts`: which prompts of a list does a text-to-image pipeline know by heart?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.cohorts.tables import read_csv
from benchmark.contracts import chunks
from benchmark.errors import BadDataError, UsageError
from benchmark.metrics.prompts import length_adjusted, outliers, variants
from benchmark.progress import progress
from benchmark.storage import content_key, replacing, write_json
from benchmark.text.asking import Pass, Rule
from benchmark.text.detect import FURTHER, further_scores, require_finite
from benchmark.text.opening import identity, open_pipeline, short_name
from benchmark.text.summary import summarise

if TYPE_CHECKING:
    from benchmark.contracts import Array

TEXTS, SCORES, SUMMARY = "prompts.parquet", "scores.parquet", "summary.json"


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
    key = content_key(identity(path), asdict(ask), list(table["sha"]), length=8)
    folder = out / f"{short_name(path)}-{key}"
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
