"""Token significance against finite differences, words left out, markers replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_pipeline import CAPTIONS

from benchmark.core.errors import AdapterError
from benchmark.text2image import significance
from benchmark.text2image.guided import ddim_scheduler, embed_with_empty, guidance_norms, prompt_noise, trajectory
from benchmark.text2image.markers import MARKER
from benchmark.text2image.options import PromptSampling
from benchmark.text2image.significance import guidance_at, token_significance
from benchmark.text2image.tokens import analyse_tokens, changed, offsets, rows, units_of

MARKED = CAPTIONS[1]


def first_norms(pipeline: Any, text: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    scheduler = ddim_scheduler(pipeline, 1)
    with torch.no_grad():
        return guidance_at(pipeline, text, noise, scheduler.timesteps[0], scheduler).flatten(1)


def test_gradients_are_those_of_finite_differences(pipeline: Any) -> None:
    """Of one step and one image: the derivative along the gradient's own direction is its length."""
    found = token_significance(pipeline, MARKED, [0], steps=1, guidance=2.0)
    text, noise = embed_with_empty(pipeline, [MARKED]), prompt_noise(pipeline, [MARKED], [0])
    scheduler = ddim_scheduler(pipeline, 1)
    leaf = text.clone().requires_grad_()
    guidance_at(pipeline, leaf, noise, scheduler.timesteps[0], scheduler).norm().backward()
    assert leaf.grad is not None
    for token in (0, 1, 3):
        direction = torch.zeros_like(text)
        direction[1, token] = leaf.grad[1, token] / leaf.grad[1, token].norm()
        ends = [float(first_norms(pipeline, text + sign * 0.05 * direction, noise).norm()) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 0.1 == pytest.approx(found[token], rel=0.05)


@pytest.mark.parametrize("batch", [3, 2])
def test_the_faithful_mode_has_the_published_quirks(pipeline: Any, batch: int) -> None:
    """One norm over the batch; one embedding of the prompt for all images, none of the empty one, yet 2N rows."""
    seeds = [0, 1, 2]
    found = token_significance(pipeline, MARKED, seeds, steps=1, guidance=2.0, faithful=True, batch=batch)
    empty, given = embed_with_empty(pipeline, [MARKED]).detach().chunk(2)
    leaf = given.clone().requires_grad_()
    text = torch.cat([empty.expand(3, -1, -1), leaf.expand(3, -1, -1)])
    scheduler = ddim_scheduler(pipeline, 1)
    noise = prompt_noise(pipeline, [MARKED] * 3, seeds)
    guidance_at(pipeline, text, noise, scheduler.timesteps[0], scheduler).norm().backward()
    assert leaf.grad is not None
    rows = torch.zeros(6, *leaf.grad.shape[1:])
    rows[-1] = leaf.grad[0]
    assert found == pytest.approx(rows.norm(dim=-1).mean(dim=0).numpy(), rel=1e-4)


def test_gradients_depend_on_no_batch_and_may_stop_early(pipeline: Any) -> None:
    whole, parts = (
        token_significance(pipeline, MARKED, range(3), steps=3, guidance=2.0, batch=batch) for batch in (3, 2)
    )
    assert parts == pytest.approx(whole, rel=1e-4)
    first = token_significance(pipeline, MARKED, range(3), steps=3, guidance=2.0, only=1)
    text, noise = embed_with_empty(pipeline, [MARKED] * 3), prompt_noise(pipeline, [MARKED] * 3, range(3))
    scheduler, leaf = ddim_scheduler(pipeline, 3), text.clone().requires_grad_()
    guidance_at(pipeline, leaf, noise, scheduler.timesteps[0], scheduler).flatten(1).norm(dim=1).sum().backward()
    assert leaf.grad is not None
    assert first == pytest.approx(leaf.grad[3:].norm(dim=-1).mean(dim=0).numpy(), rel=1e-4)


@pytest.mark.parametrize(("faithful", "expected"), [(True, -2.0), (False, 3.0)])
def test_the_faithful_trajectory_is_guided_away(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, faithful: bool, expected: float
) -> None:
    """With the branches swapped, given + g (empty - given) is empty + (1 - g) (given - empty)."""
    scales = []

    def watched(*args: Any, scale: float, **kwargs: Any) -> Any:
        scales.append(scale)
        return trajectory(*args, scale=scale, **kwargs)

    monkeypatch.setattr(significance, "trajectory", watched)
    token_significance(pipeline, MARKED, [0], steps=2, guidance=3.0, faithful=faithful)
    assert scales == [expected]


def test_characters_tell_which_tokens_are_markers(pipeline: Any) -> None:
    places = offsets(pipeline.tokenizer, MARKED)
    assert MARKED[places[1][0] : places[1][1]] == "___"
    assert places[0] == places[-1] == (0, 0)
    slow = SimpleNamespace(is_fast=False)
    with pytest.raises(AdapterError) as caught:
        offsets(slow, MARKED)
    assert str(caught.value) == (
        "the tokenizer SimpleNamespace does not give the characters of a token"
        "\n  hint: save it as a fast tokenizer (tokenizer.json)"
    )


def test_words_left_out_and_markers_replaced(pipeline: Any) -> None:
    sampling = PromptSampling(steps=2, seeds=2, guidance=2.0)
    table = pd.DataFrame({"prompt": [MARKED, CAPTIONS[0]], "sha": ["m", "p"]})
    found = analyse_tokens(pipeline, table, sampling, MARKER, faithful=False, batch=3)
    words = found.words[found.words["sha"] == "m"]
    assert words["word"].tolist() == MARKED.split()
    assert words["marked"].tolist() == [True, False, False, False, False]
    noise = prompt_noise(pipeline, [MARKED] * 2, [0, 1])
    whole, without = (
        guidance_norms(pipeline, embed_with_empty(pipeline, [text] * 2), noise, steps=2, guidance=2.0)[0].mean()
        for text in (MARKED, " ".join(MARKED.split()[1:]))
    )
    assert words["change"].iloc[0] == pytest.approx(without - whole, abs=1e-4)
    assert found.ablations["sha"].tolist() == ["m"]
    assert found.ablations["deleted"].iloc[0] == pytest.approx(without - whole, abs=1e-4)
    assert 1 / 20 <= found.ablations["p"].iloc[0] <= 1
    assert found.summary["marks_before_all_draws"] == float(found.ablations["p"].iloc[0] <= 0.05)
    assert found.summary["gradients"] == "corrected"
    tokens = found.tokens[found.tokens["sha"] == "m"]
    assert tokens["relative"].mean() == pytest.approx(1)
    assert tokens[tokens["marked"]]["token"].tolist() == ["___"]
    shown = dict(rows(found.summary))
    assert shown["prompts"] == "2"
    assert shown["  with markers and other words"] == "1"


def test_prompts_of_markers_alone_have_no_ablation(pipeline: Any) -> None:
    table = pd.DataFrame({"prompt": ["___ ___"], "sha": ["m"]})
    found = analyse_tokens(pipeline, table, PromptSampling(steps=1, seeds=1), MARKER, faithful=True, batch=8)
    assert not len(found.ablations)
    assert "ablation" not in found.summary


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("seen by [**Known lastname 123**], on [** 2012-3-4 **]", ["seen", "by", "*[**Known lastname 123**]", ",", "on",
                                                                  "*[** 2012-3-4 **]"]),
        ("___ year old", ["*___", "year", "old"]),
        ("old___man", ["old", "*___", "man"]),
        ("XXXX", ["*XXXX"]),
        ("", []),
    ],
)  # fmt: skip
def test_markers_are_units_whatever_they_enclose(prompt: str, parts: list[str]) -> None:
    units = units_of(prompt, MARKER, len(prompt))
    assert [f"{'*' * unit.marked}{prompt[unit.begin : unit.end]}" for unit in units] == parts


def test_units_are_deleted_or_replaced_where_they_stand() -> None:
    prompt = "seen by [**Known lastname 123**], on [** 2012-3-4 **]"
    units = units_of(prompt, MARKER, len(prompt))
    assert changed(prompt, units, {2: " ", 5: "the"}) == "seen by , on the"
    assert changed(prompt, units, {}) == prompt
    assert [unit.end for unit in units_of(prompt, MARKER, 15)] == [4, 7, 15], (
        "the tokenizer's cut may go through a marker"
    )


def test_spaced_markers_are_ablated(pipeline: Any) -> None:
    table = pd.DataFrame({"prompt": ["seen [** a b **] pneumonia"], "sha": ["m"]})
    found = analyse_tokens(pipeline, table, PromptSampling(steps=1, seeds=1), MARKER, faithful=False, batch=8)
    assert found.words["word"].tolist() == ["seen", "[** a b **]", "pneumonia"]
    assert found.words["marked"].tolist() == [False, True, False]
    assert len(found.ablations) == 1
    marked = found.tokens[found.tokens["marked"]]["token"].tolist()
    assert "".join(marked) == "[**ab**]"


def test_words_after_the_cut_are_not_analysed(pipeline: Any) -> None:
    table = pd.DataFrame({"prompt": ["no acute " * 1000, "no acute abnormality"], "sha": ["long", "short"]})
    found = analyse_tokens(pipeline, table, PromptSampling(steps=1, seeds=1), MARKER, faithful=False, batch=8)
    counts = found.words["sha"].value_counts()
    assert counts["short"] == 3
    assert 1 <= counts["long"] <= pipeline.tokenizer.model_max_length
    assert found.summary["cut"] == 1
    assert dict(rows(found.summary))["  cut by the tokenizer: words after the cut are not analysed"] == "1"
