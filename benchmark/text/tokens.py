"""Which words of a prompt make it memorised: gradients on tokens, words left out, marks replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.contracts import Score, chunks
from benchmark.errors import AdapterError
from benchmark.progress import progress
from benchmark.text.asking import Pass

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmark.contracts import Array

NEUTRAL = "the"
SPANS = 8
"""Random stretches of other words, as long as the marks, whose removal is the null."""
ABLATIONS = ("deleted", "surrogate", "neutral")


@dataclass(frozen=True)
class TokenFindings:
    """Private tables, and aggregates over prompts that may be published."""

    tokens: pd.DataFrame
    """One row a token: sha, position, token, marked, significance, relative."""
    words: pd.DataFrame
    """One row a word that was left out: sha, position, word, marked, change of d_mem."""
    ablations: pd.DataFrame
    """One row a marked prompt: sha, change of d_mem by ablation, null (mean of random stretches), p."""
    summary: dict[str, Any]


def analyse_tokens(
    pipeline: Any, table: pd.DataFrame, ask: Pass, marker: str, *, faithful: bool, batch: int
) -> TokenFindings:
    """Attribute d_mem to the tokens and words of each prompt of a table (prompt, sha).

    Changes of d_mem are relative to the prompt as it was, with the same noises. Raises AdapterError where the
    tokenizer does not tell which characters a token stands for.
    """
    tokens, words, ablations = [], [], []
    with progress("tokens", len(table)) as advance:
        for prompt, sha in table[["prompt", "sha"]].itertuples(index=False):
            tokens.append(_tokens(pipeline, prompt, ask, marker, faithful).assign(sha=sha))
            left_out, ablated = _ablated(pipeline, prompt, ask, marker, batch)
            words.append(left_out.assign(sha=sha))
            ablations += [ablated | {"sha": sha}] if ablated else []
            advance()
    frames = pd.concat(tokens, ignore_index=True), pd.concat(words, ignore_index=True), pd.DataFrame(ablations)
    return TokenFindings(*frames, summarise(*frames))


def _tokens(pipeline: Any, prompt: str, ask: Pass, marker: str, faithful: bool) -> pd.DataFrame:
    from benchmark.networks.significance import token_significance

    spans = [match.span() for match in re.finditer(marker, prompt)]
    places = offsets(pipeline.tokenizer, prompt)
    found = token_significance(
        pipeline, prompt, range(ask.seeds), steps=ask.steps, guidance=ask.guidance, faithful=faithful
    )
    frame = pd.DataFrame(
        {
            "position": range(len(places)),
            "token": [prompt[begin:end] for begin, end in places],
            "marked": [any(begin < last and first < end for first, last in spans) for begin, end in places],
            "significance": found[: len(places)],
        }
    )
    own = frame[frame["token"] != ""]
    return own.assign(relative=own["significance"] / own["significance"].mean())


def offsets(tokenizer: Any, prompt: str) -> list[tuple[int, int]]:
    """Return which characters of the prompt each token stands for, up to the last that is kept; (0, 0) for none."""
    if not getattr(tokenizer, "is_fast", False):
        raise AdapterError(
            f"the tokenizer {type(tokenizer).__name__} does not tell which characters a token stands for",
            "save it as a fast tokenizer (tokenizer.json)",
        )
    given = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length, return_offsets_mapping=True)
    return [(int(begin), int(end)) for begin, end in given["offset_mapping"]]


def _ablated(pipeline: Any, prompt: str, ask: Pass, marker: str, batch: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the change of d_mem without each word, and by what is done to the marks (nothing without marks)."""
    words = prompt.split()
    marked = [re.search(marker, word) is not None for word in words]
    rng = np.random.default_rng([len(words), *prompt.encode()])
    texts = [" ".join(_without(words, [number])) for number in range(len(words))]
    versions = _versions(words, marked, rng) if any(marked) and not all(marked) else {}
    flat = [text for some in versions.values() for text in some]
    scores = _d_mem(pipeline, [prompt, *texts, *flat], prompt, ask, batch)
    changes = scores[1:] - scores[0]
    frame = pd.DataFrame(
        {"position": range(len(words)), "word": words, "marked": marked, "change": changes[: len(words)]}
    )
    if not versions:
        return frame, {}
    rest, found = iter(changes[len(words) :]), {}
    for name, some in versions.items():
        found[name] = [next(rest) for _ in some]
    null = np.array(found.pop("null"))
    p = (1 + int((null <= found["deleted"][0]).sum())) / (1 + len(null))
    return frame, {name: float(np.mean(values)) for name, values in found.items()} | {
        "null": float(null.mean()),
        "p": p,
    }


def _versions(words: list[str], marked: list[bool], rng: Generator) -> dict[str, list[str]]:
    """Return the prompt with its marks deleted, replaced by random letters and by a neutral word, and the null."""
    letters = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in words]
    others = [number for number, mark in enumerate(marked) if not mark]
    count = min(sum(marked), len(others))
    return {
        "deleted": [" ".join(_without(words, [number for number, mark in enumerate(marked) if mark]))],
        "surrogate": [" ".join(a if mark else word for a, word, mark in zip(letters, words, marked, strict=True))],
        "neutral": [" ".join(NEUTRAL if mark else word for word, mark in zip(words, marked, strict=True))],
        "null": [" ".join(_without(words, rng.choice(others, count, replace=False).tolist())) for _ in range(SPANS)],
    }


def _without(words: list[str], gone: Sequence[int]) -> Iterator[str]:
    return (word for number, word in enumerate(words) if number not in set(gone))


def _d_mem(pipeline: Any, texts: Sequence[str], noise_of: str, ask: Pass, batch: int) -> Array:
    """Return d_mem of each text with the noises of one prompt, so that only words differ, (N,)."""
    from benchmark.networks.guided import both_texts, guidance_norms, prompt_noise

    jobs = [(text, seed) for text in texts for seed in range(ask.seeds)]
    found = []
    for part in chunks(len(jobs), batch):
        some, seeds = zip(*jobs[part], strict=True)
        noise = prompt_noise(pipeline, [noise_of] * len(seeds), seeds)
        norms, _ = guidance_norms(
            pipeline, both_texts(pipeline, some), noise, steps=ask.steps, guidance=ask.guidance,
            only=1 if ask.first else None,
        )  # fmt: skip
        found.append(norms.mean(axis=1))
    scores: Array = np.concatenate(found).reshape(len(texts), ask.seeds).mean(axis=1)
    return scores


def summarise(tokens: pd.DataFrame, words: pd.DataFrame, ablations: pd.DataFrame) -> dict[str, Any]:
    """Return means over prompts of marks and of other words, with intervals; no text."""
    relative = tokens.groupby(["sha", "marked"])["relative"].mean().unstack()
    change = words.groupby(["sha", "marked"])["change"].mean().unstack()
    found = {
        "prompts": int(tokens["sha"].nunique()),
        "marked_prompts": len(ablations),
        "significance": _sides(relative),
        "left_out": _sides(change),
    }
    if len(ablations):
        found["ablation"] = {name: vars(_mean(ablations[name])) for name in (*ABLATIONS, "null")}
        found["p_below_0.2"] = float((ablations["p"] < 0.2).mean())
    return found


def _sides(frame: pd.DataFrame) -> dict[str, Any]:
    names = {True: "marks", False: "other words"}
    return {names[marked]: vars(_mean(frame[marked])) for marked in names if marked in frame}


def _mean(values: pd.Series[float]) -> Score:
    """Return the mean over prompts with its 95 % interval by bootstrap."""
    known = values.dropna().to_numpy()
    if len(known) < 2:
        return Score(value=float(known.mean()) if len(known) else None, n=len(known), reason="fewer than two prompts")
    rng = np.random.default_rng(0)
    drawn = rng.choice(known, (1000, len(known))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = float(known.mean())
    return Score(value=value, low=float(min(low, value)), high=float(max(high, value)), n=len(known))


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, found) rows for a table."""
    lines = [("prompts", str(summary["prompts"])), ("  with marks", str(summary["marked_prompts"]))]
    for key, heading in (
        ("significance", "gradient, 1 is the prompt's mean token"),
        ("left_out", "change of d_mem without one word"),
        ("ablation", "change of d_mem by what becomes of the marks"),
    ):
        lines += [(heading, "")] if key in summary else []
        lines += [(f"  {name}", _text(score)) for name, score in summary.get(key, {}).items()]
    return lines


def _text(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return f"none: {score['reason']}"
    if score["low"] is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
