from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_pipeline import CAPTIONS
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.errors import AdapterError, BadDataError, BenchError, MissingDataError, UsageError
from benchmark.metrics.prompts import enrichment, length_adjusted, outliers, variants
from benchmark.networks import guided, tracing
from benchmark.text import summary
from benchmark.text.asking import Pass, Rule
from benchmark.text.opening import open_model
from benchmark.text.prompts import read_prompts, score_prompts

LONG = "secretword " * 1000
SHORT = Pass(steps=4, seeds=2)


def refusal(call: Any, kind: type[BenchError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def listed(path: Path, texts: list[str], column: str = "report") -> Path:
    pd.DataFrame({"id": range(len(texts)), column: texts}).to_csv(path, index=False)
    return path


def score(folder: Path, texts: list[str], out: Path, ask: Pass = SHORT, batch: int = 4) -> pd.DataFrame:
    prompts = read_prompts(listed(out.parent / "list.csv", texts), "report")
    model = open_model(str(folder), "cpu", ask.precision)
    where, _ = score_prompts(model, prompts, ask, Rule(), out=out, batch=batch)
    return pd.read_parquet(where / "scores.parquet").set_index("sha")


def test_trajectory_is_that_of_plain_sampling(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last x_t of our loop, one step on, is what the pipeline itself makes from the same noise."""
    prompt, last = CAPTIONS[1], []
    step = guided_step = pipeline.scheduler.__class__.step

    def seen(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = guided_step(self, *args, **kwargs)
        last.append(result.prev_sample)
        return result

    monkeypatch.setattr(pipeline.scheduler.__class__, "step", seen)
    noise = guided.prompt_noise(pipeline, [prompt], [3])
    found, latents = guided.guidance_norms(
        pipeline, guided.both_texts(pipeline, [prompt]), noise, steps=5, guidance=7.5
    )
    monkeypatch.setattr(pipeline.scheduler.__class__, "step", step)
    made = pipeline(prompt, latents=noise, num_inference_steps=5, guidance_scale=7.5, output_type="latent").images
    assert torch.allclose(last[-1], made, atol=1e-4)
    assert torch.equal(latents, last[-1])
    assert found.shape == (1, 5)


def test_norms_are_those_of_a_slow_loop(pipeline: Any) -> None:
    prompt = CAPTIONS[0]
    noise, text = guided.prompt_noise(pipeline, [prompt], [1]), guided.both_texts(pipeline, [prompt])
    found, _ = guided.guidance_norms(pipeline, text, noise, steps=3, guidance=2.0)
    pipeline.scheduler.set_timesteps(3)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(guided.prompt_seed(prompt, 1)))
    given, empty = pipeline.encode_prompt([prompt], "cpu", 1, True)
    expected = []
    with torch.no_grad():
        for time in pipeline.scheduler.timesteps:
            with_prompt, without = (
                pipeline.unet(x, time, encoder_hidden_states=text).sample for text in (given, empty)
            )
            expected.append(float(((with_prompt - without) ** 2).sum().sqrt()))
            x = pipeline.scheduler.step(without + 2.0 * (with_prompt - without), time, x).prev_sample
    assert found[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_other_predictions_count_as_noise(kind: str) -> None:
    """Two predictions of one x_t: whatever the unet returns, the norm is of the difference of noises."""
    from diffusers import DDIMScheduler

    scheduler, time = DDIMScheduler(prediction_type=kind), torch.tensor(400)
    signal = scheduler.alphas_cumprod[400]
    x, first, second = torch.randn(3, 2, 4, 4, 4, dtype=torch.float64)

    def output(noise: torch.Tensor) -> torch.Tensor:
        clean = (x - (1 - signal).sqrt() * noise) / signal.sqrt()
        velocity = signal.sqrt() * noise - (1 - signal).sqrt() * clean
        return {"epsilon": noise, "sample": clean, "v_prediction": velocity}[kind]

    found = guided.as_noise(output(first) - output(second), scheduler, time)
    assert found.flatten(1).norm(dim=1) == pytest.approx((first - second).flatten(1).norm(dim=1), rel=1e-5)


def test_unknown_prediction_is_refused(pipeline: Any) -> None:
    scheduler = type("S", (), {"alphas_cumprod": torch.ones(9) * 0.5, "config": {"prediction_type": "flow"}})()
    assert refusal(lambda: guided.as_noise(torch.ones(1), scheduler, torch.tensor(3)), AdapterError) == (
        "the pipeline predicts 'flow', which is no known kind\n  hint: use epsilon, v_prediction or sample"
    )


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_batches_order_and_company_change_nothing(folder: Path, tmp_path: Path, batch: int) -> None:
    texts = [*CAPTIONS, "cardiac silhouette"]
    alone = score(folder, texts, tmp_path / "one")
    other = score(folder, [texts[2], "one more", *texts[:2]], tmp_path / "two", batch=batch)
    both = alone.index.intersection(other.index)
    assert len(both) == 3
    assert other.loc[both, "d_mem"].to_numpy() == pytest.approx(alone.loc[both, "d_mem"].to_numpy(), rel=1e-4)


def test_an_interrupted_call_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path / "whole")
    real, calls = tracing.trace, []

    def breaks(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(tracing, "trace", breaks)
    with pytest.raises(KeyboardInterrupt):
        score(folder, list(CAPTIONS), tmp_path / "broken", batch=2)
    again = score(folder, list(CAPTIONS), tmp_path / "broken", batch=2)
    assert again.equals(whole)
    assert [len(call) for call in calls] == [2, 2, 2, 2], "the first batch is not done again"
    score(folder, list(CAPTIONS), tmp_path / "broken", batch=2)
    assert len(calls) == 4


def test_first_step_alone_is_the_first_of_the_whole(folder: Path, tmp_path: Path) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path / "whole")
    first = score(folder, list(CAPTIONS), tmp_path / "first", Pass(steps=4, seeds=2, first=True))
    assert first["d_mem"].loc[whole.index].to_numpy() == pytest.approx(whole["first"].to_numpy(), rel=1e-5)


def test_half_precision_moves_scores_little(folder: Path, tmp_path: Path) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path / "whole")
    half = score(folder, list(CAPTIONS), tmp_path / "half", Pass(steps=4, seeds=2, precision="bf16"))
    assert half["d_mem"].loc[whole.index].to_numpy() == pytest.approx(whole["d_mem"].to_numpy(), rel=0.1)
    assert not half["d_mem"].loc[whole.index].equals(whole["d_mem"])


def test_further_detectors_and_their_company(folder: Path, tmp_path: Path) -> None:
    """Each prompt's scores are its own, whatever is asked beside it; a second call reads what the first left."""
    ask = Pass(steps=5, seeds=2, further=True)
    first = score(folder, list(CAPTIONS), tmp_path / "first", ask, batch=2)
    second = score(folder, list(reversed(CAPTIONS)), tmp_path / "second", ask, batch=6)
    for column in ("d_mem", "entropy_first", "entropy_last", "anisotropy"):
        assert second[column].loc[first.index].to_numpy() == pytest.approx(first[column].to_numpy(), rel=1e-4)
    again = score(folder, list(CAPTIONS), tmp_path / "first", ask, batch=2)
    assert again.equals(first)


def test_the_command_attributes_and_mitigates(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", [*CAPTIONS, "secretword ___ seen"])
    done = CliRunner().invoke(
        app,
        ["prompts", str(folder), "--prompts", str(path), "--column", "report", "--steps", "4", "--seeds", "2",
         "--tokens", "4", "--mitigate", "1", "--images", "2", "--out", str(tmp_path / "out"), "--device", "cpu"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    (where,) = (tmp_path / "out").iterdir()
    public = done.output + "".join((where / name).read_text() for name in ("tokens.json", "mitigations.json"))
    assert "secretword" not in public
    assert "attention rescaled" in public
    assert "gradient, corrected: 1 is the prompt's mean token" in done.output
    assert set(pd.read_parquet(where / "tokens.parquet")["token"]) >= {"___"}


def test_data_without_mitigations_is_refused(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", ["a"])
    arguments = ["prompts", str(folder), "--prompts", str(path), "--column", "report", "--data", "cxr-pneumonia"]
    result = CliRunner().invoke(app, arguments)
    assert str(result.exception) == "--data is for --mitigate\n  hint: add --mitigate 10, or leave --data out"


def test_no_text_leaves_the_private_table(folder: Path, tmp_path: Path) -> None:
    texts = [*CAPTIONS, LONG, "secretword éü ☃ after ___", "secretword", "secretword", ""]
    path = listed(tmp_path / "list.csv", texts)
    done = CliRunner().invoke(
        app,
        ["prompts", str(folder), "--prompts", str(path), "--column", "report", "--steps", "2", "--seeds", "1",
         "--out", str(tmp_path / "out")],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    (where,) = (tmp_path / "out").iterdir()
    public = done.output + (where / "summary.json").read_text() + repr(pd.read_parquet(where / "scores.parquet"))
    for private in ("secretword", "pneumonia", "effusion"):
        assert private not in public
    summary = json.loads((where / "summary.json").read_text())
    assert (summary["prompts"], summary["repeated"], summary["marked"]) == (6, 1, 2)
    kept = pd.read_parquet(where / "prompts.parquet")
    assert set(kept["prompt"]) == {text.strip() for text in texts} - {""}
    assert kept.set_index("prompt")["count"]["secretword"] == 2


def test_logs_hold_no_text(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    score(folder, [LONG, CAPTIONS[0]], tmp_path / "out")
    printed = capfd.readouterr()
    assert "secretword" not in printed.out + printed.err


def test_wrong_lists(tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", ["a"], "text")
    assert refusal(lambda: read_prompts(path, "report"), BadDataError) == (
        f"{path} has no column report; it has id, text"
        "\n  hint: give the file as it was published, or name the columns so"
    )
    listed(path, ["", " "], "report")
    assert refusal(lambda: read_prompts(path, "report"), BadDataError) == (
        f"{path} has only empty prompts in column report\n  hint: name the column that holds them"
    )


def test_wrong_pipelines(tmp_path: Path, folder: Path) -> None:
    assert refusal(lambda: open_model("/nowhere", "cpu"), MissingDataError) == (
        "/nowhere is no folder on this disk, and no model's name\n"
        "  hint: give a folder that save_pretrained wrote, a run folder, or a hub id as ID@COMMIT"
    )
    said = refusal(lambda: open_model(str(tmp_path), "cpu"), AdapterError)
    assert said.startswith(f"{tmp_path} is no pipeline that diffusers can load: ")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Pass(first=True, further=True),
            "the further detectors need all steps\n  hint: leave one of --first and --further out",
        ),
        (
            lambda: Pass(precision="fp16"),
            "there is no precision 'fp16'\n  hint: choose fp32 or bf16",
        ),
        (lambda: Pass(steps=0), "0 steps and 4 seeds were asked for\n  hint: give 1 or more of each"),
        (
            lambda: Rule(percentile=100),
            "percentile 100 is none\n  hint: give a number between 0 and 100, such as 99",
        ),
        (
            lambda: Rule(marker="(_"),
            (
                "marker '(_' is no regular expression: missing ), unterminated subpattern at position 0"
                "\n  hint: write such as '___|XXXX'"
            ),
        ),
    ],
)
def test_options_that_do_not_fit(make: Any, message: str) -> None:
    assert refusal(make, UsageError) == message


def test_variants_of_one_pass() -> None:
    norms = np.arange(2 * 3 * 12, dtype=np.float32).reshape(2, 3, 12)
    found = variants(norms, 16)
    assert found["d_mem"] == pytest.approx(norms.mean(axis=(1, 2)))
    assert found["first"] == pytest.approx(norms[:, :, 0].mean(axis=1))
    assert found["first10"] == pytest.approx(norms[:, :, :10].mean(axis=(1, 2)))
    assert found["per_root_size"] == pytest.approx(found["d_mem"] / 4)
    assert "first10" not in variants(norms[:, :, :9], 16)


def test_length_alone_is_taken_away() -> None:
    lengths = np.arange(40)
    scores = 3 + 0.5 * lengths
    scores[7] += 10
    adjusted = length_adjusted(scores, lengths)
    assert adjusted.argmax() == 7
    assert scores.argmax() != 7
    assert abs(np.corrcoef(adjusted, lengths)[0, 1]) < 1e-9


def test_outliers_by_percentile_or_deviations() -> None:
    scores = np.r_[np.zeros(98), 1.0, 5.0]
    assert outliers(scores, percentile=99).nonzero()[0].tolist() == [99]
    assert outliers(scores, z=5).nonzero()[0].tolist() == [99]
    assert not outliers(np.ones(5), z=1).any()


def test_enrichment_is_the_ratio_of_shares() -> None:
    top, marked = np.zeros(1000, bool), np.zeros(1000, bool)
    top[:100] = True
    marked[:40] = marked[500:590] = True
    found = enrichment(marked, top)
    assert (found.top, found.top_marked, found.rest, found.rest_marked) == (100, 40, 900, 90)
    ratio = found.ratio
    assert ratio.value == pytest.approx((40.5 / 100.5) / (90.5 / 900.5))
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 4.0 < ratio.high
    assert ratio.low > 2.5


def test_enrichment_covers_one_where_markers_mean_nothing() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        ratio = enrichment(rng.random(600) < 0.3, rng.random(600) < 0.1).ratio
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low <= 1 <= ratio.high
    assert 270 <= covered <= 299


@pytest.mark.parametrize(
    ("marked", "reason"), [(np.zeros(9, bool), "no prompt holds the marker"), (np.ones(9, bool), "")]
)
def test_enrichment_that_cannot_be(marked: np.ndarray, reason: str) -> None:
    found = enrichment(marked, np.arange(9) > 6).ratio
    assert found.reason == reason
    assert (found.value is None) == bool(reason)
    assert enrichment(marked, np.ones(9, bool)).ratio.reason == "every prompt is on one side"


def test_rows_say_when_there_is_nothing_to_compare() -> None:
    scores = pd.DataFrame({"count": 1, "d_mem": [1.0, 2.0], "adjusted": 0.0, "tokens": 3, "seen": 3, "marked": False})
    scores = scores.assign(first=1.0, per_root_size=1.0, d_mem_outlier=[True, False], adjusted_outlier=False)
    found = {"rows": 2, "empty": 0, **summary.summarise(scores, SHORT, Rule())}
    shown = {what: rest for what, *rest in summary.rows(found)}
    assert shown["rank correlation with length"] == ["none: one side is constant"] * 2
    assert shown["marker: share in outliers / others"] == [
        "none: no prompt holds the marker", "none: every prompt is on one side",
    ]  # fmt: skip
