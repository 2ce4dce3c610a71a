"""The variational autoencoder: its loss, its latent density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.core.errors import UsageError
from benchmark.models.vae.adapter import VariationalAutoencoder
from benchmark.models.vae.model import VAE, fit_density
from benchmark.training.batches import Resident

torch.set_num_threads(1)


class Known(VAE):
    """A posterior that is read off the image: mean from its first pixels, variance 0.25."""

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance."""
        mean = images.flatten(1)[:, :2]
        return mean, torch.full_like(mean, np.log(0.25))


def test_density_has_the_mean_and_covariance_of_the_posteriors() -> None:
    model = Known((1, 8, 8), (4,), 2, 0)
    rng = np.random.default_rng(0)
    places = rng.multivariate_normal([0.3, -0.2], [[0.5, 0.3], [0.3, 0.4]], 500)
    images = torch.zeros(500, 1, 8, 8)
    images.view(500, -1)[:, :2] = torch.from_numpy(places)
    fit_density(model, Resident(images, torch.device("cpu")), 64)
    np.testing.assert_allclose(model.mean, places.mean(0), atol=1e-5)
    covariance = (model.root @ model.root.T).numpy()
    np.testing.assert_allclose(covariance, np.cov(places.T, bias=True) + 0.25 * np.eye(2), atol=1e-4)
    drawn = model.place(torch.randn(20000, 2, generator=torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(np.cov(drawn.T.numpy()), covariance, atol=0.03)


def test_loss_is_the_bound_with_the_best_variance() -> None:
    """0.5 log of the mean squared error, plus the divergence from the standard normal a pixel."""
    torch.manual_seed(0)
    model = Known((1, 8, 8), (4,), 2, 0)
    model.decode = lambda latents: torch.zeros(len(latents), 1, 8, 8)  # type: ignore[method-assign]
    images = torch.full((4, 1, 8, 8), 0.5)
    divergence = 2 * 0.5 * (0.25 + 0.25 - 1 - np.log(0.25))
    assert model.loss(images).item() == pytest.approx(0.5 * np.log(0.25) + divergence / 64, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 15, 18), (2, 9, 8, 7)])
def test_any_size_comes_back(shape: tuple[int, ...]) -> None:
    model = VariationalAutoencoder(widths=(4, 4), latent=3).build(shape)
    assert model.decode(model.encode(torch.zeros(2, *shape))).shape == (2, *shape)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": 0}, "vae was given widths (32, 64, 128, 128) and latent 0\n  hint: give a width and a latent size"),
        ({"sampling_density": "uniform"}, "vae has no sampling_density 'uniform'\n  hint: choose one of fitted, prior"),
    ],
)
def test_impossible_hyper_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        VariationalAutoencoder(**changes)  # type: ignore[arg-type]
    assert str(error.value) == message


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("dims", [2, 3])
def test_residual_units_leave_images_their_brightness(channels: int, dims: int) -> None:
    """The last layer is not normalised: what is twice as bright before it is twice as bright after it."""
    torch.manual_seed(0)
    model = VAE((channels, *(16,) * dims), (8, 8), 4, 2)
    last = model.body.decode[-1].conv
    features = torch.rand(2, 8, *(8,) * dims)
    torch.testing.assert_close(last(2 * features), 2 * last(features) - last(0 * features))
    assert torch.isfinite(model.loss(torch.rand(2, channels, *(16,) * dims)))
