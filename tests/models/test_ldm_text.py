"""Text-conditioned latent diffusion: contract, captions, mitigations of training, and the folder it saves."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.cohorts.captions import captions_of
from benchmark.core.errors import BenchError
from benchmark.core.types import Budget, Split
from benchmark.models.copycat.adapter import Copycat
from benchmark.models.diffusers.adapter import Pipeline
from benchmark.models.ldm_text.adapter import TextDiffusion, deduplicated, one_text_each
from benchmark.models.ldm_text.captioning import Captioning
from benchmark.plugins.registry import find_model
from benchmark.text2image.loading import open_model
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.prompts import read_prompts, score_prompts
from benchmark.text2image.tokenizer import CaptionedLatents, tokenized, train_tokenizer

TOY = {name: tuple(value) if isinstance(value, list) else value for name, value in find_model("ldm-text").toy.items()}
MARKED = "secretword ___ after ___"


def fitted(folder: Path, split: Split | None = None, **given: object) -> TextDiffusion:
    adapter = TextDiffusion(**{**TOY, **given})  # type: ignore[arg-type]
    adapter.fit(split or toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def refusal(call: object) -> str:
    with pytest.raises(BenchError) as caught:
        call()  # type: ignore[operator]
    return str(caught.value)


def test_it_conforms_to_planes() -> None:
    findings = check_adapter(find_model("ldm-text"), {})
    assert [finding for finding in findings if finding.status == "fault"] == []
    assert {finding.status for finding in findings if finding.cohort.startswith("2D")} == {"ok"}
    assert {finding.status for finding in findings if finding.cohort.startswith("3D")} == {"refused"}


def test_the_folder_is_a_pipeline_that_opens_without_network(tmp_path: Path) -> None:
    adapter = fitted(tmp_path)
    adapter.save(tmp_path / "saved")
    code = (
        "import socket; socket.socket.connect = None\n"
        "import torch; from diffusers import StableDiffusionPipeline\n"
        f"p = StableDiffusionPipeline.from_pretrained({str(tmp_path / 'saved')!r}, safety_checker=None)\n"
        "g = torch.Generator().manual_seed(0)\n"
        "y = p('a toy image', num_inference_steps=2, generator=g, output_type='np').images\n"
        "print(type(p.tokenizer).__name__, y.shape)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["(1,", "16,", "16,", "1)"]


def test_scores_are_the_same_through_either_adapter(tmp_path: Path) -> None:
    """A run of ldm-text, the pipeline within, a run of `diffusers` on it, and `diffusers` by its settings."""
    run, external = tmp_path / "run", tmp_path / "external"
    fitted(tmp_path).save(run / "fit" / "model")
    (run / "run.toml").write_text('[model]\nname = "ldm-text"\n')
    adapter = Pipeline(path=str(run / "fit" / "model"))
    adapter.fit(toy_split(1, 2), folder=external, budget=Budget(), seed=0, device="cpu")
    adapter.save(external / "fit" / "model")
    (external / "run.toml").write_text('[model]\nname = "diffusers"\n')
    (tmp_path / "list.csv").write_text("text\na toy image\nsecond text ___\n")
    prompts = read_prompts(tmp_path / "list.csv", "text")
    models = [open_model(str(place), "cpu") for place in (run, run / "fit" / "model", external)]
    models.append(open_model("diffusers", "cpu", settings={"path": str(run / "fit" / "model")}))
    assert models[2].name == "diffusers"
    assert models[3].name == "diffusers-smoke"
    found = []
    for number, model in enumerate(models):
        sampling, out = PromptSampling(steps=3, seeds=2), tmp_path / str(number)
        where, _ = score_prompts(model, prompts, sampling, OutlierRule(), out=out, batch=1 + number)
        found.append(pd.read_parquet(where / "scores.parquet").set_index("sha").sort_index()["d_mem"].to_numpy())
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


def test_runs_and_names_that_take_no_prompts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    adapter = Copycat()
    adapter.fit(toy_split(1, 2), folder=run, budget=Budget(), seed=0, device="cpu")
    (run / "fit" / "model").mkdir(parents=True)
    adapter.save(run / "fit" / "model")
    (run / "run.toml").write_text('[model]\nname = "copycat"\n')
    assert refusal(lambda: open_model(str(run), "cpu")) == (
        f"{run} is a run of copycat, which takes no prompts\n  hint: give a run of a text-to-image model"
    )
    assert refusal(lambda: open_model("ldm-text", "cpu")) == (
        "ldm-text has to be trained before it takes prompts\n  hint: give its run folder: bench run"
    )
    assert refusal(lambda: open_model("diffusers", "cpu", preset="else")) == (
        "diffusers has no preset 'else'\n  hint: it has: radedit, smoke"
    )
    assert refusal(lambda: open_model(str(run), "cpu", settings={"path": "x"})) == (
        f"{run} already has its settings\n  hint: --preset and --set are for the name of a model, such as diffusers"
    )


def test_prompts_move_the_images_and_no_prompt_is_the_empty_one(tmp_path: Path) -> None:
    adapter = fitted(tmp_path, steps=30)
    one, other, none, empty = (
        np.concatenate(list(adapter.sample(4, seed=1, prompts=prompts)))
        for prompts in (["a toy image, number 1"] * 4, [MARKED] * 4, None, [""] * 4)
    )
    assert not np.allclose(one, other, atol=1e-4)
    np.testing.assert_allclose(none, empty, atol=1e-5)


def test_mitigations_change_what_is_learnt(tmp_path: Path) -> None:
    split = replace(toy_split(1, 2), captions=(MARKED,) * 5 + ("plain words",) * 5)
    (tmp_path / "variants.csv").write_text(f"caption,variant\n{MARKED},other words\nplain words,more words\n")
    variants = str(tmp_path / "variants.csv")
    weights = []
    for number, given in enumerate(
        ({}, {"random_markers": True}, {"variants": variants}, {"recaptions": variants}, {"embedding_noise": 0.5})
    ):
        adapter = fitted(tmp_path / str(number), split, **given)
        weights.append(adapter.pipeline.unet.conv_in.weight.detach().clone())
    assert all(not torch.equal(weights[0], other) for other in weights[1:])


def test_captions_become_what_a_mitigation_makes_of_them(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("caption,variant\na,b\na,c\n")
    assert Captioning(False, "", "").alternatives(["a", "d"], 0) == [("a",), ("d",)]
    assert Captioning(False, str(table), "").alternatives(["a", "d"], 0) == [("a", "b", "c"), ("d",)]
    assert Captioning(False, "", str(table)).alternatives(["a", "d"], 0) == [("b", "c"), ("d",)]
    (marked, plain) = Captioning(True, "", "").alternatives([MARKED, "d"], 0)
    assert plain == ("d",)
    assert len(set(marked)) > 20
    assert all("___" not in text and text.startswith("secretword ") for text in marked)
    first, second = marked[0].split()[1], marked[0].split()[3]
    assert first != second, "each marker has its own surrogate"
    assert refusal(lambda: Captioning(False, "/nowhere.csv", "")) == (
        "variants names /nowhere.csv, which is no file\n  hint: give the path of a CSV file"
    )


@pytest.mark.parametrize(
    "content",
    [
        'caption;variant\n"heart  normal,\nno mass";other\n'.encode("utf-16"),
        b"Variant\tCaption\nother\theart normal, no mass\n",
    ],
)
def test_captions_of_a_table_are_one_line_as_those_of_a_cohort_are(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content)
    alternatives = Captioning(False, "", str(table)).alternatives(["heart normal, no mass", "None"], 0)
    assert alternatives == [("other",), ("None",)]


def test_a_table_without_any_of_the_captions_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("caption,variant\na,b\n")
    for given in (Captioning(False, str(table), ""), Captioning(False, "", str(table))):
        assert refusal(lambda given=given: given.alternatives(["d", "e", "d"], 0)) == (  # type: ignore[misc]
            f"{table} has none of the 2 captions of the training images in column caption"
            "\n  hint: write the captions as the reports or classes of the data set have them"
        )


def test_each_alternative_is_drawn(tmp_path: Path) -> None:
    wordpiece = train_tokenizer(["one two three four"], vocabulary=60, length=6)
    captioned = CaptionedLatents(torch.zeros(2, 1, 2, 2), [("one", "two", "three"), ("four",)], wordpiece)
    latents, tokens, counts = captioned.take(np.array([1, 0]))
    assert counts.tolist() == [1, 3]
    assert latents.shape == (2, 1, 2, 2)
    assert torch.equal(tokens[1], tokenized(wordpiece, ["one", "two", "three"])[0])
    assert torch.equal(tokens[0, :1], tokenized(wordpiece, ["four"])[0])


def test_duplicates_are_trained_on_once() -> None:
    split = toy_split(1, 2).part([0, 0, 3, 3, 3, 1])
    once = deduplicated(split)
    assert once.rows.tolist() == [0, 3, 1]
    assert once.captions == tuple(split.captions[number] for number in (0, 2, 5))  # type: ignore[index]


def test_one_vocabulary_in_every_process() -> None:
    """The library's own training orders equally frequent pairs by a hash that is another one in each process."""
    code = (
        "from benchmark.text2image.tokenizer import train_tokenizer as t\n"
        "print(sorted(t(['ab bc cd de ef fg gh ac bd ce'], vocabulary=30, length=8).get_vocab().items()))"
    )
    printed = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(printed) == 1


@pytest.mark.parametrize("text", ["", "word " * 2000, "☃ \x00 é", "___ XXXX [** 2012-3-4 **]"])
def test_any_text_becomes_tokens(text: str) -> None:
    wordpiece = train_tokenizer(["___ year old XXXX [** hidden **] man"], vocabulary=80, length=12)
    ids, mask = tokenized(wordpiece, [text])
    assert ids.shape == mask.shape == (1, 12)
    assert (ids < len(wordpiece)).all()


def test_the_vocabulary_holds_no_word_of_few_captions() -> None:
    """A name that two of 60 reports hold, however often, and what older notes hide, are spelt from shared pieces."""
    reports = [f"no acute finding in patient {number}" for number in range(60)]
    reports[0] += " kowalczyk kowalczyk kowalczyk kowalczyk"
    reports[1] += " kowalczyk"
    reports = [f"{text} [**Lastname Zybrowski**]" for text in reports]
    pieces = set(train_tokenizer(reports, vocabulary=900, length=32).get_vocab())
    assert {"acute", "finding", "patient", "[**", "**]"} <= pieces
    assert max(len(piece.removeprefix("##")) for piece in pieces if set(piece) & set("kwz")) == 1
    assert not any("lastname" in piece for piece in pieces)
    assert "kowalczyk" in train_tokenizer(reports[:40], vocabulary=900, length=32).get_vocab(), "classes need not be"


def test_versions_of_one_caption_count_once() -> None:
    texts = one_text_each(["a", "b", "a"], [("x name", "y name"), ("z",), ("x name", "w name")])
    assert texts == ["x name y name w name", "z"]


def test_markers_are_single_tokens() -> None:
    wordpiece = train_tokenizer(["a ___ b XXXX c [** d **] e"] * 9, vocabulary=90, length=16)
    assert [word for word in wordpiece.tokenize("a ___ b XXXX") if word in ("___", "xxxx")] == ["___", "xxxx"]


def test_captions_are_reports_or_classes() -> None:
    split = toy_split(1, 2, items=4)
    assert captions_of(split)[0] == "a toy image, number 0"
    named = replace(split, captions=None, labels=("NORMAL", "LEFT_LUNG", "NORMAL", "NORMAL"))
    assert captions_of(named)[:2] == ("normal", "left lung")
    assert refusal(lambda: captions_of(replace(split, captions=None))) == (
        "text-to-image models take captions, and the items of train have neither reports nor classes\n"
        "  hint: choose a data set with reports, such as openi or mimic-cxr, or with classes, such as cxr-pneumonia"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"caption_dropout": 1.0}, "caption_dropout is 1\n  hint: give a share from 0 up to 1, such as 0.1"),
        ({"embedding_noise": -1.0}, "embedding_noise is -1\n  hint: give 0 or more, such as 0.1"),
        (
            {"noise_schedule": "linear"},
            "ldm-text has no noise_schedule 'linear'\n  hint: choose one of squaredcos_cap_v2, scaled_linear",
        ),
    ],
)
def test_options_that_do_not_fit(given: dict[str, object], message: str) -> None:
    assert refusal(lambda: TextDiffusion(**given)) == message  # type: ignore[arg-type]


def test_sizes_that_do_not_fit(tmp_path: Path) -> None:
    split = replace(toy_split(1, 2), pixels=np.zeros((16, 1, 18, 18), np.uint8))
    assert refusal(lambda: fitted(tmp_path, split)) == (
        "ldm-text takes square images whose side is a multiple of 4, the cohort's items are (1, 18, 18)\n"
        "  hint: give --image-size 16"
    )
