"""The style-based GAN: layers and losses against closed forms and slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.models.styled_gan.adapter import StyledGAN
from benchmark.models.styled_gan.augmentation import Augmentation
from benchmark.models.styled_gan.discriminator import Discriminator, batch_deviation
from benchmark.models.styled_gan.generator import Generator, ModulatedConv
from benchmark.models.styled_gan.layers import Conv, Dense
from benchmark.models.styled_gan.model import Model, discriminator_loss, gradient_penalty, path_penalty, phases

torch.set_num_threads(1)


def model_of(shape: tuple[int, ...] = (1, 16, 16), target: float = 0.6) -> Model:
    torch.manual_seed(0)
    return Model(Generator(shape, (16, 8), 8, 2), Discriminator(shape, (8, 16)), Augmentation(target, 1000))


def test_modulated_convolution_is_that_of_scaled_normalised_weights() -> None:
    """Karras et al. 2020, equations 1 and 3, item by item."""
    torch.manual_seed(0)
    layer, images, w = ModulatedConv(3, 5, 4, 3), torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    for image, style, found in zip(images, layer.style(w), layer(images, w), strict=True):
        weight = layer.weight * layer.gain * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        torch.testing.assert_close(found, F.conv2d(image[None], weight, padding=1)[0])


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_equalised_layers_keep_the_variance(rate: float) -> None:
    torch.manual_seed(0)
    assert Dense(512, 512, rate=rate)(torch.randn(2000, 512)).var().item() == pytest.approx(1, rel=0.05)
    inner = Conv(64, 64, 3)(torch.randn(8, 64, 16, 16))[:, :, 1:-1, 1:-1]
    assert inner.var().item() == pytest.approx(1, rel=0.1)


def test_batch_deviation_is_that_of_groups_of_four() -> None:
    values = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = batch_deviation(values)
    for first in range(2):
        group = values.numpy()[[first, first + 2, first + 4, first + 6]]
        expected = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(found[[first, first + 2, first + 4, first + 6]], expected, rtol=1e-5)
    assert batch_deviation(values[:7]).shape == (7, 1, 2, 2)


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 15, 22)])
def test_images_have_any_shape(shape: tuple[int, ...]) -> None:
    model = model_of(shape)
    images, styles = model.generate(4)
    assert images.shape == (4, *shape)
    assert styles.shape == (4, 4, 8)
    assert model.judge(images).shape == (4,)


class Linear(nn.Module):
    """A discriminator whose gradient is known."""

    def forward(self, images: Tensor) -> Tensor:
        """Sum images, thrice."""
        return 3 * images.sum((1, 2, 3))


def test_gradient_penalty_of_a_linear_discriminator() -> None:
    model = model_of()
    model.discriminator = Linear()  # type: ignore[assignment]
    found = gradient_penalty(model, torch.randn(4, 1, 16, 16), weight=0.5)
    assert found.item() == pytest.approx(0.5 * 0.5 * 9 * 256)


def test_path_penalty_moves_its_mean_and_has_a_gradient() -> None:
    model = model_of()
    first = path_penalty(model, torch.zeros(8, 1, 16, 16), weight=1.0)
    mean = float(model.path_mean)
    assert mean > 0
    # The mean moved by 1 % of the way from 0: the penalty is that of lengths about 100 times the mean.
    assert first.item() == pytest.approx((99 * mean) ** 2, rel=0.5)
    first.backward()
    gradients = [block.second.conv.weight.grad for block in model.generator.blocks]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_augmentation_follows_the_logits_of_real_images() -> None:
    pipe = Augmentation(0.6, 100)
    for _ in range(3):
        pipe.adapt(torch.ones(10))
    assert float(pipe.p) == pytest.approx(0.3)
    pipe.adapt(-torch.ones(20))
    assert float(pipe.p) == pytest.approx(0.1)
    pipe.adapt(-torch.ones(50))
    assert float(pipe.p) == 0
    for _ in range(20):
        pipe.adapt(torch.ones(10))
    assert float(pipe.p) == pytest.approx(0.9)


@pytest.mark.parametrize("channels", [1, 5])
def test_augmentation_at_0_changes_nothing_and_at_p_about_p_of_the_images(channels: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(200, channels, 16, 16) * 2 - 1
    pipe = Augmentation(0.6, 100)
    torch.testing.assert_close(pipe(images), images, atol=1e-5, rtol=0)
    pipe.p.fill_(0.1)
    changed = ((pipe(images) - images).abs().amax((1, 2, 3)) > 1e-3).float().mean().item()
    assert changed == pytest.approx(1 - 0.95 * 0.9**6, abs=0.1)  # six chances, and half a mirroring


def test_losses_of_an_undecided_discriminator() -> None:
    model = model_of()
    model.judge = lambda images: images.sum((1, 2, 3)) * 0  # type: ignore[method-assign]
    assert discriminator_loss(model, torch.zeros(4, 1, 16, 16)).item() == pytest.approx(2 * math.log(2))


def test_penalties_come_seldom_and_are_optional() -> None:
    alternating = phases(r1=0.1, path=2.0)
    assert [(phase.name, phase.every) for phase in alternating] == [
        ("generator", 1),
        ("path", 4),
        ("discriminator", 1),
        ("r1", 16),
    ]
    assert alternating[0].parameters.rate == pytest.approx(0.8)
    assert alternating[0].parameters.betas == (0.0, pytest.approx(0.99**0.8))
    assert [phase.name for phase in phases(r1=0, path=0)] == ["generator", "discriminator"]
    assert phases(r1=0, path=0)[0].parameters.rate == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (8,)}, "styled-gan was given widths (8,)\n  hint: give at least two, such as 64,32"),
        ({"batch_size": 1}, "batch_size is 1\n  hint: give at least 2: the discriminator compares images"),
        ({"precision": "fp16"}, "styled-gan has no precision 'fp16'\n  hint: choose one of auto, fp32, bf16"),
    ],
)
def test_impossible_hyper_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        StyledGAN(**changes)  # type: ignore[arg-type]
    assert str(error.value) == message
