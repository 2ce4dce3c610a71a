"""Images of prompts that an autoencoder spoils: refused where not finite, counted and not scored where constant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_pipeline import CAPTIONS

from benchmark.core.errors import AdapterError
from benchmark.core.types import Split
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.guided import decode_images
from benchmark.text2image.loading import LoadedPipeline, open_model
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.prompts import constant_note, read_prompts, score_prompts

SAMPLING = PromptSampling(steps=2, seeds=2, further=True)


@pytest.fixture
def model(folder: Path) -> LoadedPipeline:
    """A pipeline whose weights a test may change."""
    return open_model(str(folder), "cpu")


def spoil(model: LoadedPipeline, value: float) -> None:
    torch.nn.init.constant_(model.pipeline.vae.decoder.conv_out.bias, value)


def scored(model: LoadedPipeline, out: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    pd.DataFrame({"report": CAPTIONS}).to_csv(out / "list.csv", index=False)
    where, _ = score_prompts(model, read_prompts(out / "list.csv", "report"), SAMPLING, OutlierRule(), out=out, batch=4)
    return pd.read_parquet(where / "scores.parquet"), json.loads((where / "summary.json").read_text())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite_are_refused(model: LoadedPipeline, tmp_path: Path, value: float) -> None:
    spoil(model, value)
    message = (
        "the images of the pipeline's autoencoder are not finite\n"
        "  hint: its weights are damaged, or overflow in this precision: use --precision fp32"
    )
    for call in (lambda: decode_images(model.pipeline, torch.zeros(1, 4, 8, 8)), lambda: scored(model, tmp_path)):
        with pytest.raises(AdapterError) as error:
            call()
        assert str(error.value) == message


def test_seeds_of_black_images_are_not_scored(model: LoadedPipeline, tmp_path: Path) -> None:
    spoil(model, -1e6)
    scores, summary = scored(model, tmp_path)
    assert "seeds" not in scores
    assert {"d_mem", "entropy_first", "anisotropy"} <= set(scores)
    assert summary["images"] == {"count": 6, "constant": 6}
    assert constant_note(summary) == (
        "6 of 6 images are constant, one grey value everywhere: the autoencoder's weights are damaged, or overflow in "
        "this precision; `seeds` is not scored"
    )


def test_seeds_of_images_that_vary_are_scored(model: LoadedPipeline, tmp_path: Path) -> None:
    scores, summary = scored(model, tmp_path)
    assert "seeds" in scores
    assert summary["images"] == {"count": 6, "constant": 0}
    assert constant_note(summary) == constant_note({}) == ""


def test_few_constant_images_are_told() -> None:
    assert constant_note({"images": {"count": 400, "constant": 5}}) == (
        "5 of 400 images are constant, one grey value everywhere: the autoencoder's weights are damaged, or overflow "
        "in this precision; they count as alike to none"
    )


def test_black_images_set_no_threshold_for_copies() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 4, 4)).astype(np.uint8)
    train, heldout = (
        Split(
            name=name, pixels=pixels, rows=np.arange(start, start + 4), subjects=tuple("abcd"), items=tuple("abcd"),
            channels=("x",),
        )
        for name, start in (("train", 0), ("test", 4))
    )  # fmt: skip
    oracle, images = CopyOracle.of(train, heldout), np.random.default_rng(1).uniform(-1, 1, (100, 1, 4, 4))
    images = images.astype(np.float32)
    images[0] = -1
    assert oracle.threshold(images) < 1  # one in a hundred
    images[1] = 0.3
    with pytest.raises(AdapterError) as error:
        oracle.threshold(images)
    assert str(error.value) == (
        "2 of 100 generated images are constant, one grey value everywhere, and would count as no copies\n"
        "  hint: its weights are damaged, or overflow in this precision: use --precision fp32"
    )


def test_a_prediction_that_is_not_finite_names_the_prompt(model: LoadedPipeline, tmp_path: Path) -> None:
    forward = model.pipeline.unet.forward
    calls = []

    def spoiled(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        calls.append(len(output.sample))
        output.sample[5] = torch.nan  # the second half is with prompts: (0, 0), (0, 1), (1, 0), ... of prompt and seed
        return output

    model.pipeline.unet.forward = spoiled
    with pytest.raises(AdapterError) as error:
        scored(model, tmp_path)
    assert calls[0] == 8
    assert str(error.value) == (
        "the pipeline's prediction is not finite for prompt 1 (each counted once)\n"
        "  hint: use another precision, or check its weights"
    )
