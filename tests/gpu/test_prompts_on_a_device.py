"""d_mem on a device: the CPU's norms in fp32, finite and of the same order in bf16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.text2image.loading import open_model
from benchmark.text2image.mitigations import MITIGATIONS, MitigationSettings, sampler
from benchmark.text2image.significance import token_significance
from benchmark.text2image.tracing import trace
from scripts.gpu_checks.prompts import pipeline
from scripts.gpu_checks.same import no_tf32

PROMPTS = ("no acute effusion", "___ year old with pneumonia", "small left nodule", "large mass in lower lobe")
SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline(tmp_path_factory.mktemp("pipeline"), (16, 32), 8)


def norms(model: Path, device: str, precision: str = "fp32", only: int | None = None) -> np.ndarray:
    opened = open_model(str(model), device, precision)
    with no_tf32():
        return trace(opened.pipeline, PROMPTS, SEEDS, steps=4, guidance=7.5, further=False, only=only).norms


def test_norms_are_the_cpu_s(device: str, model: Path) -> None:
    found = norms(model, device)
    assert found.shape == (4, 4)
    assert np.allclose(found, norms(model, "cpu"), rtol=1e-3)


def test_the_first_step_alone_is_the_first_of_all(device: str, model: Path) -> None:
    assert np.allclose(norms(model, device, only=1)[:, 0], norms(model, device)[:, 0], rtol=1e-5)


def test_norms_in_bf16_are_near_those_of_fp32(device: str, model: Path) -> None:
    half, whole = norms(model, device, "bf16"), norms(model, device)
    assert np.isfinite(half).all()
    assert np.abs(half / whole - 1).max() < 0.1


def test_the_further_detectors_are_the_cpu_s(device: str, model: Path) -> None:
    found = []
    for where in (device, "cpu"):
        opened = open_model(str(model), where)
        with no_tf32():
            found.append(trace(opened.pipeline, PROMPTS, SEEDS, steps=4, guidance=7.5, further=True).further)
    ours, theirs = found
    assert ours is not None
    assert theirs is not None
    assert np.allclose(ours, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_significance_of_tokens_is_the_cpu_s(device: str, faithful: bool, model: Path) -> None:
    with no_tf32():
        ours, theirs = (
            token_significance(
                open_model(str(model), where).pipeline, PROMPTS[1], [0, 1], steps=2, guidance=2.0, faithful=faithful
            )
            for where in (device, "cpu")
        )
    assert theirs.max() > 0
    assert np.allclose(ours, theirs, rtol=1e-2, atol=1e-3 * theirs.max())


@pytest.mark.parametrize("name", MITIGATIONS)
def test_mitigations_do_what_they_do_on_the_cpu(device: str, name: str, model: Path) -> None:
    how = MitigationSettings(steps=6, guidance=3.0, marker="___", insertions=3, target=0.0)
    with no_tf32():
        (ours, ends), (theirs, their_ends) = (
            sampler(open_model(str(model), where).pipeline, name, PROMPTS[1], how)([0, 1]) for where in (device, "cpu")
        )
    assert np.allclose(ours, theirs, rtol=1e-2)
    assert np.allclose(ends.cpu().numpy(), their_ends.numpy(), atol=1e-2)
