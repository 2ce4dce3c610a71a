"""The prior of tokens: its loss, and that it never draws the start token."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from benchmark.adapters.vq_transformer import TokenModel
from benchmark.core.errors import UsageError
from benchmark.models.vqgan.adapter import VQGAN
from benchmark.models.vqvae.adapter import VQVAE

TOY = {"widths": (8, 8), "codebook": 8, "embedding": 4, "width": 8, "depth": 1, "heads": 2}


class Fixed(nn.Module):
    """Logits that do not depend on what came before; the last index is the start token."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the same logits at every position."""
        return self.logits.expand(*tokens.shape, -1)


def model_of(logits: Tensor) -> TokenModel:
    return TokenModel(nn.Identity(), Fixed(logits), (2, 3), len(logits) - 1)  # type: ignore[arg-type]


def test_cross_entropy_of_a_uniform_prior_is_the_logarithm_of_the_codebook() -> None:
    model = model_of(torch.tensor([0.0, 0.0, 0.0, 0.0, 50.0]))
    tokens = torch.tensor([[0, 1, 2, 3, 0, 1], [3, 3, 3, 3, 3, 3]], dtype=torch.int32)
    torch.testing.assert_close(model.cross_entropy(model.prior, tokens), torch.full((2,), math.log(4)))


def test_tokens_follow_the_prior_and_are_never_the_start_token() -> None:
    model = model_of(torch.tensor([math.log(3.0), 0.0, 50.0]))
    tokens = model.sample_indices(2000, torch.Generator().manual_seed(0), temperature=1.0)
    assert tokens.shape == (2000, 6)
    assert tokens.max() == 1
    assert (tokens == 0).float().mean().item() == pytest.approx(0.75, abs=0.02)
    colder = model.sample_indices(2000, torch.Generator().manual_seed(0), temperature=0.5)
    assert (colder == 0).float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_tokens_are_what_the_autoencoder_quantises() -> None:
    model = VQVAE(**TOY).build((1, 10, 16))  # type: ignore[arg-type]
    images = torch.rand(3, 1, 10, 16) * 2 - 1
    tokens = model.eval().codebook_indices(images)
    assert tokens.shape == (3, 3 * 4)
    torch.testing.assert_close(model.decode_indices(tokens), model.autoencoder.decode(model.autoencoder.encode(images)))


@pytest.mark.parametrize(
    ("cls", "changes", "message"),
    [
        (VQVAE, {"heads": 3}, "3 heads do not divide a width of 8\n  hint: choose a divisor"),
        (VQVAE, {"widths": ()}, "vqvae was given no widths\n  hint: give at least one, such as 64,64,64"),
        (VQVAE, {"sampling_temperature": 0.0}, "sampling_temperature is 0.0\n  hint: give more than 0"),
        (VQGAN, {"adversarial": 0.0}, "adversarial is 0.0\n  hint: give more than 0, or choose the model vqvae"),
    ],
)
def test_impossible_hyper_parameters_are_refused(cls: type, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        cls(**(TOY | changes))
    assert str(error.value) == message
