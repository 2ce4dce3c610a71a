from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from scipy import stats
from tiny_pipeline import CAPTIONS
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import AdapterError, BadDataError, BenchError, MissingDataError, UsageError
from benchmark.evaluation.run_evaluation import text_scores
from benchmark.metrics.prompts import enrichment, length_adjusted, outliers, relative_risk, variants
from benchmark.models.ldm_text.captioning import Captioning
from benchmark.text2image import guided, summary, tracing
from benchmark.text2image import loading as opening
from benchmark.text2image.detect import FURTHER
from benchmark.text2image.loading import open_model
from benchmark.text2image.options import FollowUps, OutlierRule, PromptSampling
from benchmark.text2image.pipelines import unsupported_reason
from benchmark.text2image.prompts import read_prompts, score_prompts
from benchmark.text2image.studies.reproduce import Plan
from benchmark.text2image.top_images import FILE, read_top_images
from benchmark.text2image.tracing import trace

LONG = "secretword " * 1000
SHORT = PromptSampling(steps=4, seeds=2)


def refusal(call: Any, kind: type[BenchError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def listed(path: Path, texts: list[str], column: str = "report") -> Path:
    pd.DataFrame({"id": range(len(texts)), column: texts}).to_csv(path, index=False)
    return path


def score(folder: Path, texts: list[str], out: Path, sampling: PromptSampling = SHORT, batch: int = 4) -> pd.DataFrame:
    prompts = read_prompts(listed(out.parent / "list.csv", texts), "report")
    model = open_model(str(folder), "cpu", sampling.precision)
    where, _ = score_prompts(model, prompts, sampling, OutlierRule(), out=out, batch=batch)
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
        pipeline, guided.embed_with_empty(pipeline, [prompt]), noise, steps=5, guidance=7.5
    )
    monkeypatch.setattr(pipeline.scheduler.__class__, "step", step)
    made = pipeline(prompt, latents=noise, num_inference_steps=5, guidance_scale=7.5, output_type="latent").images
    assert torch.allclose(last[-1], made, atol=1e-4)
    assert torch.equal(latents, last[-1])
    assert found.shape == (1, 5)


def test_norms_are_those_of_a_slow_loop(pipeline: Any) -> None:
    prompt = CAPTIONS[0]
    noise, text = guided.prompt_noise(pipeline, [prompt], [1]), guided.embed_with_empty(pipeline, [prompt])
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
        "the pipeline predicts 'flow', which is not supported\n  hint: use epsilon, v_prediction or sample"
    )


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_batches_order_and_company_change_nothing(folder: Path, tmp_path: Path, batch: int) -> None:
    texts = [*CAPTIONS, "cardiac silhouette"]
    alone = score(folder, texts, tmp_path / "one")
    other = score(folder, [texts[2], "one more", *texts[:2]], tmp_path / "two", batch=batch)
    both = alone.index.intersection(other.index)
    assert len(both) == 3
    assert other.loc[both, "d_mem"].to_numpy() == pytest.approx(alone.loc[both, "d_mem"].to_numpy(), rel=1e-4)


def test_shards_of_a_list_have_the_scores_of_the_whole(folder: Path, tmp_path: Path) -> None:
    """Duplicates first, as the guide says, then every second row."""
    texts = [*CAPTIONS, "cardiac silhouette", CAPTIONS[0], "one more"]
    whole = score(folder, texts, tmp_path / "whole", batch=16)
    shards = [score(folder, list(dict.fromkeys(texts))[part::2], tmp_path / str(part), batch=3) for part in range(2)]
    joined = pd.concat(shards)
    assert sorted(joined.index) == sorted(whole.index)
    for column in ("d_mem", "first", "per_root_size"):
        assert joined.loc[whole.index, column].to_numpy() == pytest.approx(whole[column].to_numpy(), rel=1e-4)


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


@pytest.mark.parametrize("damage", ["flip", "cut", "checks"])
def test_changed_numbers_are_computed_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path, batch=1)
    (path,) = tmp_path.rglob("checks.npy" if damage == "checks" else "norms.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content[:-9] if damage == "cut" else bytes(content))
    real, calls = tracing.trace, list[int]()

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(args[1]))
        return real(*args, **kwargs)

    monkeypatch.setattr(tracing, "trace", counted)
    assert score(folder, list(CAPTIONS), tmp_path, batch=1).equals(whole)
    assert sum(calls) == 1


def test_first_step_alone_is_the_first_of_the_whole(folder: Path, tmp_path: Path) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path / "whole")
    first = score(folder, list(CAPTIONS), tmp_path / "first", PromptSampling(steps=4, seeds=2, first=True))
    assert first["d_mem"].loc[whole.index].to_numpy() == pytest.approx(whole["first"].to_numpy(), rel=1e-5)


def test_half_precision_moves_scores_little(folder: Path, tmp_path: Path) -> None:
    whole = score(folder, list(CAPTIONS), tmp_path / "whole")
    half = score(folder, list(CAPTIONS), tmp_path / "half", PromptSampling(steps=4, seeds=2, precision="bf16"))
    assert half["d_mem"].loc[whole.index].to_numpy() == pytest.approx(whole["d_mem"].to_numpy(), rel=0.1)
    assert not half["d_mem"].loc[whole.index].equals(whole["d_mem"])


def test_further_detectors_and_their_company(folder: Path, tmp_path: Path) -> None:
    """Order and batch move nothing; other prompts move the likeness of seeds, which is relative to the mean image."""
    sampling = PromptSampling(steps=5, seeds=2, further=True)
    first = score(folder, list(CAPTIONS), tmp_path / "first", sampling, batch=2)
    second = score(folder, list(reversed(CAPTIONS)), tmp_path / "second", sampling, batch=6)
    fewer = score(folder, list(CAPTIONS[:2]), tmp_path / "fewer", sampling, batch=2)
    for column in ("d_mem", "entropy_first", "entropy_last", "anisotropy"):
        for other in (second, fewer):
            assert other[column].to_numpy() == pytest.approx(first.loc[other.index, column].to_numpy(), rel=1e-4)
    for column in ("seeds", "adjusted"):
        assert second[column].to_numpy() == pytest.approx(first.loc[second.index, column].to_numpy(), abs=1e-3)
        assert fewer[column].to_numpy() != pytest.approx(first.loc[fewer.index, column].to_numpy(), abs=1e-3)
    again = score(folder, list(CAPTIONS), tmp_path / "first", sampling, batch=2)
    assert again.equals(first)


def command_of(folder: Path, path: Path, *more: str) -> list[str]:
    return ["prompts", str(folder), "--prompts", str(path), "--column", "report", "--steps", "4", "--seeds", "2",
            "--out", str(path.parent / "out"), "--device", "cpu", *more]  # fmt: skip


def test_the_command_attributes_and_mitigates(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", [*CAPTIONS, "secretword ___ seen"])
    command = command_of(folder, path, "--tokens", "4", "--mitigate", "2", "--images", "3", "--insertions", "2")
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert "attention rescaled" in done.output
    assert "gradient, corrected: 1 is the prompt's mean token" in done.output
    (where,) = (tmp_path / "out").glob("*/")
    assert set(pd.read_parquet(where / "tokens.parquet")["token"]) >= {"___"}
    identity = json.loads((where / "summary.json").read_text())["pipeline"]
    tokens = json.loads((where / "tokens.json").read_text())
    assert (tokens["pipeline"], tokens["gradients"], tokens["pass"]["steps"]) == (identity, "corrected", 4)
    mitigated = json.loads((where / "mitigations.json").read_text())
    given = {key: mitigated[key] for key in ("pipeline", "prompts", "images", "precision", "compared")}
    assert given == {"pipeline": identity, "prompts": 2, "images": 3, "precision": "fp32", "compared": False}
    assert (mitigated["sampling"]["insertions"], mitigated["sampling"]["guidance"]) == (2, 7.5)
    assert mitigated["effects"]["none"]["prompts"] == 2


def test_the_command_writes_a_private_report_with_images(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", list(CAPTIONS))
    done = CliRunner().invoke(app, command_of(folder, path, "--shown", "2"), catch_exceptions=False)
    (where,) = (tmp_path / "out").glob("*/")
    assert f"report: {where / 'report.html'} (private: it shows prompts and images)" in done.output
    page = (where / "report.html").read_text()
    top = pd.read_parquet(where / "scores.parquet")["sha"].head(2).tolist()
    kept = read_top_images(where)
    assert list(kept) == top
    assert page.count("<img") == 2 * 2
    texts = pd.read_parquet(where / "prompts.parquet").set_index("sha")["prompt"]
    sampled = trace(
        open_model(str(folder), "cpu").pipeline, [texts[top[0]]], [1], steps=4, guidance=7.5, further=True
    )  # fmt: skip
    side = kept[top[0]].shape[-1]
    small = kept[top[0]][1].reshape(-1, 16, side // 16, 16, side // 16).mean(axis=(2, 4)) / 127.5 - 1
    assert sampled.thumbs is not None
    assert small.ravel() == pytest.approx(sampled.thumbs[0], abs=0.01)  # the very image that was scored

    first = (where / FILE).stat().st_mtime_ns
    CliRunner().invoke(app, command_of(folder, path, "--shown", "2"), catch_exceptions=False)
    assert (where / FILE).stat().st_mtime_ns == first, "images are not sampled again"
    (where / "report.html").unlink()
    again = CliRunner().invoke(app, ["report", str(where)], catch_exceptions=False)
    assert again.output == f"report: {where / 'report.html'} (private: it shows prompts and images)\n"
    assert (where / "report.html").read_text() == page


def test_shown_is_a_number_of_prompts() -> None:
    with pytest.raises(UsageError) as raised:
        FollowUps(shown=-1)
    assert (raised.value.message, raised.value.hint) == ("--shown is -1", "give 0 or more prompts")


def test_what_further_computes_is_printed_and_kept(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", list(CAPTIONS))
    plain = CliRunner().invoke(app, command_of(folder, path), catch_exceptions=False)
    assert "further detectors" not in plain.output
    done = CliRunner().invoke(app, command_of(folder, path, "--further"), catch_exceptions=False)
    assert done.exit_code == 0
    (where,) = (one for one in (tmp_path / "out").glob("*/") if (one / "further.npy").exists())
    kept, scores = (
        json.loads((where / "summary.json").read_text())["further"],
        pd.read_parquet(where / "scores.parquet"),
    )
    assert set(kept) == {*FURTHER, *({"seeds"} & set(scores))}
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    for name, one in kept.items():
        assert one["0.5"] == pytest.approx(scores[name].median())
        ranks = scores[name].corr(scores["d_mem"], method="spearman")
        assert one["correlation_with_d_mem"] == pytest.approx(ranks)
        assert f"{name} {one['0.5']:.4g} {one['0.01']:.4g} to {one['0.99']:.4g} {ranks:.2f}" in lines


def test_ground_truth_gives_areas_under_the_curve(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    table = pd.DataFrame({"report": [*CAPTIONS, *CAPTIONS, "more"], "known": ["0", "1", "0"] * 2 + ["1"]})
    table.to_csv(path, index=False)
    command = command_of(folder, path, "--positive", "known", "--first-steps", "2")
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "prompts that are memorised" in done.output
    (where,) = (tmp_path / "out").glob("*/")
    found = json.loads((where / "summary.json").read_text())["separation"]
    assert list(found) == ["d_mem", "first", "first2", "seen", "adjusted"]
    scores = pd.read_parquet(where / "scores.parquet")
    assert int(scores["positive"].sum()) == 2
    pairs = [(a, b) for a in scores[scores["positive"]]["first2"] for b in scores[~scores["positive"]]["first2"]]
    assert found["first2"]["auc"]["value"] == pytest.approx(np.mean([a > b for a, b in pairs]))
    norms = np.load(where / "norms.npy")
    assert scores["first2"].max() == pytest.approx(norms[:, :, :2].mean(axis=(1, 2)).max())


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (["1", "yes"], "{} has 1 rows with neither 0 nor 1 in column known, the first in line 3\n  hint: write 0 or 1"),
        (
            ["1", "0"],
            (
                "{} repeats 1 prompts with both 0 and 1 in column known, the first in lines 2 and 3"
                "\n  hint: give each prompt one of them"
            ),
        ),
    ],
)
def test_labels_that_are_neither_0_nor_1(tmp_path: Path, known: list[str], message: str) -> None:
    path = tmp_path / "list.csv"
    pd.DataFrame({"report": ["a", "a"], "known": known}).to_csv(path, index=False)
    assert refusal(lambda: read_prompts(path, "report", "known"), BadDataError) == message.format(path)


def test_large_lists_are_offered_the_first_step(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.cli.prompts.MANY", 2)
    path = listed(tmp_path / "list.csv", list(CAPTIONS))
    offer = "3 prompts x 2 seeds x 4 steps: --first takes the first step only, at 1/4 of the cost\n"
    assert offer in CliRunner().invoke(app, command_of(folder, path), catch_exceptions=False).stderr
    assert "--first takes" not in CliRunner().invoke(app, command_of(folder, path, "--first")).stderr


def test_no_text_leaves_the_private_tables(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A list as of MIMIC-CXR, every option: text is in the tables called private, and nowhere else."""
    path = listed(tmp_path / "list.csv", MIMIC)
    for more in (["--further", "--tokens", "9", "--mitigate", "2", "--images", "2"], ["--tokens", "2", "--faithful"]):
        done = CliRunner().invoke(
            app, command_of(folder, path, "--marker", "___|Zybrowski", *more), catch_exceptions=False
        )
        assert done.exit_code == 0
        captured = capfd.readouterr()
        require_no_text(done.output + done.stderr + captured.out + captured.err)
    names = set()
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file() and file.name not in PRIVATE:
            names.add(file.name)
            require_no_text(f"{file} {file.read_bytes().decode('utf-8', 'replace')}")
            if file.suffix == ".parquet":
                require_no_text(pd.read_parquet(file).to_csv())
    assert {name for name in names if not name.endswith(".seal")} == {
        ".gitignore", "PRIVATE.txt", "summary.json", "tokens.json", "tokens-faithful.json", "mitigations.json",
        "scores.parquet", "norms.npy", "further.npy", "thumbs.npy", "checks.npy",
    }  # fmt: skip


MIMIC = [
    "EXAMINATION: CHEST (PA AND LAT). INDICATION: ___ year old woman with cough, followed by Dr. ___.",
    "FINDINGS: Right PICC terminates in secretword, unchanged since ___. No pneumothorax.",
    "FINDINGS: Right PICC terminates in secretword, unchanged since ___. No pneumothorax.",
    "IMPRESSION: Mr. Zybrowski shows small effusion; discussed with [**Known lastname 123**] at 4:15 p.m.",
    LONG,
    "secretword \u00e9\u00fc \u2603 after ___",
    "",
]
PRIVATE = {
    "prompts.parquet", "tokens.parquet", "words.parquet", "ablations.parquet", "tokens-faithful.parquet",
    "words-faithful.parquet", "ablations-faithful.parquet", "report.html", "top-images.npz",
}  # fmt: skip


def require_no_text(text: str) -> None:
    for private in ("secretword", "Zybrowski", "zybrowski", "PICC", "pneumothorax", "effusion", "lastname", "woman"):
        assert private not in text


def test_rows_are_counted(folder: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", [*MIMIC, " "])
    done = CliRunner().invoke(app, command_of(folder, path, "--marker", "___|Zybrowski"), catch_exceptions=False)
    (where,) = (tmp_path / "out").glob("*/")
    found = json.loads((where / "summary.json").read_text())
    counts = {name: found[name] for name in ("rows", "empty", "prompts", "repeated", "marked", "cut")}
    assert counts == {"rows": 8, "empty": 2, "prompts": 5, "repeated": 1, "marked": 4, "cut": 5}
    assert found["rule"]["marker"].startswith("text-")
    assert summary.public_marker(OutlierRule().marker) == OutlierRule().marker
    shown = [line.split()[-1] for line in done.output.splitlines() if "rows of the list" in line or "left out" in line]
    assert shown == ["8", "2"]
    kept = pd.read_parquet(where / "prompts.parquet")
    assert set(kept["prompt"]) == {text.strip() for text in MIMIC} - {""}
    assert kept["count"].tolist() == [1, 2, 1, 1, 1]


def test_a_caption_of_thirty_rows_is_asked_once(tmp_path: Path) -> None:
    found = read_prompts(
        listed(tmp_path / "list.csv", ["", *[CAPTIONS[0]] * 30, f" {CAPTIONS[0]} ", CAPTIONS[1]]), "report"
    )
    assert found.table["prompt"].tolist() == list(CAPTIONS[:2])
    assert found.table["count"].tolist() == [31, 1]
    assert (found.rows, found.empty) == (33, 1)


def test_length_is_what_the_model_sees(folder: Path, tmp_path: Path) -> None:
    """A prompt of 10,000 characters has no length beyond the cut: it must not change the slope of the regression."""
    texts = [*CAPTIONS, "no", "no acute", LONG]
    found = score(folder, texts, tmp_path / "out")
    cut = found.loc[found["tokens"].idxmax()]
    assert (cut["tokens"] > 1000, cut["seen"]) == (True, 14)
    assert (found["seen"] <= found["tokens"]).all()
    assert found["adjusted"].to_numpy() == pytest.approx(length_adjusted(found["d_mem"], found["seen"]).to_numpy())
    assert abs(np.corrcoef(found["adjusted"], found["seen"])[0, 1]) < 1e-9


@pytest.mark.parametrize("kind", ["PNDMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"])
def test_latents_are_clipped_only_where_the_pipeline_says_so(kind: str) -> None:
    import diffusers

    def clips(scheduler: Any) -> bool:
        pipeline = SimpleNamespace(scheduler=scheduler, unet=SimpleNamespace(device="cpu"))
        latents, none = torch.full((1, 4, 2, 2), 9.0), torch.zeros(1, 4, 2, 2)
        found = guided.ddim_scheduler(pipeline, 5)
        return bool((found.step(none, found.timesteps[-1], latents).pred_original_sample.abs() <= 1).all())

    assert not clips(getattr(diffusers, kind)())
    assert not clips(diffusers.DDIMScheduler(clip_sample=False))
    assert clips(diffusers.DDIMScheduler())


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({}, ""),
        ({"unet": None}, "has no unet"),
        ({"text_encoder_2": object()}, "has two text encoders"),
        ({"unet": SimpleNamespace(config={"in_channels": 9})}, "has a unet of 9 channels and latents of 4"),
        (
            {"unet": SimpleNamespace(config={"in_channels": 4, "addition_embed_type": "text_time"})},
            "conditions its unet on more than the text",
        ),
        (
            {"unet": SimpleNamespace(config={"in_channels": 4, "time_cond_proj_dim": 256})},
            "takes the scale of the guidance as an input, as distilled models do",
        ),
        (
            {"unet": SimpleNamespace(config={"in_channels": 4, "out_channels": 8})},
            "predicts more than one number per number of a latent",
        ),
        (
            {"scheduler": FlowMatchEulerDiscreteScheduler()},
            "samples by FlowMatchEulerDiscreteScheduler with flow matching, whose noise is not that of DDPM",
        ),
    ],
)
def test_pipelines_of_another_kind(monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any], why: str) -> None:
    """As SDXL, Stable Diffusion 3 and inpainting pipelines are: refused by `bench prompts`, a reason in `bench run`."""
    usual = {"unet": SimpleNamespace(config={"in_channels": 4}), "vae": SimpleNamespace(config={"latent_channels": 4})}
    given = {"tokenizer": 0, "text_encoder": 0, "scheduler": DDIMScheduler(), "text_encoder_2": None, **usual, **parts}
    fake = SimpleNamespace(**{name: part for name, part in given.items() if name != "unet" or part})
    assert unsupported_reason(fake) == why
    if not why:
        return
    monkeypatch.setattr(opening, "_load", lambda *_: fake)
    assert refusal(lambda: open_model("some/hub@commit", "cpu"), AdapterError) == (
        f"some/hub@commit holds a SimpleNamespace, which {why}\n"
        "  hint: give a text-to-image pipeline of Stable Diffusion's kind"
    )
    adapter = SimpleNamespace(prompted=True, pipeline=fake, sample=lambda count: None)
    (score,) = text_scores(adapter, None, Path("nowhere")).values()  # type: ignore[arg-type]
    assert score.reason == f"it is a SimpleNamespace, which {why}"


def test_logs_hold_no_text(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    score(folder, [LONG, CAPTIONS[0]], tmp_path / "out")
    printed = capfd.readouterr()
    assert "secretword" not in printed.out + printed.err


def test_lists_without_a_header_are_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("1,No secretword in Mr. Smith.\n2,Other text\n")
    said = "{} has no column {}; it has 2, and its first line does not look like names of columns\n  hint: {}"
    assert refusal(lambda: read_prompts(path, "report"), BadDataError) == said.format(
        path, "report", "name the column of the prompts with --column; the first line has the names of columns"
    )
    captioning = Captioning(False, str(path), "")
    assert refusal(lambda: captioning.alternatives(["a"], 0), BadDataError) == said.format(
        path,
        "caption and no variant",
        "name the columns so in the first line, with commas, semicolons, tabs or | between them",
    )


def test_a_caption_with_a_comma_that_nobody_quoted(folder: Path, tmp_path: Path) -> None:
    """The text after the comma would be lost, and two prompts would become one."""
    path = tmp_path / "p.csv"
    path.write_text("caption\nNo acute disease, heart normal\nNo acute disease\n")
    done = CliRunner().invoke(app, ["prompts", str(folder), "--prompts", str(path), "--column", "caption"])
    assert isinstance(done.exception, BadDataError)
    assert str(done.exception) == (
        f"{path} has 2 fields in line 2, and its header 1"
        '\n  hint: put the text in double quotes if it contains the separator ",", or give each column a name'
    )
    path.write_text('caption\n"No acute disease, heart normal"\nNo acute disease\n')
    assert list(read_prompts(path, "caption").table["prompt"]) == ["No acute disease, heart normal", "No acute disease"]


def test_prompts_from_a_spreadsheet(tmp_path: Path) -> None:
    """Words that mean a missing value elsewhere are prompts here, and numbers of the labels may have decimals."""
    path = tmp_path / "p.csv"
    content = 'sep=;\r\nCaption;Known;;\r\nNone;1.0;;\r\n"größer;\r\n2 cm";0;;\r\n;1;;\r\nNone;1;;\r\n;;;\r\n'
    path.write_bytes(content.encode("utf-16"))
    listed = read_prompts(path, "caption", "known")
    assert listed.table[["prompt", "count", "positive"]].to_numpy().tolist() == [
        ["None", 2, True], ["größer;\r\n2 cm", 1, False],
    ]  # fmt: skip
    assert (listed.empty, listed.rows) == (1, 4)


def test_prompts_in_windows_1252_are_read_and_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("caption\nHerz größer\n".encode("latin-1"))
    assert list(read_prompts(path, "caption").table["prompt"]) == ["Herz größer"]
    assert capfd.readouterr().err == (
        f"{path} is not UTF-8 (first in line 2) and was read as Windows-1252: if its text looks wrong, save it as CSV "
        "UTF-8\n"
    )


def test_wrong_lists(tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", ["a"], "text")
    assert refusal(lambda: read_prompts(path, "report"), BadDataError) == (
        f"{path} has no column report; it has id, text"
        "\n  hint: name the column of the prompts with --column; the first line has the names of columns"
    )
    listed(path, ["", " "], "report")
    assert refusal(lambda: read_prompts(path, "report"), BadDataError) == (
        f"{path} has only empty prompts in column report\n  hint: name the column that holds them"
    )


def test_wrong_pipelines(tmp_path: Path, folder: Path) -> None:
    assert refusal(lambda: open_model("/nowhere", "cpu"), MissingDataError) == (
        "/nowhere is neither a folder on this disk nor the name of a model\n"
        "  hint: give a folder that save_pretrained wrote, a run folder, or a hub id as ID@COMMIT"
    )
    assert refusal(lambda: open_model("diffusers", "cpu"), UsageError) == (
        "model diffusers needs path\n  hint: give it with --set path=..."
    )
    assert refusal(lambda: open_model(str(tmp_path), "cpu"), AdapterError) == (
        f"{tmp_path} is empty\n  hint: give a folder that save_pretrained wrote"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PromptSampling(first=True, further=True),
            "the further detectors need all steps\n  hint: leave out --first or --further",
        ),
        (
            lambda: PromptSampling(precision="fp16"),
            "there is no precision 'fp16'\n  hint: choose fp32 or bf16",
        ),
        (
            lambda: PromptSampling(guidance=float("nan")),
            "guidance nan is not a finite number\n  hint: give a number such as 7.5",
        ),
        (lambda: OutlierRule(z=float("inf")), "z inf is not a finite number\n  hint: give a number such as 3"),
        (
            lambda: OutlierRule(first_steps=1),
            "first_steps is 1\n  hint: give 2 or more; `first` is the score of one step",
        ),
        (
            lambda: FollowUps(tokens=-1),
            "--tokens is -1 and --mitigate is 0\n  hint: give 0 or more of each",
        ),
        (
            lambda: FollowUps(mitigate=1, images=1),
            "--images 1 shows no diversity\n  hint: give 2 or more images per prompt",
        ),
        (lambda: FollowUps(mitigate=1, insertions=0), "--insertions 0 inserts nothing\n  hint: give 1 or more"),
        (
            lambda: FollowUps(data="cxr-pneumonia"),
            "--data needs --mitigate\n  hint: add --mitigate 10, or leave --data out",
        ),
        (lambda: FollowUps(align="x"), "--align needs --mitigate\n  hint: add --mitigate 10, or leave --align out"),
        (
            lambda: FollowUps(faithful=True),
            "--faithful needs --tokens\n  hint: add --tokens 10, or leave --faithful out",
        ),
        (
            lambda: FollowUps(mitigate=1, root=Path("x")),
            "--root needs --data\n  hint: add --data NAME, or leave --root out",
        ),
        (lambda: Plan(guidance=float("nan")), "guidance nan is not a finite number\n  hint: give a number such as 2"),
        (lambda: PromptSampling(steps=0), "steps is 0 and seeds is 4\n  hint: give 1 or more of each"),
        (
            lambda: OutlierRule(percentile=100),
            "percentile is 100\n  hint: give a number between 0 and 100, such as 99",
        ),
        (
            lambda: OutlierRule(marker="(_"),
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
    assert variants(norms, 16, 5)["first5"] == pytest.approx(norms[:, :, :5].mean(axis=(1, 2)))


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


def test_relative_risk_against_scipy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        total, other_total = (int(count) for count in rng.integers(2, 400, 2))
        cases, other_cases = int(rng.integers(1, total)), int(rng.integers(1, other_total))
        known = stats.contingency.relative_risk(cases, total, other_cases, other_total)
        ends = known.confidence_interval(0.95)
        assert relative_risk(cases, total, other_cases, other_total) == pytest.approx(
            (known.relative_risk, ends.low, ends.high), rel=1e-6
        )


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
    found = {"rows": 2, "empty": 0, **summary.summarise(scores, SHORT, OutlierRule())}
    shown = {what: rest for what, *rest in summary.rows(found)}
    assert shown["rank correlation with length"] == ["none: one side is constant"] * 2
    assert shown["marker: share in outliers / others"] == [
        "none: no prompt holds the marker", "none: every prompt is on one side",
    ]  # fmt: skip
