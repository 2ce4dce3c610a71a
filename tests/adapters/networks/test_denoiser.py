"""Diffusion against closed forms: with the perfect answer of one image, every sampler must end at that image."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from benchmark.adapters.networks.denoiser import CHOICES, Denoiser, build_unet, check_levels
from benchmark.core.errors import UsageError

IMAGE = torch.linspace(-0.9, 0.9, 32).view(1, 2, 4, 4)


class Oracle(nn.Module):
    """Knows the one image that there is."""

    def __init__(self, denoiser: Denoiser | None = None) -> None:
        super().__init__()
        self.owner = [denoiser]

    def forward(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Answer as a network that has learnt all."""
        denoiser = self.owner[0]
        assert denoiser is not None
        if denoiser.prediction == "flow":
            return (noisy - IMAGE) / ((timesteps[0] + 1) / denoiser.timesteps)
        kept = denoiser._noising.alphas_cumprod[int(timesteps[0])]
        noise = (noisy - kept.sqrt() * IMAGE) / (1 - kept).sqrt()
        answers = {
            "sample": IMAGE.expand_as(noisy),
            "epsilon": noise,
            "v_prediction": kept.sqrt() * noise - (1 - kept).sqrt() * IMAGE,
        }
        return answers[denoiser.prediction]


def denoiser_of(
    prediction: str, sampler: str = "ddim", schedule: str = "squaredcos_cap_v2", steps: int = 1000
) -> Denoiser:
    oracle = Oracle()
    made = Denoiser(
        oracle, prediction=prediction, noise_schedule=schedule, noise_end=0.02, timesteps=steps, sampler=sampler
    )
    oracle.owner[0] = made
    return made


@pytest.mark.parametrize("prediction", CHOICES["prediction"])
@pytest.mark.parametrize("sampler", CHOICES["sampler"])
@pytest.mark.parametrize("schedule", CHOICES["noise_schedule"])
def test_a_perfect_answer_gives_the_image(prediction: str, sampler: str, schedule: str) -> None:
    noise = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = denoiser_of(prediction, sampler, schedule).sample(noise, 20, seed=5)
    torch.testing.assert_close(found, IMAGE.expand(3, -1, -1, -1), atol=0.02, rtol=0)


@pytest.mark.parametrize("prediction", CHOICES["prediction"])
def test_a_perfect_answer_has_no_error(prediction: str) -> None:
    made = denoiser_of(prediction)
    noise = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    for timestep in (5, 400, 990):
        errors = made.errors(IMAGE, noise[:1], torch.full((1,), timestep))
        assert errors.shape == (1,)
        assert float(errors) < 1e-5
    assert float(made.mean_errors(IMAGE, noise)) < 1e-5


def test_ddpm_draws_noise_of_its_seed() -> None:
    made = denoiser_of("epsilon", "ddpm")
    made.unet = nn.Identity()
    made.unet.forward = lambda values, timesteps: 0.1 * values  # type: ignore[method-assign]
    noise = torch.ones(1, 2, 4, 4)
    assert torch.equal(made.sample(noise, 4, seed=1), made.sample(noise, 4, seed=1))
    assert not torch.equal(made.sample(noise, 4, seed=1), made.sample(noise, 4, seed=2))


def test_linear_noise_is_scaled_to_the_timesteps() -> None:
    """Dhariwal & Nichol: beta from 0.1 / T to 20 / T."""
    betas = denoiser_of("epsilon", schedule="linear", steps=4000)._noising.betas
    assert (len(betas), betas[0].item(), betas[-1].item()) == (4000, pytest.approx(2.5e-5), pytest.approx(5e-3))


def test_recomputing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    given = {"dims": 2, "channels": 2, "widths": (8, 16), "blocks": 1, "attention": (1,), "head_channels": 8}
    plain = build_unet(**given, residual_resampling=False, recompute=False)  # type: ignore[arg-type]
    saving = build_unet(**given, residual_resampling=False, recompute=True)  # type: ignore[arg-type]
    for weight in plain.parameters():  # the last layer begins at 0, and would let no gradient through
        nn.init.normal_(weight, std=0.2)
    saving.load_state_dict(plain.state_dict())
    values, now = torch.randn(2, 2, 8, 8), torch.tensor([3, 700])
    for network in (plain, saving):
        network(values, now).square().mean().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    twin = copy.deepcopy(saving)  # as the average of the weights is made
    with torch.no_grad():
        next(twin.down_blocks.parameters()).add_(1.0)
        assert not torch.equal(twin(values, now), saving(values, now))


@pytest.mark.parametrize(
    ("attention", "head_channels", "message"),
    [
        ((2,), 8, "there is no level 2 for attention\n  hint: levels are 0 to 1"),
        ((1,), 6, "head_channels 6 does not divide level 1's width 16\n  hint: choose a divisor"),
    ],
)
def test_impossible_levels_are_refused(attention: tuple[int, ...], head_channels: int, message: str) -> None:
    with pytest.raises(UsageError) as error:
        check_levels((8, 16), attention, head_channels)
    assert str(error.value) == message
