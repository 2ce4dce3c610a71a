"""The private report of scored prompts: its text, its numbers, its images; what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.core.errors import BadDataError
from benchmark.core.sealed import seal
from benchmark.evaluation.report.prompts import is_prompts_folder, write_prompts_report
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.summary import summarise
from benchmark.text2image.top_images import FILE

from .conftest import HOSTILE
from .test_page import Page, opened

COUNT = 30
MARKER = r"___|XXXX|\[\*\*.*?\*\*\]"


def scored(folder: Path, **rule: Any) -> Path:
    """Write a folder as `bench prompts --further` does; the first prompt is hostile, the second has markers."""
    rng = np.random.default_rng(0)
    prompts = [HOSTILE, "seen by ___ on XXXX <b>", *(f"prompt {number}" for number in range(2, COUNT))]
    table = pd.DataFrame({"prompt": prompts, "sha": [f"{number:04x}" for number in range(COUNT)], "count": 1})
    scores = table[["sha", "count"]].assign(
        d_mem=np.linspace(9, 1, COUNT), first=np.linspace(7, 2, COUNT), per_root_size=np.linspace(0.9, 0.1, COUNT),
        tokens=5, seen=rng.integers(2, 6, COUNT), adjusted=np.linspace(3, -3, COUNT),
        entropy_first=rng.normal(size=COUNT), entropy_last=rng.normal(size=COUNT), anisotropy=rng.normal(size=COUNT),
        seeds=np.linspace(0.98, 0.1, COUNT), marked=[number == 1 for number in range(COUNT)],
        d_mem_outlier=[number < 3 for number in range(COUNT)],
        adjusted_outlier=[number < 3 for number in range(COUNT)],
    )  # fmt: skip
    sampling = PromptSampling(steps=4, seeds=2, further=True)
    summary = summarise(scores, sampling, OutlierRule(percentile=90, **rule))
    folder.mkdir(exist_ok=True)
    table.sample(frac=1, random_state=0).to_parquet(folder / "prompts.parquet", index=False)
    scores.to_parquet(folder / "scores.parquet", index=False)
    whole = {"pipeline": "abc123", "rows": COUNT, "empty": 0, **summary}
    (folder / "summary.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


def images(count: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 2, channels, 16, 16)).astype(np.uint8)


def page_of(folder: Path) -> Page:
    return Page(write_prompts_report(folder, folder).read_text(encoding="utf-8"))


def test_top_prompts_are_shown_as_text_with_their_numbers(tmp_path: Path) -> None:
    page = page_of(scored(tmp_path))
    cards = page.all("article")
    assert len(cards) == 5
    assert page.all("blockquote")[:3] == [" ".join(HOSTILE.split()), "seen by ___ on XXXX <b>", "prompt 2"]
    assert page.all("mark") == ["___", "XXXX"]
    assert page.all("script") == []
    assert "Stands out With a de-identification marker." in cards[1]
    assert "Does not stand out" in cards[3]
    assert "d_mem9 (above 97 % of the prompts)" in cards[0]
    assert "likeness of the seeds' images0.98 (above 97 % of the prompts)" in cards[0]
    assert "3 of 30 prompts stand out by d_mem" in page.all("h2")
    assert "What --further found" in page.all("h3")
    (band,) = page.all("aside")
    assert band.startswith("Private: shows prompts")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_those_of_their_prompt(tmp_path: Path, channels: int) -> None:
    folder, made = scored(tmp_path), images(7, channels)
    np.savez(folder / FILE, sha=np.array([f"{number:04x}" for number in range(7)]), images=made)
    seal(folder / FILE)
    page = page_of(folder)
    drawn = {given["alt"]: opened(given["src"]) for tag, given, _ in page.elements if tag == "img"}
    assert len(drawn) == 14
    for rank, noise in ((1, 1), (7, 2)):
        expected = made[rank - 1, noise - 1].transpose(1, 2, 0)
        assert np.array_equal(drawn[f"Prompt {rank}, image from noise {noise}"], np.broadcast_to(expected, (16, 16, 3)))


def test_words_that_carry_a_prompt_are_named_worst_first(tmp_path: Path) -> None:
    folder = scored(tmp_path)
    words = pd.DataFrame({"sha": "0000", "word": ["the", "Smith", "<i>"], "change": [0.02, -0.31, -0.05]})
    words.to_parquet(folder / "words.parquet", index=False)
    assert "change of d_mem without a wordSmith -31 %; <i> -5 %" in page_of(folder).all("article")[0]


def test_a_long_prompt_is_whole_in_its_card_and_short_in_the_list(tmp_path: Path) -> None:
    folder, long = scored(tmp_path), "word " * 500
    texts = pd.read_parquet(folder / "prompts.parquet")
    texts.loc[texts["sha"] == "0002", "prompt"] = long
    texts.to_parquet(folder / "prompts.parquet", index=False)
    page = page_of(folder)
    assert page.all("blockquote")[2] == long.strip()
    assert f"{long[:300].strip()} ..." in page.all("td")


def test_a_marker_of_the_users_own_is_not_in_the_page(tmp_path: Path) -> None:
    page = page_of(scored(tmp_path, marker="seen by"))
    assert page.all("mark") == []
    assert "seen by ___ on XXXX <b>" in page.all("blockquote")


def test_the_page_requests_nothing_and_scores_are_drawn(tmp_path: Path) -> None:
    html = write_prompts_report(scored(tmp_path), tmp_path).read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;; img-src data:" in html
    assert html.count('<svg class="figure"') == 4
    assert html.count('class="dot outlier"') == 3 * 4
    assert not re.search(r'(src|href)="(?!data:|#)', html)


def test_tables_of_different_lists_are_refused(tmp_path: Path) -> None:
    folder = scored(tmp_path)
    pd.read_parquet(folder / "prompts.parquet").head(10).to_parquet(folder / "prompts.parquet", index=False)
    with pytest.raises(BadDataError) as raised:
        write_prompts_report(folder, folder)
    assert (
        raised.value.message == f"{folder / 'scores.parquet'} and {folder / 'prompts.parquet'} are not of the same list"
    )
    assert raised.value.hint == "score the list again: bench prompts"


def test_other_folders_are_no_prompts(tmp_path: Path) -> None:
    assert not is_prompts_folder(tmp_path)
    assert is_prompts_folder(scored(tmp_path))
