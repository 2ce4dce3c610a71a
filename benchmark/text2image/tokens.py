"""Which words of a prompt make it memorised: gradients on tokens, words left out, marks replaced."""

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
from benchmark.text2image.options import PromptSampling
from benchmark.text2image.summary import value_with_ends

if TYPE_CHECKING:
    from benchmark.core.types import Array

NEUTRAL = "the"
DRAWS = 19
"""Of as many other words at random, whose removal is the null: the marks' is stronger than all by chance once in 20."""
ABLATIONS = ("deleted", "surrogate", "neutral")
DELETED = " "
STRONGEST = "marks_before_all_draws"
"""Share of the marked prompts whose d_mem falls more without the marks than in all draws; 0.05 by chance."""


@dataclass(frozen=True)
class TokenFindings:
    """Private tables, and aggregates over prompts that may be published."""

    tokens: pd.DataFrame
    """One row a token: sha, position, token, marked, significance, relative."""
    words: pd.DataFrame
    """One row a word or mark that was left out: sha, position, word, marked, change of d_mem."""
    ablations: pd.DataFrame
    """One row a marked prompt: sha, change of d_mem by ablation, null (mean over random other words), p."""
    summary: dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """Characters of a prompt that go or stay together: a word, or a mark with all that it encloses."""

    begin: int
    end: int
    marked: bool


def analyse_tokens(
    pipeline: Any, table: pd.DataFrame, ask: PromptSampling, marker: str, *, faithful: bool, batch: int
) -> TokenFindings:
    """Attribute d_mem to the tokens and words of each prompt of a table (prompt, sha), up to the tokenizer's cut.

    Changes of d_mem are relative to the prompt as it was, with the same noises. Raises AdapterError where the
    tokenizer does not tell which characters a token stands for.
    """
    tokens, words, ablations, cut = [], [], [], 0
    with progress("tokens", len(table)) as advance:
        for prompt, sha in table[["prompt", "sha"]].itertuples(index=False):
            places = offsets(pipeline.tokenizer, prompt)
            end = max(last for _, last in places)
            cut += end < len(prompt.rstrip())
            units = units_of(prompt, marker, end)
            tokens.append(_tokens(pipeline, prompt, places, units, ask, faithful, batch).assign(sha=sha))
            left_out, ablated = _ablated(pipeline, prompt[:end], units, prompt, ask, batch)
            words.append(left_out.assign(sha=sha))
            ablations += [ablated | {"sha": sha}] if ablated else []
            advance()
    frames = pd.concat(tokens, ignore_index=True), pd.concat(words, ignore_index=True), pd.DataFrame(ablations)
    how = {"gradients": "as published" if faithful else "corrected", "pass": asdict(ask), "cut": cut}
    return TokenFindings(*frames, {**how, **summarise(*frames)})


def units_of(prompt: str, marker: str, end: int) -> list[Unit]:
    """Return the marks and the words between them among the first `end` characters of a prompt, in order."""
    marks = [match.span() for match in re.finditer(marker, prompt) if match.start() < min(match.end(), end)]
    found, place = list[Unit](), 0
    for begin, stop in (*((begin, min(stop, end)) for begin, stop in marks), (end, end)):
        words = re.finditer(r"\S+", prompt[place:begin])
        found += [Unit(place + word.start(), place + word.end(), False) for word in words]
        found += [Unit(begin, stop, True)] if begin < stop else []
        place = stop
    return found


def _tokens(
    pipeline: Any,
    prompt: str,
    places: list[tuple[int, int]],
    units: list[Unit],
    ask: PromptSampling,
    faithful: bool,
    batch: int,
) -> pd.DataFrame:
    from benchmark.text2image.significance import token_significance

    found = token_significance(
        pipeline, prompt, range(ask.seeds), steps=ask.steps, guidance=ask.guidance, faithful=faithful, batch=batch,
        only=ask.taken,
    )  # fmt: skip
    marks = [unit for unit in units if unit.marked]
    frame = pd.DataFrame(
        {
            "position": range(len(places)),
            "token": [prompt[begin:end] for begin, end in places],
            "marked": [any(begin < mark.end and mark.begin < end for mark in marks) for begin, end in places],
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


def _ablated(
    pipeline: Any, prompt: str, units: list[Unit], noise_of: str, ask: PromptSampling, batch: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the change of d_mem without each unit, and by what is done to the marks (nothing without marks)."""
    marked = [unit.marked for unit in units]
    versions = _versions(prompt, units) if any(marked) and not all(marked) else {}
    texts = [changed(prompt, units, {number: DELETED}) for number in range(len(units))]
    flat = [text for some in versions.values() for text in some]
    scores = _d_mem(pipeline, [changed(prompt, units, {}), *texts, *flat], noise_of, ask, batch)
    changes = scores[1:] - scores[0]
    words = [prompt[unit.begin : unit.end] for unit in units]
    frame = pd.DataFrame(
        {"position": range(len(units)), "word": words, "marked": marked, "change": changes[: len(units)]}
    )
    return frame, _by_ablation(versions, changes[len(units) :]) if versions else {}


def _by_ablation(versions: dict[str, list[str]], changes: Array) -> dict[str, float]:
    """Return the mean change by ablation, and the share of the null's draws that change as much, p."""
    rest = iter(changes)
    found = {name: np.array([next(rest) for _ in some]) for name, some in versions.items()}
    p = (1 + int((found["null"] <= found["deleted"][0]).sum())) / (1 + DRAWS)
    return {name: float(values.mean()) for name, values in found.items()} | {"p": p}


def changed(prompt: str, units: Sequence[Unit], new: dict[int, str]) -> str:
    """Return a prompt with other text in place of the units of these numbers, single spaces between words."""
    for number in sorted(new, reverse=True):
        prompt = prompt[: units[number].begin] + new[number] + prompt[units[number].end :]
    return " ".join(prompt.split())


def _versions(prompt: str, units: list[Unit]) -> dict[str, list[str]]:
    """Return the prompt with its marks deleted, replaced by random letters and by a neutral word, and the null."""
    rng = np.random.default_rng([len(units), *prompt.encode()])
    marks = [number for number, unit in enumerate(units) if unit.marked]
    others = [number for number, unit in enumerate(units) if not unit.marked]
    count = min(len(marks), len(others))
    letters = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in marks]
    drawn = [rng.choice(others, count, replace=False).tolist() for _ in range(DRAWS)]
    return {
        "deleted": [changed(prompt, units, dict.fromkeys(marks, DELETED))],
        "surrogate": [changed(prompt, units, dict(zip(marks, letters, strict=True)))],
        "neutral": [changed(prompt, units, dict.fromkeys(marks, NEUTRAL))],
        "null": [changed(prompt, units, dict.fromkeys(some, DELETED)) for some in drawn],
    }


def _d_mem(pipeline: Any, texts: Sequence[str], noise_of: str, ask: PromptSampling, batch: int) -> Array:
    """Return d_mem of each text with the noises of one prompt, so that only words differ, (N,)."""
    from benchmark.text2image.guided import both_texts, guidance_norms, prompt_noise

    jobs = [(text, seed) for text in texts for seed in range(ask.seeds)]
    found = []
    for part in chunks(len(jobs), batch):
        some, seeds = zip(*jobs[part], strict=True)
        noise = prompt_noise(pipeline, [noise_of] * len(seeds), seeds)
        norms, _ = guidance_norms(
            pipeline, both_texts(pipeline, some), noise, steps=ask.steps, guidance=ask.guidance,
            only=ask.taken,
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
        found[STRONGEST] = float((ablations["p"] <= 1 / (1 + DRAWS)).mean())
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
    lines = [
        ("prompts", str(summary["prompts"])),
        ("  with marks and other words", str(summary["marked_prompts"])),
        ("  cut by the tokenizer: words beyond are not looked at", str(summary["cut"])),
    ]
    for key, heading in (
        ("significance", f"gradient, {summary['gradients']}: 1 is the prompt's mean token"),
        ("left_out", "change of d_mem without one word"),
        ("ablation", "change of d_mem by what becomes of the marks"),
    ):
        lines += [(heading, "")] if key in summary else []
        lines += [(f"  {name}", value_with_ends(score)) for name, score in summary.get(key, {}).items()]
    if STRONGEST in summary:
        lines.append((f"  deleted lowers most of {1 + DRAWS} (chance 0.05)", f"{summary[STRONGEST]:.3f}"))
    return lines
