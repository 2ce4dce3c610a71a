"""Pixel diffusion: its own options, and the size of the published network."""

from __future__ import annotations

import pytest
import torch

from benchmark.core.errors import UsageError
from benchmark.models.ddpm.adapter import PixelDiffusion
from benchmark.plugins import registry


def test_the_paper_preset_has_the_published_size() -> None:
    """Akbar et al.'s guided-diffusion network has 41.1 M weights; MONAI's blocks differ a little."""
    preset = registry.find_model("ddpm").presets["paper"]
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in preset.set.items()}
    with torch.device("meta"):
        model = PixelDiffusion(**given).build((5, 256, 256))
        assert model.denoiser.unet(torch.zeros(1, 5, 256, 256), torch.zeros(1)).shape == (1, 5, 256, 256)
    count = sum(weight.numel() for weight in model.parameters())
    assert count == pytest.approx(41.1e6, rel=0.2)
    assert (model.denoiser.timesteps, model.denoiser._noising.config.beta_end) == (4000, pytest.approx(5e-3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 0}, "fold is 0\n  hint: give 1 (pixels as they are), 2 or 4"),
        ({"sampler": "euler"}, "ddpm has no sampler 'euler'\n  hint: choose one of ddim, ddpm, dpm-solver"),
        ({"widths": ()}, "ddpm was given no widths\n  hint: give at least one, such as 64,128"),
    ],
)
def test_impossible_hyper_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        PixelDiffusion(**changes)  # type: ignore[arg-type]
    assert str(error.value) == message
