"""Prompt scores under every noise schedule and kind of output: of noise, at zero SNR of the output, or refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDIMScheduler
from tiny_pipeline import CAPTIONS, save_tiny
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import AdapterError
from benchmark.metrics.prompts import CANNOT_RANK, constant, length_adjusted, outliers, separation, variants
from benchmark.text2image import aggregates, guided
from benchmark.text2image.loading import LoadedPipeline, open_model
from benchmark.text2image.mitigations import MitigationSettings, optimised
from benchmark.text2image.noise import unsupported_noise
from benchmark.text2image.options import OutlierRule, PromptSampling
from benchmark.text2image.prompts import PromptList, score_prompts
from benchmark.text2image.significance import token_significance

TEXTS = (*CAPTIONS, "left pneumonia")
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.fixture
def pipeline(folder: Path) -> Any:
    """A pipeline of its own for each test, which changes its scheduler or unet."""
    return open_model(str(folder), "cpu").pipeline


def with_scheduler(pipeline: Any, **changes: Any) -> Any:
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **changes)
    return pipeline


def norms_of(pipeline: Any, steps: int = 4, only: int | None = None) -> np.ndarray:
    noise = guided.prompt_noise(pipeline, TEXTS, [0] * len(TEXTS))
    text = guided.embed_with_empty(pipeline, TEXTS)
    return guided.guidance_norms(pipeline, text, noise, steps=steps, guidance=7.5, only=only)[0]


class Reparametrised(torch.nn.Module):
    """The same network, whose output is v or the clean image in place of noise, in float64 arithmetic."""

    def __init__(self, unet: Any, kind: str, alphas: torch.Tensor) -> None:
        super().__init__()
        self.unet, self.kind, self.alphas = unet, kind, alphas
        self.config, self.device, self.dtype = unet.config, unet.device, unet.dtype

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
        noise = self.unet(x, timestep, encoder_hidden_states=encoder_hidden_states).sample.double()
        a = self.alphas[int(timestep)].double()
        clean = (x.double() - (1 - a).sqrt() * noise) / a.sqrt()
        outputs = {"epsilon": noise, "sample": clean, "v_prediction": a.sqrt() * noise - (1 - a).sqrt() * clean}
        return SimpleNamespace(sample=outputs[self.kind])


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_d_mem_does_not_depend_on_what_the_network_returns(pipeline: Any, kind: str, spacing: str) -> None:
    expected = norms_of(with_scheduler(pipeline, timestep_spacing=spacing, beta_schedule="linear"))
    pipeline.unet = Reparametrised(pipeline.unet, kind, pipeline.scheduler.alphas_cumprod)
    found = norms_of(with_scheduler(pipeline, prediction_type=kind))
    assert found == pytest.approx(expected, rel=2e-3)
    assert np.ptp(expected.mean(axis=1)) > 0.01 * expected.mean()


def test_at_zero_snr_the_first_step_is_measured_in_the_output(pipeline: Any) -> None:
    with_scheduler(pipeline, prediction_type="v_prediction", **ZERO_SNR)
    found = norms_of(pipeline)
    noise, text = guided.prompt_noise(pipeline, TEXTS, [0] * 4), guided.embed_with_empty(pipeline, TEXTS)
    with torch.no_grad():
        empty, given = pipeline.unet(
            torch.cat([noise, noise]), torch.tensor(999), encoder_hidden_states=text
        ).sample.chunk(2)
    assert found[:, 0] == pytest.approx((given - empty).flatten(1).norm(dim=1).numpy(), rel=1e-4)
    assert guided.blind_steps(pipeline, 4) == 1
    assert not constant(found[:, 0])
    scores = variants(found[:, None], 256, 3, blind=1)
    assert scores["first"] == pytest.approx(found[:, 0])
    assert scores["d_mem"] == pytest.approx(found[:, 1:].mean(axis=1))
    assert scores["first3"] == pytest.approx(found[:, 1:3].mean(axis=1))


def test_the_output_is_the_limit_of_noise_as_the_signal_vanishes(pipeline: Any) -> None:
    """|| d eps || / sqrt(SNR) of the last timesteps with a signal tends to what is returned without one."""
    with_scheduler(pipeline, prediction_type="v_prediction", **ZERO_SNR)
    scheduler, difference = guided.ddim_scheduler(pipeline, 4), torch.randn(1, 4, 8, 8)
    a = scheduler.alphas_cumprod[998].double()
    assert 0 < a < 1e-4
    noise = guided.guidance_of(difference, scheduler, torch.tensor(998)).norm() / (a / (1 - a)).sqrt()
    assert float(noise) == pytest.approx(
        float(guided.guidance_of(difference, scheduler, torch.tensor(999)).norm()), rel=1e-3
    )


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_prompts_of_a_zero_snr_pipeline_are_ranked_from_the_command_line(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    place = save_tiny(tmp_path / "zero")
    DDIMScheduler.from_pretrained(place / "scheduler", prediction_type=kind, **ZERO_SNR).save_pretrained(
        place / "scheduler"
    )
    (tmp_path / "list.csv").write_text("report,known\n" + "".join(f"{text},{n % 2}\n" for n, text in enumerate(TEXTS)))
    found = {}
    for more in ("--marker=___", "--first"):
        out = tmp_path / more.strip("-_=")
        command = ["prompts", str(place), "--prompts", str(tmp_path / "list.csv"), "--column", "report", "--positive"]
        command += ["known", "--steps", "4", "--seeds", "1", "--out", str(out), "--device", "cpu", more]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        found[more] = pd.read_parquet(next(out.glob("*/scores.parquet"))).set_index("sha")["first"].sort_index()
    assert (found["--first"] > 0).all()
    assert found["--first"].nunique() == len(TEXTS)
    assert found["--first"].to_numpy() == pytest.approx(found["--marker=___"].to_numpy(), rel=1e-4)


def test_followups_see_the_first_step_at_zero_snr(pipeline: Any) -> None:
    """An embedding is optimised, and words have gradients, where a norm of noise would be 0 and end both at once."""
    with_scheduler(pipeline, prediction_type="v_prediction", **ZERO_SNR)
    gradients = token_significance(pipeline, TEXTS[0], [0], steps=4, guidance=7.5, only=1)
    assert (gradients[:4] > 0).all()
    settings = MitigationSettings(steps=4, guidance=7.5, marker="___", insertions=1, target=0.0)
    before = guided.embed_with_empty(pipeline, TEXTS[:1])[1:]
    assert not torch.equal(optimised(pipeline, TEXTS[0], settings), before)
    several = token_significance(pipeline, TEXTS[0], [0], steps=2, guidance=7.5)
    with_blind = [token_significance(pipeline, TEXTS[0], [0], steps=2, guidance=7.5, only=1), several]
    assert not np.allclose(*with_blind), "the mean over steps is of the steps with a signal"


OTHER = "samples by {} with noise that is not that of DDPM"
FLOW = "samples by {} with flow matching, whose noise is not that of DDPM"
DISTILLED = "samples by {}, as distilled models do, whose prediction without a prompt was not trained"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("FlowMatchEulerDiscreteScheduler", {}, FLOW),
        ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}, FLOW),
        ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction"}, FLOW),
        ("EDMEulerScheduler", {}, OTHER),
        ("IPNDMScheduler", {}, OTHER),
        ("ScoreSdeVeScheduler", {}, OTHER),
        ("UnCLIPScheduler", {}, OTHER),
        ("EulerDiscreteScheduler", {"timestep_type": "continuous"}, OTHER),
        ("LCMScheduler", {}, DISTILLED),
        ("TCDScheduler", {}, DISTILLED),
        ("CMStochasticIterativeScheduler", {}, DISTILLED),
        (
            "DDIMScheduler",
            {"rescale_betas_zero_snr": True},
            "predicts noise on a schedule that ends in pure noise, from which no image can be computed",
        ),
        (
            "DDIMScheduler",
            {"prediction_type": "score"},
            "predicts 'score', which is none of epsilon, v_prediction, sample",
        ),
        ("PNDMScheduler", {}, ""),
        ("DPMSolverMultistepScheduler", {}, ""),
        ("EulerAncestralDiscreteScheduler", {}, ""),
        ("DDIMScheduler", {"thresholding": True}, ""),
    ],
)
def test_schedulers_are_scored_or_refused(name: str, changes: dict[str, Any], why: str) -> None:
    """The reason is named before any step, and no DDIM with guessed betas runs."""
    made, why = getattr(diffusers, name)(**changes), why.format(name)
    assert unsupported_noise(made) == why
    if why:
        with pytest.raises(AdapterError) as error:
            guided.ddim_scheduler(SimpleNamespace(scheduler=made), 4)
        assert str(error.value) == f"the pipeline {why}\n  hint: give a pipeline whose noise is added as by DDPM"


def test_a_flow_matching_pipeline_is_refused_on_the_command_line(tmp_path: Path) -> None:
    place = save_tiny(tmp_path / "flow")
    pipeline = open_model(str(place), "cpu").pipeline
    pipeline.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline.save_pretrained(place)
    (tmp_path / "list.csv").write_text("report\n" + "\n".join(TEXTS))
    done = CliRunner().invoke(
        app, ["prompts", str(place), "--prompts", str(tmp_path / "list.csv"), "--column", "report", "--device", "cpu"]
    )
    assert isinstance(done.exception, AdapterError)
    why = FLOW.format("FlowMatchEulerDiscreteScheduler")
    assert str(done.exception) == (
        f"{place} holds a StableDiffusionPipeline, which {why}\n"
        "  hint: give a text-to-image pipeline of Stable Diffusion's kind"
    )


def test_betas_that_ddim_does_not_know_are_taken_over(pipeline: Any) -> None:
    pipeline.scheduler = diffusers.DDPMScheduler(beta_schedule="sigmoid")
    found = guided.ddim_scheduler(pipeline, 4)
    assert torch.allclose(found.alphas_cumprod, pipeline.scheduler.alphas_cumprod)


def test_thresholds_of_the_pipeline_are_kept(pipeline: Any) -> None:
    with_scheduler(pipeline, thresholding=True, sample_max_value=1.0)
    noise = guided.prompt_noise(pipeline, TEXTS[:1], [0])
    text = guided.embed_with_empty(pipeline, TEXTS[:1])
    latents = guided.guidance_norms(pipeline, text, noise, steps=3, guidance=7.5)[1]
    made = pipeline(TEXTS[0], latents=noise, num_inference_steps=3, guidance_scale=7.5, output_type="latent").images
    assert torch.allclose(latents, made, atol=1e-4)


def test_constant_scores_rank_nothing() -> None:
    flat, positive = np.full(40, 0.3), np.arange(40) < 20
    assert constant(flat)
    assert constant(flat * (1 + 1e-8 * positive))
    assert not constant(flat * (1 + 1e-4 * positive))
    assert not constant(np.array([0.3])), "one prompt is not a ranking"
    assert {(score.value, score.reason) for score in separation(flat, positive).values()} == {(None, CANNOT_RANK)}
    assert not outliers(flat).any()
    assert not outliers(flat, z=1).any()
    assert constant(length_adjusted(np.array([1.3, 2.9]), np.array([4, 7]))), (
        "a line through two points leaves rounding"
    )


def test_columns_that_cannot_rank_are_named(pipeline: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"prompt": TEXTS, "sha": list("abcd"), "count": 1, "positive": [True, False] * 2})
    sampling = PromptSampling(steps=2, seeds=1, further=True)
    loaded = LoadedPipeline(pipeline, "identity", "tiny")
    _, summary = score_prompts(loaded, PromptList(table), sampling, OutlierRule(), out=tmp_path, batch=4)
    assert summary["cannot_rank"] == ["seeds"], "one seed has no likeness"
    assert summary["separation"]["seeds"]["auc"]["value"] is None
    assert summary["separation"]["seeds"]["auc"]["reason"] == CANNOT_RANK
    assert summary["separation"]["d_mem"]["auc"]["value"] is not None
    assert summary["first_of"] == "noise"


def test_a_pipeline_that_ignores_prompts_is_refused(pipeline: Any, tmp_path: Path) -> None:
    for name, part in pipeline.unet.named_modules():
        if name.endswith("attn2.to_v"):
            torch.nn.init.zeros_(part.weight)
    table = pd.DataFrame({"prompt": TEXTS, "sha": list("abcd"), "count": 1})
    loaded = LoadedPipeline(pipeline, "identity", "tiny")
    with pytest.raises(AdapterError) as error:
        score_prompts(loaded, PromptList(table), PromptSampling(steps=2), OutlierRule(), out=tmp_path, batch=4)
    assert str(error.value) == (
        "d_mem is 0 for all of 4 prompts: the pipeline's prediction does not depend on them, and no score can rank\n"
        "  hint: check that the unet's cross-attention and the text encoder belong to this pipeline"
    )


def test_a_runs_auc_is_withheld_where_scores_are_constant(
    monkeypatch: pytest.MonkeyPatch, pipeline: Any, tmp_path: Path
) -> None:
    texts = [f"text {number}" for number in range(60)]
    monkeypatch.setattr(aggregates, "_captions", lambda *_: (texts[:30], texts[30:]))
    monkeypatch.setattr(aggregates, "_draw", lambda *_: None)
    monkeypatch.setattr(aggregates, "_first_step", lambda _, prompts: np.zeros(len(prompts)))
    adapter: Any = SimpleNamespace(pipeline=pipeline)
    scores = aggregates.prompt_scores(adapter, None, seed=0, figure=tmp_path / "x.png")  # type: ignore[arg-type]
    assert scores["prompts.auc[first]"].value is None
    assert scores["prompts.auc[first]"].reason == CANNOT_RANK
    assert scores["prompts.tpr_at_1_fpr[first]"].reason == CANNOT_RANK


def test_a_run_ranks_captions_of_a_zero_snr_model(pipeline: Any) -> None:
    with_scheduler(pipeline, prediction_type="v_prediction", **ZERO_SNR)
    assert not constant(aggregates._first_step(pipeline, list(TEXTS)))
