"""`bench prompts`: which prompts of a list has a text-to-image pipeline memorised?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.text_files import OWN
from benchmark.core.errors import AdapterError, BadDataError, UsageError
from benchmark.core.files import atomic_write, content_key, private_folder
from benchmark.core.progress import progress
from benchmark.core.public_text import public_options
from benchmark.core.sealed import sealed_write, write_sealed_json
from benchmark.core.types import chunks
from benchmark.metrics.prompts import CONSTANT, constant, length_adjusted, outliers, variants
from benchmark.text2image.detect import FURTHER, TOLERATED, constant_thumbs, further_scores, require_finite
from benchmark.text2image.loading import LoadedPipeline
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.summary import public_pipeline, summarise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

ADVICE = replace(OWN, columns="name the column of the prompts with --column; the first line has the names of columns")
TEXTS, SCORES, SUMMARY = "prompts.parquet", "scores.parquet", "summary.json"


@dataclass(frozen=True)
class PromptList:
    """The different prompts of a list."""

    table: pd.DataFrame
    """One row per prompt: prompt, sha, count, and positive (bool) where the list has such a column. Private."""
    empty: int = 0
    """Rows without a prompt."""

    @property
    def rows(self) -> int:
        """Number of rows of the list."""
        return int(self.table["count"].sum()) + self.empty


def read_prompts(path: Path, column: str, positive: str | None = None) -> PromptList:
    """Return each different prompt of a column of a table once, in order of appearance.

    A prompt is text, whatever it is: `None` or `NA` too. Empty prompts are counted and left out: they are the
    unconditional branch itself, so that their guidance is 0.

    Args:
        path: of the table, as `read_csv` reads it.
        column: name of the column with prompts.
        positive: name of a column with 1 where a prompt is known to be memorised, and 0 where not.

    Raises MissingDataError, BadDataError.
    """
    rows = read_csv(path, (column, *([positive] if positive else [])), advice=ADVICE)
    rows = rows.assign(**{column: rows[column].str.strip()})
    listed = rows[rows[column] != ""]
    if not len(listed):
        raise BadDataError(f"{path} has only empty prompts in column {column}", "name the column that holds them")
    counts = listed[column].value_counts(sort=False)
    table = pd.DataFrame({"prompt": listed[column].drop_duplicates().to_numpy()})
    table["sha"] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in table["prompt"]]
    table["count"] = table["prompt"].map(counts).astype(int)
    if positive:
        table["positive"] = table["prompt"].map(_positives(path, listed[column], listed[positive]))
    return PromptList(table, len(rows) - len(listed))


def _positives(path: Path, prompts: pd.Series[str], column: pd.Series[str]) -> pd.Series[bool]:
    """Return whether the column has 1 for each different prompt. Raises BadDataError."""
    values = column.str.strip().replace({"0.0": "0", "1.0": "1"})  # as spreadsheets write them
    wrong = values.index[~values.isin(["0", "1"])]
    if len(wrong):
        raise BadDataError(
            f"{path} has {len(wrong)} rows with neither 0 nor 1 in column {column.name}, the first in line {wrong[0]}",
            "write 0 or 1",
        )
    labels = (values == "1").groupby(prompts.to_numpy(), sort=False)
    contradictory = labels.nunique() > 1
    if contradictory.any():
        lines = prompts.index[prompts == contradictory.idxmax()]
        raise BadDataError(
            f"{path} repeats {contradictory.sum()} prompts with both 0 and 1 in column {column.name}, the first in "
            f"lines {lines[0]} and {lines[1]}",
            "give each prompt one of them",
        )
    return labels.first()


def score_prompts(
    model: LoadedPipeline,
    prompts: PromptList,
    sampling: PromptSampling,
    outlier_rule: OutlierRule,
    *,
    out: Path,
    batch: int,
) -> tuple[Path, dict[str, Any]]:
    """Score every prompt of a list, and write norms, scores and a summary to a folder in `out`.

    Args:
        model: a pipeline.
        prompts: the list.
        sampling: steps, seeds, guidance.
        outlier_rule: what outliers and markers are.
        out: a folder PIPELINE-KEY is made in it; a second call with equal arguments resumes there.
        batch: pairs of prompt and seed at once.

    Returns the folder and the summary, which contains no text. Raises UsageError, AdapterError.
    """
    if batch < 1:
        raise UsageError(f"batch is {batch}", "give 1 or more")
    from benchmark.text2image.guided import blind_steps, latent_shape

    table, size = prompts.table, int(np.prod(latent_shape(model.pipeline)))
    blind = blind_steps(model.pipeline, sampling.steps)
    key = content_key(model.identity, asdict(sampling), list(table["sha"]), length=8)
    folder = out / f"{model.name}-{key}"
    private_folder(out, inside=folder.name)
    arrays = _score_missing(model.pipeline, list(table["prompt"]), sampling, folder, batch)
    scores = _scores(table, arrays, lengths(model.pipeline, list(table["prompt"])), outlier_rule, size, blind)
    _require_ranks(scores, size)
    summary = {
        "pipeline": public_pipeline(model.identity),
        "rows": prompts.rows,
        "empty": prompts.empty,
        **({"model": public_options(dict(model.facts))} if model.facts else {}),
        **summarise(scores, sampling, outlier_rule, blind=blind),
        **_images(arrays),
    }
    for name, frame in ((TEXTS, table), (SCORES, scores)):
        with sealed_write(folder / name) as temporary:
            frame.to_parquet(temporary, index=False)
    write_sealed_json(folder / SUMMARY, summary)
    return folder, summary


def _score_missing(
    pipeline: Any, prompts: Sequence[str], sampling: PromptSampling, folder: Path, batch: int
) -> dict[str, Array]:
    """Return arrays (prompts, seeds, numbers), float32, on disk; compute the entries that are NaN or have changed."""
    from benchmark.text2image.tracing import THUMB, trace

    widths = {"norms": sampling.steps_taken}
    if sampling.further:
        widths |= {"thumbs": int(pipeline.vae.config.out_channels) * THUMB**2, "further": len(FURTHER)}
    arrays = {
        name: _open_array(folder / f"{name}.npy", (len(prompts), sampling.seeds, width))
        for name, width in widths.items()
    }
    checks = _open_array(folder / "checks.npy", (len(prompts), sampling.seeds, 1), np.uint64)
    pairs = np.argwhere(_checks(arrays) != checks[:, :, 0])
    total = len(prompts) * sampling.seeds
    with progress("prompts", total, total - len(pairs)) as advance:
        for part in chunks(len(pairs), batch):
            rows, seeds = pairs[part].T
            traced = trace(
                pipeline, [prompts[row] for row in rows], seeds.tolist(), steps=sampling.steps,
                guidance=sampling.guidance, further=sampling.further, only=1 if sampling.first else None,
            )  # fmt: skip
            require_finite(traced.norms, rows)
            for name, array in arrays.items():
                array[rows, seeds] = getattr(traced, name)
                array.flush()
            checks[rows, seeds, 0] = _checks({name: array[rows, seeds][None] for name, array in arrays.items()})[0]
            checks.flush()  # last: an entry without its check is computed again
            advance(len(rows))
    return dict(arrays)


def _require_ranks(scores: pd.DataFrame, size: int) -> None:
    """Raise AdapterError where no prompt moves the prediction, or all move it alike.

    Noise has variance 1, so a guidance below CONSTANT times the root of the latent's size is rounding.
    """
    values = scores["d_mem"].to_numpy()
    if constant(values) or values.max() <= CONSTANT * np.sqrt(size):
        raise AdapterError(
            f"d_mem is {values.max():.3g} for all of {len(values)} prompts: the pipeline's prediction does not depend "
            "on them, and no score can rank",
            "check that the unet's cross-attention and the text encoder belong to this pipeline",
        )


def _open_array(file: Path, shape: tuple[int, ...], dtype: type[Any] = np.float32) -> np.memmap[Any, Any]:
    """Open an array for reading and writing; a new one where there is none of this shape."""
    opened: np.memmap[Any, Any]
    with suppress(OSError, ValueError, EOFError):  # missing, or damaged
        opened = np.load(file, mmap_mode="r+", allow_pickle=False)
        if opened.shape == shape and opened.dtype == dtype:
            return opened
    with atomic_write(file) as temporary:
        np.lib.format.open_memmap(temporary, "w+", dtype, shape)[:] = np.nan if dtype is np.float32 else 0
    opened = np.load(file, mmap_mode="r+")
    return opened


def _checks(arrays: Mapping[str, Array]) -> NDArray[np.uint64]:
    """Return a digest of 64 bits of the numbers of each prompt and seed, (P, S), from arrays (P, S, numbers)."""
    first = next(iter(arrays.values()))
    checks = np.zeros(first.shape[:2], dtype=np.uint64)
    for place in np.ndindex(checks.shape):
        content = b"".join(np.ascontiguousarray(array[place]).tobytes() for array in arrays.values())
        checks[place] = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    return checks


def lengths(pipeline: Any, prompts: Sequence[str]) -> tuple[Array, Array]:
    """Return the numbers of tokens of P prompts, (P,), and of those left after the tokenizer's cut, (P,).

    The start and end tokens, which every prompt has, do not count.
    """
    tokenizer = pipeline.tokenizer
    counts = np.array([len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids) for text in prompts])
    return counts, np.minimum(counts, tokenizer.model_max_length - len(tokenizer("").input_ids))


def _images(arrays: dict[str, Array]) -> dict[str, Any]:
    """Return how many images were looked at, and how many are of one grey value, where images were made."""
    if "thumbs" not in arrays:
        return {}
    constant = constant_thumbs(arrays["thumbs"])
    return {"images": {"count": constant.size, "constant": int(constant.sum())}}


def constant_note(summary: dict[str, Any]) -> str:
    """Return a sentence about images of one grey value, where there are any; else nothing."""
    images = summary.get("images", {"count": 0, "constant": 0})
    if not images["constant"]:
        return ""
    few = images["constant"] <= TOLERATED * images["count"]
    return (
        f"{images['constant']} of {images['count']} images are constant, one grey value everywhere: the autoencoder's "
        "weights are damaged, or overflow in this precision; "
        + ("they count as alike to none" if few else "`seeds` is not scored")
    )


def _scores(
    table: pd.DataFrame,
    arrays: dict[str, Array],
    tokens: tuple[Array, Array],
    outlier_rule: OutlierRule,
    size: int,
    blind: int,
) -> pd.DataFrame:
    """Return one row per prompt, highest d_mem first, without text.

    Args:
        table: of the prompts.
        arrays: `norms` (P, S, steps), and `thumbs` and `further` where they were computed.
        tokens: (P,) each, as of `lengths`.
        outlier_rule: what outliers and markers are.
        size: numbers in a latent.
        blind: number of first steps at zero SNR.
    """
    norms = np.asarray(arrays["norms"])
    scores = table.drop(columns="prompt").assign(**variants(norms, size, outlier_rule.first_steps, blind=blind))
    scores["tokens"], scores["seen"] = tokens
    scores["adjusted"] = length_adjusted(scores["d_mem"].to_numpy(), tokens[1])
    if "further" in arrays:
        scores = scores.assign(**further_scores(arrays["further"], arrays["thumbs"]))
    scores["marked"] = table["prompt"].str.contains(outlier_rule.marker, regex=True).to_numpy()
    for column in ("d_mem", "adjusted"):
        scores[f"{column}_outlier"] = outliers(
            scores[column].to_numpy(), percentile=outlier_rule.percentile, z=outlier_rule.z
        )
    return scores.sort_values(["d_mem", "sha"], ascending=[False, True], ignore_index=True)
