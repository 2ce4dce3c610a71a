"""Which words of a prompt are tied to its memorisation: token gradients, words left out, markers replaced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.core.errors import AdapterError
from benchmark.core.progress import progress
from benchmark.core.types import Score, chunks
from benchmark.metrics.bootstrap import percentile_interval
from benchmark.metrics.prompts import mean_norms
from benchmark.text2image.options import PromptSampling
from benchmark.text2image.summary import value_with_ends

if TYPE_CHECKING:
    from benchmark.core.types import Array

NEUTRAL = "the"
DRAWS = 19
"""Number of random sets of other words, as many as there are markers, whose removal is the null distribution.

By chance the removal of the markers has a stronger effect than all 19 once in 20.
"""
ABLATIONS = ("deleted", "surrogate", "neutral")
DELETED = " "
STRONGEST = "marks_before_all_draws"
"""Share of prompts with markers whose d_mem falls more without the markers than in all draws; 0.05 by chance."""


@dataclass(frozen=True)
class TokenFindings:
    """Private tables, and aggregates over prompts that may be published."""

    tokens: pd.DataFrame
    """One row per token: sha, position, token, marked, significance, relative."""
    words: pd.DataFrame
    """One row per word or marker that was left out: sha, position, word, marked, change of d_mem."""
    ablations: pd.DataFrame
    """One row per prompt with markers: sha, change of d_mem per ablation, null (mean over the draws), p."""
    summary: dict[str, Any]
    """Publishable."""


@dataclass(frozen=True)
class Unit:
    """Characters [begin, end) of a prompt that are removed or kept together: a word, or a marker with its contents."""

    begin: int
    end: int
    marked: bool


def analyse_tokens(
    pipeline: Any, table: pd.DataFrame, sampling: PromptSampling, marker: str, *, faithful: bool, batch: int
) -> TokenFindings:
    """Attribute d_mem to the tokens and words of each prompt of a table (prompt, sha), up to the tokenizer's cut.

    Changes of d_mem are relative to the original prompt, with the same noises. Raises AdapterError where the tokenizer
    does not give the characters of a token.
    """
    tokens, words, ablations, cut = [], [], [], 0
    with progress("tokens", len(table)) as advance:
        for prompt, sha in table[["prompt", "sha"]].itertuples(index=False):
            spans = offsets(pipeline.tokenizer, prompt)
            end = max(last for _, last in spans)
            cut += end < len(prompt.rstrip())
            units = units_of(prompt, marker, end)
            tokens.append(_tokens(pipeline, prompt, spans, units, sampling, faithful, batch).assign(sha=sha))
            left_out, ablated = _ablated(pipeline, prompt[:end], units, prompt, sampling, batch)
            words.append(left_out.assign(sha=sha))
            ablations += [ablated | {"sha": sha}] if ablated else []
            advance()
    frames = pd.concat(tokens, ignore_index=True), pd.concat(words, ignore_index=True), pd.DataFrame(ablations)
    facts = {"gradients": "as published" if faithful else "corrected", "pass": asdict(sampling), "cut": cut}
    return TokenFindings(*frames, {**facts, **summarise(*frames)})


def units_of(prompt: str, marker: str, end: int) -> list[Unit]:
    """Return the markers and the words between them in the first `end` characters of a prompt, in order."""
    markers = [match.span() for match in re.finditer(marker, prompt) if match.start() < min(match.end(), end)]
    units, place = list[Unit](), 0
    for begin, stop in (*((begin, min(stop, end)) for begin, stop in markers), (end, end)):
        words = re.finditer(r"\S+", prompt[place:begin])
        units += [Unit(place + word.start(), place + word.end(), False) for word in words]
        units += [Unit(begin, stop, True)] if begin < stop else []
        place = stop
    return units


def _tokens(
    pipeline: Any,
    prompt: str,
    spans: list[tuple[int, int]],
    units: list[Unit],
    sampling: PromptSampling,
    faithful: bool,
    batch: int,
) -> pd.DataFrame:
    from benchmark.text2image.significance import token_significance

    significance = token_significance(
        pipeline, prompt, range(sampling.seeds), steps=sampling.steps, guidance=sampling.guidance, faithful=faithful,
        batch=batch, only=sampling.steps_taken,
    )  # fmt: skip
    markers = [unit for unit in units if unit.marked]
    frame = pd.DataFrame(
        {
            "position": range(len(spans)),
            "token": [prompt[begin:end] for begin, end in spans],
            "marked": [any(begin < marker.end and marker.begin < end for marker in markers) for begin, end in spans],
            "significance": significance[: len(spans)],
        }
    )
    own = frame[frame["token"] != ""]
    return own.assign(relative=own["significance"] / own["significance"].mean())


def offsets(tokenizer: Any, prompt: str) -> list[tuple[int, int]]:
    """Return the characters [begin, end) of each token up to the tokenizer's cut; (0, 0) for start and end tokens."""
    if not getattr(tokenizer, "is_fast", False):
        raise AdapterError(
            f"the tokenizer {type(tokenizer).__name__} does not give the characters of a token",
            "save it as a fast tokenizer (tokenizer.json)",
        )
    encoded = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length, return_offsets_mapping=True)
    return [(int(begin), int(end)) for begin, end in encoded["offset_mapping"]]


def _ablated(
    pipeline: Any, prompt: str, units: list[Unit], noise_of: str, sampling: PromptSampling, batch: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the change of d_mem without each unit, and for each ablation of the markers (empty without markers)."""
    marked = [unit.marked for unit in units]
    versions = _versions(prompt, units) if any(marked) and not all(marked) else {}
    texts = [changed(prompt, units, {number: DELETED}) for number in range(len(units))]
    flat = [text for texts in versions.values() for text in texts]
    scores = _d_mem(pipeline, [changed(prompt, units, {}), *texts, *flat], noise_of, sampling, batch)
    changes = scores[1:] - scores[0]
    words = [prompt[unit.begin : unit.end] for unit in units]
    frame = pd.DataFrame(
        {"position": range(len(units)), "word": words, "marked": marked, "change": changes[: len(units)]}
    )
    return frame, _by_ablation(versions, changes[len(units) :]) if versions else {}


def _by_ablation(versions: dict[str, list[str]], changes: Array) -> dict[str, float]:
    """Return the mean change per ablation, and p of the markers' deletion against the null.

    Args:
        versions: texts per ablation, as of `_versions`.
        changes: (texts,) of d_mem, in the order of `versions`.
    """
    remaining = iter(changes)
    by_ablation = {name: np.array([next(remaining) for _ in texts]) for name, texts in versions.items()}
    # Permutation test: the deletion itself is one of the 20 equally likely cases, so that p is never 0 (Phipson & Smyth
    # 2010).
    p = (1 + int((by_ablation["null"] <= by_ablation["deleted"][0]).sum())) / (1 + DRAWS)
    return {name: float(values.mean()) for name, values in by_ablation.items()} | {"p": p}


def changed(prompt: str, units: Sequence[Unit], new: dict[int, str]) -> str:
    """Return a prompt with new text in place of the units with these numbers, and single spaces between words."""
    for number in sorted(new, reverse=True):
        prompt = prompt[: units[number].begin] + new[number] + prompt[units[number].end :]
    return " ".join(prompt.split())


def _versions(prompt: str, units: list[Unit]) -> dict[str, list[str]]:
    """Return texts per ablation: markers deleted, replaced by random letters or a neutral word, and the null."""
    rng = np.random.default_rng([len(units), *prompt.encode()])
    markers = [number for number, unit in enumerate(units) if unit.marked]
    others = [number for number, unit in enumerate(units) if not unit.marked]
    count = min(len(markers), len(others))
    letters = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in markers]
    drawn = [rng.choice(others, count, replace=False).tolist() for _ in range(DRAWS)]
    return {
        "deleted": [changed(prompt, units, dict.fromkeys(markers, DELETED))],
        "surrogate": [changed(prompt, units, dict(zip(markers, letters, strict=True)))],
        "neutral": [changed(prompt, units, dict.fromkeys(markers, NEUTRAL))],
        "null": [changed(prompt, units, dict.fromkeys(numbers, DELETED)) for numbers in drawn],
    }


def _d_mem(pipeline: Any, texts: Sequence[str], noise_of: str, sampling: PromptSampling, batch: int) -> Array:
    """Return d_mem of N texts with the noises of one prompt, so that only the words differ, (N,)."""
    from benchmark.text2image.guided import blind_steps, embed_with_empty, guidance_norms, prompt_noise

    blind = blind_steps(pipeline, sampling.steps)
    pairs = [(text, seed) for text in texts for seed in range(sampling.seeds)]
    parts = []
    for part in chunks(len(pairs), batch):
        part_texts, seeds = zip(*pairs[part], strict=True)
        noise = prompt_noise(pipeline, [noise_of] * len(seeds), seeds)
        norms, _ = guidance_norms(
            pipeline, embed_with_empty(pipeline, part_texts), noise, steps=sampling.steps, guidance=sampling.guidance,
            only=sampling.steps_taken,
        )  # fmt: skip
        parts.append(mean_norms(norms, blind))
    scores: Array = np.concatenate(parts).reshape(len(texts), sampling.seeds).mean(axis=1)
    return scores


def summarise(tokens: pd.DataFrame, words: pd.DataFrame, ablations: pd.DataFrame) -> dict[str, Any]:
    """Return means over prompts for markers and for other words, with intervals; no text."""
    relative = tokens.groupby(["sha", "marked"])["relative"].mean().unstack()
    change = words.groupby(["sha", "marked"])["change"].mean().unstack()
    summary = {
        "prompts": int(tokens["sha"].nunique()),
        "marked_prompts": len(ablations),
        "significance": _sides(relative),
        "left_out": _sides(change),
    }
    if len(ablations):
        summary["ablation"] = {name: vars(_mean(ablations[name])) for name in (*ABLATIONS, "null")}
        summary[STRONGEST] = float((ablations["p"] <= 1 / (1 + DRAWS)).mean())
    return summary


def _sides(frame: pd.DataFrame) -> dict[str, Any]:
    names = {True: "marks", False: "other words"}
    return {names[marked]: vars(_mean(frame[marked])) for marked in names if marked in frame}


def _mean(values: pd.Series[float]) -> Score:
    """Return the mean over prompts with its 95 % interval (percentile bootstrap over prompts, 1,000 draws)."""
    known = values.dropna().to_numpy()
    if len(known) < 2:
        return Score(value=float(known.mean()) if len(known) else None, n=len(known), reason="fewer than two prompts")
    value = float(known.mean())
    low, high = percentile_interval(lambda rng: float(rng.choice(known, len(known)).mean()), value, resamples=1000)
    return Score(value=value, low=low, high=high, n=len(known))


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (quantity, value) rows for a table on the terminal."""
    lines = [
        ("prompts", str(summary["prompts"])),
        ("  with markers and other words", str(summary["marked_prompts"])),
        ("  cut by the tokenizer: words after the cut are not analysed", str(summary["cut"])),
    ]
    for key, heading in (
        ("significance", f"gradient, {summary['gradients']}: 1 is the prompt's mean token"),
        ("left_out", "change of d_mem without one word"),
        ("ablation", "change of d_mem by ablation of the markers"),
    ):
        lines += [(heading, "")] if key in summary else []
        lines += [(f"  {name}", value_with_ends(score)) for name, score in summary.get(key, {}).items()]
    if STRONGEST in summary:
        lines.append((f"  deleted lowers most of {1 + DRAWS} (chance 0.05)", f"{summary[STRONGEST]:.3f}"))
    return lines
