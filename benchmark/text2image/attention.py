"""Cross-attention of a diffusers U-Net, recorded or rescaled while the U-Net runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class CrossAttention:
    """An attention processor that appends its attention probabilities to a list.

    In a batch of guided sampling the first half has the empty prompt, the second half the prompts.
    """

    def __init__(self, recorded: list[Tensor], boost: float, padding: Tensor | None) -> None:
        self.recorded, self.boost, self.padding = recorded, boost, padding

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: object, **__: object
    ) -> Tensor:
        """Return softmax(q k^T / sqrt(d)) v, as diffusers' own processors without a mask.

        Args:
            attn: the attention layer.
            hidden_states: (2N, positions, width) of the image.
            encoder_hidden_states: (2N, tokens, text width).

        The probabilities, averaged over heads and positions to (2N, tokens), go to the list.
        """

        def by_head(values: Tensor) -> Tensor:
            split: Tensor = values.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            return split

        query = by_head(attn.to_q(hidden_states))
        key, value = by_head(attn.to_k(encoder_hidden_states)), by_head(attn.to_v(encoder_hidden_states))
        probabilities = self._rescaled(query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
        self.recorded.append(probabilities.detach().float().mean(dim=(1, 2)))
        mixed = (probabilities @ value).transpose(1, 2).flatten(2)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return out

    def _rescaled(self, logits: Tensor) -> Tensor:
        """Rescale logits (2N, heads, positions, tokens) of the prompts: first token times `boost`, padding to -inf."""
        if self.padding is None:
            return logits
        unconditional, conditional = logits.chunk(2)
        factors = torch.ones_like(conditional[0, 0, 0])
        factors[0] = self.boost
        hidden = self.padding[:, None, None, :]
        return torch.cat([unconditional, (conditional * factors).masked_fill(hidden, -torch.inf)])


@contextmanager
def cross_attention(pipeline: Any, *, boost: float = 1.0, padding: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Yield a list to which each call of the U-Net appends one (2N, tokens) tensor per cross-attention layer.

    Args:
        pipeline: of Stable Diffusion's kind; its own processors are restored at the end.
        boost: factor of the first token's logit, where padding is given (Ren et al. 2024, 2403.11052: 1.25).
        padding: (N, tokens), True where a token is padding and gets no attention; None changes nothing.
    """
    before, recorded = dict(pipeline.unet.attn_processors), list[Tensor]()
    own = CrossAttention(recorded, boost, padding)
    # diffusers calls self-attention attn1 and cross-attention attn2.
    pipeline.unet.set_attn_processor({name: own if ".attn2." in name else old for name, old in before.items()})
    try:
        yield recorded
    finally:
        pipeline.unet.set_attn_processor(before)


def entropy(probabilities: Tensor) -> Tensor:
    """Return -sum p log p over the last axis of (..., tokens), in nats; 0 log 0 is 0."""
    return -(probabilities * probabilities.clamp_min(1e-12).log()).sum(dim=-1)
