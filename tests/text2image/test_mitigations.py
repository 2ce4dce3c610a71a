"""Each mitigation does what its paper says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_pipeline import CAPTIONS, tokenizer

from benchmark.core.errors import AdapterError
from benchmark.text2image.alignment import open_alignment
from benchmark.text2image.guided import embed_with_empty, guidance_norms, prompt_noise
from benchmark.text2image.mitigate import BEFORE, effects, rows
from benchmark.text2image.mitigations import MITIGATIONS, MitigationSettings, delayed, optimised, rewritten, sampler

SETTINGS = MitigationSettings(steps=6, guidance=3.0, marker="___", insertions=3, target=0.0)
PROMPT = "a b c d e f"


def test_words_and_numbers_are_inserted(pipeline: Any) -> None:
    for name in ("random number", "random word", "repeated word"):
        texts = {rewritten(name, PROMPT, seed, SETTINGS, pipeline.tokenizer) for seed in range(8)}
        assert len(texts) > 4, "each seed has its own"
        for text in texts:
            rest = iter(text.split())
            assert all(word in rest for word in PROMPT.split()), "the prompt's words stay, in order"
        assert rewritten(name, PROMPT, 1, SETTINGS, pipeline.tokenizer) == rewritten(
            name, PROMPT, 1, SETTINGS, tokenizer()
        )
    (numbers,) = [set(rewritten("random number", PROMPT, 0, SETTINGS, None).split()) - set(PROMPT.split())]
    assert len(numbers) == 3
    assert all(0 <= int(number) < 100_000 for number in numbers)
    assert sorted(rewritten("repeated word", PROMPT, 0, SETTINGS, None).split())[0] == "a"
    assert len(rewritten("repeated word", PROMPT, 0, SETTINGS, None).split()) == 9


def test_random_words_are_of_the_models_own_vocabulary() -> None:
    class Few:
        vocab_size = 2

        def decode(self, ids: list[int]) -> str:
            assert ids[0] < self.vocab_size
            return f"piece{ids[0]}"

    many = MitigationSettings(steps=1, guidance=1.0, marker="___", insertions=30, target=0.0)
    assert set(rewritten("random word", "", 0, many, Few()).split()) == {"piece0", "piece1"}


def test_markers_go_and_other_words_stay() -> None:
    assert rewritten("no marker", "___ old ___, with ___", 0, SETTINGS, None) == "old , with"
    assert rewritten("guidance delayed", PROMPT, 0, SETTINGS, None) == PROMPT


def test_guidance_waits_for_the_first_local_minimum() -> None:
    scale = delayed(MitigationSettings(steps=10, guidance=3.0, marker="", insertions=0, target=0.0), -1.0)
    norms = torch.tensor([[5.0, 4.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    assert [scale(number, norms[:, : number + 1]).tolist() for number in range(5)] == [
        [-3, -3], [-3, -3], [-3, -3], [3, -3], [3, -3],
    ]  # fmt: skip
    assert scale(5, norms).tolist() == [3, 3], "half of the steps are the latest"


def test_embeddings_are_moved_until_the_guidance_is_weak(pipeline: Any) -> None:
    prompts = [CAPTIONS[1]] * 4
    text, noise = embed_with_empty(pipeline, prompts), prompt_noise(pipeline, prompts, range(4))
    moved = optimised(pipeline, CAPTIONS[1], SETTINGS)
    assert torch.equal(moved[0, 0], text[4, 0]), "the first token stays"
    after_text = torch.cat([text[:4], moved.expand(4, -1, -1)])
    before, after = (
        guidance_norms(pipeline, some, noise, steps=6, guidance=3.0, only=1)[0].mean() for some in (text, after_text)
    )
    assert after < 0.9 * before
    satisfied = replace(SETTINGS, target=1e9)
    assert torch.equal(optimised(pipeline, CAPTIONS[1], satisfied), text[4:5])


@pytest.mark.parametrize("name", [BEFORE, *MITIGATIONS])
def test_the_batch_does_not_matter(pipeline: Any, name: str) -> None:
    sample = sampler(pipeline, name, CAPTIONS[1], SETTINGS)
    whole, latents = sample(range(5))
    parts = [sample(part) for part in (range(2), range(2, 5))]
    assert np.concatenate([norms for norms, _ in parts]) == pytest.approx(whole, rel=1e-4)
    torch.testing.assert_close(torch.cat([last for _, last in parts]), latents, atol=1e-4, rtol=1e-4)


def test_without_a_mitigation_it_is_plain_guided_sampling(pipeline: Any) -> None:
    text, noise = embed_with_empty(pipeline, [PROMPT] * 2), prompt_noise(pipeline, [PROMPT] * 2, [0, 1])
    expected, latents = guidance_norms(pipeline, text, noise, steps=6, guidance=3.0)
    found, same = sampler(pipeline, BEFORE, PROMPT, SETTINGS)(range(2))
    assert found == pytest.approx(expected)
    assert torch.equal(same, latents)


def test_each_changes_the_images(pipeline: Any) -> None:
    _, plain = sampler(pipeline, BEFORE, CAPTIONS[1], SETTINGS)(range(2))
    for name in MITIGATIONS:
        _, latents = sampler(pipeline, name, CAPTIONS[1], SETTINGS)(range(2))
        assert torch.isfinite(latents).all()
        assert not torch.allclose(latents, plain, atol=1e-6), name
    before = pipeline.unet.attn_processors
    assert all("CrossAttention" not in type(one).__name__ for one in before.values())


def clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    torch.manual_seed(0)
    wordpiece = tokenizer()
    sides = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = CLIPTextConfig(
        vocab_size=len(wordpiece), max_position_embeddings=16, pad_token_id=0, bos_token_id=2, eos_token_id=3, **sides
    )
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **sides)
    CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict())).save_pretrained(folder)
    wordpiece.save_pretrained(folder)
    return folder


def test_effects_tell_before_and_after(pipeline: Any, tmp_path: Path) -> None:
    align = open_alignment(str(clip(tmp_path)), "cpu")

    def copy_scorer(images: np.ndarray) -> tuple[float, float]:
        assert images.shape == (3, 1, 16, 16)
        return 0.5, 0.25

    found = effects(
        pipeline,
        CAPTIONS[:2],
        SETTINGS,
        seeds=3,
        batch=3,
        copy_scorer=copy_scorer,
        align=align,
        names=["guidance delayed"],
    )
    assert list(found) == [BEFORE, "guidance delayed"]
    one = found[BEFORE]
    assert (one.likeness, one.copied) == (0.5, 0.25)
    assert one.alignment is not None
    assert -1 <= one.alignment <= 1
    assert one.rmse > 0
    assert [row[:2] for row in rows(found)] == [("none", ""), ("guidance delayed", "Jain et al. 2025")]
    bare = effects(pipeline, CAPTIONS[:1], SETTINGS, seeds=2, batch=2, names=[])
    assert (bare[BEFORE].likeness, bare[BEFORE].alignment) == (None, None)


def test_removing_markers_counts_prompts_that_have_some(pipeline: Any) -> None:
    """Only CAPTIONS[1] has a marker: the row before is of that prompt alone."""
    found = effects(pipeline, CAPTIONS[:2], SETTINGS, seeds=2, batch=2, names=["no marker"])
    assert {name: effect.prompts for name, effect in found.items()} == {"none": 2, "none, no marker": 1, "no marker": 1}
    alone = effects(pipeline, CAPTIONS[1:2], SETTINGS, seeds=2, batch=2, names=["no marker"])
    assert list(alone) == ["none", "no marker"]
    assert found["none, no marker"].d_mem == pytest.approx(alone["none"].d_mem)
    assert found["no marker"].d_mem == pytest.approx(alone["no marker"].d_mem)
    nothing = effects(pipeline, CAPTIONS[:1], SETTINGS, seeds=2, batch=2, names=["no marker"])
    assert rows(nothing)[1] == ("no marker", "Dutt 2025", "0", *[""] * 6)


def test_alignment_sees_colours(tmp_path: Path) -> None:
    align = open_alignment(str(clip(tmp_path)), "cpu")
    grey = np.random.default_rng(0).uniform(-1, 1, (1, 1, 16, 16)).astype(np.float32)
    colours = np.repeat(grey, 3, axis=1)
    assert align("a", colours) == pytest.approx(align("a", grey), abs=1e-6)
    colours[:, 1:] = -1
    assert align("a", colours) != pytest.approx(align("a", grey), abs=1e-6), "red is not all"


def test_a_folder_without_a_clip_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError) as caught:
        open_alignment(str(tmp_path), "cpu")
    assert caught.value.message.startswith(f"{tmp_path} is not a CLIP model: ")
    assert caught.value.hint == "give a folder with its weights and tokenizer"
