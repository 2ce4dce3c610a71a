"""`bench prompts`: which prompts of a list does a text-to-image pipeline know by heart?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import atomic_write, content_key, write_json
from benchmark.core.progress import progress
from benchmark.core.types import chunks
from benchmark.metrics.prompts import length_adjusted, outliers, variants
from benchmark.text2image.detect import FURTHER, further_scores, require_finite
from benchmark.text2image.loading import LoadedPipeline
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.summary import summarise

if TYPE_CHECKING:
    from benchmark.core.types import Array

TEXTS, SCORES, SUMMARY = "prompts.parquet", "scores.parquet", "summary.json"


@dataclass(frozen=True)
class Prompts:
    """A list of prompts, without its duplicates."""

    table: pd.DataFrame
    """prompt, sha, count, and positive (bool) where the list says so."""
    empty: int = 0
    """Rows without a prompt."""

    @property
    def rows(self) -> int:
        """How many rows the list has."""
        return int(self.table["count"].sum()) + self.empty


def read_prompts(path: Path, column: str, positive: str | None = None) -> Prompts:
    """Return each different prompt of a CSV column once, in order of appearance.

    Empty prompts are left out and counted: their guidance is 0 by definition. Raises MissingDataError, BadDataError.

    Args:
        path: of the CSV.
        column: with prompts.
        positive: column with 1 where a prompt is known to be memorised, and 0 where not.
    """
    given = read_csv(path, (column, *([positive] if positive else [])))
    given = given.assign(**{column: given[column].str.strip()})
    listed = given[given[column] != ""]
    if not len(listed):
        raise BadDataError(f"{path} has only empty prompts in column {column}", "name the column that holds them")
    counts = listed[column].value_counts(sort=False)
    table = pd.DataFrame({"prompt": listed[column].drop_duplicates().to_numpy()})
    table["sha"] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in table["prompt"]]
    table["count"] = table["prompt"].map(counts).astype(int)
    if positive:
        table["positive"] = table["prompt"].map(_truths(path, listed[column], listed[positive]))
    return Prompts(table, len(given) - len(listed))


def _truths(path: Path, prompts: pd.Series[str], marks: pd.Series[str]) -> pd.Series[bool]:
    """Return whether each different prompt is marked with 1. Raises BadDataError."""
    values = marks.str.strip()
    wrong = int((~values.isin(["0", "1"])).sum())
    if wrong:
        raise BadDataError(f"{path} has {wrong} rows with neither 0 nor 1 in column {marks.name}", "write 0 or 1")
    found = (values == "1").groupby(prompts.to_numpy(), sort=False)
    unsure = int((found.nunique() > 1).sum())
    if unsure:
        raise BadDataError(
            f"{path} repeats {unsure} prompts with both 0 and 1 in column {marks.name}", "give each prompt one of them"
        )
    return found.first()


def score_prompts(
    model: LoadedPipeline, prompts: Prompts, ask: PromptSampling, rule: OutlierRule, *, out: Path, batch: int
) -> tuple[Path, dict[str, Any]]:
    """Score every prompt of a list, and leave norms, scores and a summary in a folder of `out`.

    Args:
        model: a pipeline.
        prompts: the list.
        ask: steps, seeds, guidance.
        rule: outliers and markers.
        out: a folder PIPELINE-KEY is made in it; a second call with equal arguments goes on where the first ended.
        batch: pairs of prompt and seed at once.

    Returns the folder and the summary, which holds no text. Raises UsageError, AdapterError.
    """
    if batch < 1:
        raise UsageError(f"batch {batch} is none", "give 1 or more")
    from benchmark.text2image.guided import latent_shape

    table, size = prompts.table, int(np.prod(latent_shape(model.pipeline)))
    key = content_key(model.identity, asdict(ask), list(table["sha"]), length=8)
    folder = out / f"{model.name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _fill(model.pipeline, list(table["prompt"]), ask, folder, batch)
    scores = _scores(table, arrays, lengths(model.pipeline, list(table["prompt"])), rule, size)
    summary = {"pipeline": model.identity, "rows": prompts.rows, "empty": prompts.empty, **summarise(scores, ask, rule)}
    for name, frame in ((TEXTS, table), (SCORES, scores)):
        with atomic_write(folder / name) as temporary:
            frame.to_parquet(temporary, index=False)
    write_json(folder / SUMMARY, summary)
    return folder, summary


def _fill(pipeline: Any, prompts: Sequence[str], ask: PromptSampling, folder: Path, batch: int) -> dict[str, Array]:
    """Fill arrays (prompts, seeds, numbers), float32, on disk; what is not NaN there is done."""
    from benchmark.text2image.tracing import THUMB, trace

    widths = {"norms": ask.taken}
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
        with atomic_write(file) as temporary:
            np.lib.format.open_memmap(temporary, "w+", np.float32, shape)[:] = np.nan
    opened: np.memmap[Any, Any] = np.load(file, mmap_mode="r+")
    return opened


def lengths(pipeline: Any, prompts: Sequence[str]) -> tuple[Array, Array]:
    """Return the number of tokens of each prompt as it is, and as the model sees it after the tokenizer's cut.

    Those that begin and end every prompt do not count.
    """
    tokenizer = pipeline.tokenizer
    found = np.array([len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids) for text in prompts])
    return found, np.minimum(found, tokenizer.model_max_length - len(tokenizer("").input_ids))


def _scores(
    table: pd.DataFrame, arrays: dict[str, Array], tokens: tuple[Array, Array], rule: OutlierRule, size: int
) -> pd.DataFrame:
    """Return one row a prompt, highest d_mem first; no text."""
    norms = np.asarray(arrays["norms"])
    scores = table.drop(columns="prompt").assign(**variants(norms, size, rule.first_steps))
    scores["tokens"], scores["seen"] = tokens
    scores["adjusted"] = length_adjusted(scores["d_mem"].to_numpy(), tokens[1])
    if "further" in arrays:
        scores = scores.assign(**further_scores(arrays["further"], arrays["thumbs"]))
    scores["marked"] = table["prompt"].str.contains(rule.marker, regex=True).to_numpy()
    for column in ("d_mem", "adjusted"):
        scores[f"{column}_outlier"] = outliers(scores[column].to_numpy(), percentile=rule.percentile, z=rule.z)
    return scores.sort_values(["d_mem", "sha"], ascending=[False, True], ignore_index=True)
