"""Detectors other than d_mem, against slow reference implementations."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_pipeline import CAPTIONS, TOKENS, tokenizer

from benchmark.core.errors import AdapterError
from benchmark.metrics.prompts import diversity, rank_correlation, seed_likeness
from benchmark.text2image.attention import cross_attention, entropy
from benchmark.text2image.detect import detector_scores, require_finite, trace_all
from benchmark.text2image.guided import embed_with_empty, prompt_noise
from benchmark.text2image.tokenizer import tokenized
from benchmark.text2image.tracing import _Entropies, anisotropy, predicted_noise, trace


def unet_output(pipeline: Any, text: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = pipeline.unet(torch.cat([noise, noise]), 500, encoder_hidden_states=text).sample
    return output


def test_watching_changes_nothing_and_sees_shares(pipeline: Any) -> None:
    text, noise = embed_with_empty(pipeline, CAPTIONS[:2]), prompt_noise(pipeline, CAPTIONS[:2], [0, 1])
    plain = unet_output(pipeline, text, noise)
    before = dict(pipeline.unet.attn_processors)
    with cross_attention(pipeline) as seen:
        watched = unet_output(pipeline, text, noise)
    assert pipeline.unet.attn_processors == before
    torch.testing.assert_close(watched, plain, atol=1e-5, rtol=1e-4)
    assert len(seen) == sum(".attn2." in name for name in before)
    for shares in seen:
        assert shares.shape == (4, 16)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))


def test_rescaling_moves_the_prompts_branch_alone(pipeline: Any) -> None:
    text, noise = embed_with_empty(pipeline, CAPTIONS[:1]), prompt_noise(pipeline, CAPTIONS[:1], [0])
    padding = ~tokenized(pipeline.tokenizer, CAPTIONS[:1])[1].bool()
    plain = unet_output(pipeline, text, noise)
    with cross_attention(pipeline, boost=1.25, padding=padding) as seen:
        rescaled = unet_output(pipeline, text, noise)
    torch.testing.assert_close(rescaled[0], plain[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(rescaled[1], plain[1], atol=1e-6)
    assert all((shares[1][padding[0]] == 0).all() for shares in seen)
    assert all((shares[0][padding[0]] > 0).all() for shares in seen)


def test_entropies_are_those_of_a_slow_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    shares = torch.rand(10, 5, 2, 6, generator=rng)  # steps, layers, prompts, tokens
    shares /= shares.sum(dim=-1, keepdim=True)
    padding = torch.tensor([[False] * 4 + [True] * 2, [False] * 6])
    watched = _Entropies(padding, 10)
    for number, one in enumerate(shares):
        watched.take(number, one)

    def slow(values: torch.Tensor) -> float:
        return -sum(float(p) * float(np.log(p)) for p in values if p > 0)

    for prompt in range(2):
        assert float(watched.first[prompt]) == pytest.approx(slow(shares[0, 3, prompt]), rel=1e-5)
        found = []
        for step, layer in itertools.product((8, 9), range(5)):
            padded = [slow(shares[s, layer, prompt][padding[prompt]]) for s in (step, 0)]
            found.append(slow(shares[step, layer, prompt]) + abs(padded[0] - padded[1]))
        assert float(watched.last[prompt]) == pytest.approx(np.mean(found), rel=1e-5)


def test_entropy_of_equal_shares_is_the_logarithm_of_their_number() -> None:
    assert float(entropy(torch.full((8,), 1 / 8))) == pytest.approx(np.log(8))


def test_anisotropy_is_norm_and_twice_the_cosine(pipeline: Any) -> None:
    text, noise = embed_with_empty(pipeline, CAPTIONS[:1]), prompt_noise(pipeline, CAPTIONS[:1], [0])
    (found,) = anisotropy(pipeline, text, noise).tolist()
    pipeline.scheduler.set_timesteps(50)
    high, low = pipeline.scheduler.timesteps[[0, -1]].tolist()
    with torch.no_grad():
        outputs = {
            time: pipeline.unet(torch.cat([noise, noise]), time, encoder_hidden_states=text).sample.flatten(1).numpy()
            for time in (high, low)
        }
    pushed = outputs[low][1] - outputs[low][0]
    cosine = pushed @ outputs[low][0] / np.linalg.norm(pushed) / np.linalg.norm(outputs[low][0])
    assert found == pytest.approx(np.linalg.norm(outputs[high][1] - outputs[high][0]) + 2 * cosine, rel=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_outputs_become_noise(kind: str) -> None:
    from diffusers import DDIMScheduler

    scheduler, time = DDIMScheduler(prediction_type=kind), torch.tensor(400)
    signal = scheduler.alphas_cumprod[400]
    clean, noise = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    x = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * clean
    output = {"epsilon": noise, "sample": clean, "v_prediction": velocity}[kind]
    torch.testing.assert_close(predicted_noise(output, x, scheduler, time), noise, atol=1e-5, rtol=1e-4)


def test_likeness_of_seeds_is_the_mean_correlation_of_pairs() -> None:
    rng = np.random.default_rng(0)
    thumbs = rng.normal(size=(3, 4, 50))
    thumbs[1] = thumbs[1, :1] + 0.01 * rng.normal(size=(4, 50))
    centred = thumbs - thumbs.mean(axis=(0, 1))
    slow = [np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.combinations(one, 2)]) for one in centred]
    assert seed_likeness(thumbs) == pytest.approx(slow)
    assert slow[1] > 0.98
    assert seed_likeness(thumbs[:, :1]).tolist() == [0, 0, 0]


def test_diversity_is_the_root_mean_square_over_pairs_of_floats() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (6, 1, 5, 5)).astype(np.uint8)
    pairs = [((a.astype(float) - b) ** 2).mean() for a, b in itertools.combinations(grey, 2)]
    assert diversity(grey) == pytest.approx(np.sqrt(np.mean(pairs)))
    assert diversity(np.repeat(grey[:1], 3, axis=0)) == 0


def test_one_pass_feeds_all_detectors(pipeline: Any) -> None:
    traces = trace_all(pipeline, CAPTIONS, seeds=2, steps=10, guidance=2.0, batch=5, label="prompts")
    alone = trace(pipeline, [CAPTIONS[2]], [1], steps=10, guidance=2.0, further=False)
    assert traces.norms[2, 1] == pytest.approx(alone.norms[0], rel=1e-4)
    assert traces.images.shape == (3, 2, 1, 16, 16)
    found = detector_scores(traces, np.array([4, 6, 4]), 256)
    assert set(found) == {
        "d_mem", "first", "first10", "adjusted", "entropy_first", "entropy_last", "anisotropy", "seeds", "length",
    }  # fmt: skip
    assert all(values.shape == (3,) and np.isfinite(values).all() for values in found.values())


def test_predictions_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(AdapterError) as caught:
        require_finite(np.array([[1.0], [np.nan]]))
    assert str(caught.value) == (
        "the pipeline's prediction is not finite\n  hint: use another precision, or check its weights"
    )


def test_padding_is_told_by_the_mask_not_by_the_token() -> None:
    """Stable Diffusion 1 pads with its end token: a prompt's own end is not padding."""
    words = tokenizer()
    words.pad_token = words.eos_token
    ids, mask = tokenized(words, ["no acute"])
    assert (ids == words.eos_token_id).sum() > 5
    own = words("no acute").input_ids
    assert ids[0, : len(own)].tolist() == own
    assert mask[0].tolist() == [1] * len(own) + [0] * (TOKENS - len(own)), "its own end counts, the padding does not"


def test_likeness_of_many_prompts_takes_little_memory(tmp_path: Path) -> None:
    shape = (20_000, 2, 256)
    thumbs = np.lib.format.open_memmap(tmp_path / "thumbs.npy", "w+", np.float32, shape)
    thumbs[:] = np.random.default_rng(0).normal(size=shape)
    tracemalloc.start()
    found = seed_likeness(thumbs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6, "all of them are 41 MB as float32, and took three copies as float64"
    assert found[7_000:7_010] == pytest.approx(seed_likeness(np.asarray(thumbs))[7_000:7_010])


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, 50), rng.random(50)
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert rank_correlation(first, np.ones(50)) is None
