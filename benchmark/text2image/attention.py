"""Cross-attention of a diffusers U-Net, watched or rescaled while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class CrossAttention:
    """An attention processor that leaves its probabilities in a list; the second half of a batch has prompts."""

    def __init__(self, seen: list[Tensor], boost: float, padding: Tensor | None) -> None:
        self.seen, self.boost, self.padding = seen, boost, padding

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: object, **__: object
    ) -> Tensor:
        """Return softmax(q k^T / sqrt(d)) v, as diffusers' own processors without a mask."""

        def by_head(values: Tensor) -> Tensor:
            split: Tensor = values.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            return split

        query = by_head(attn.to_q(hidden_states))
        key, value = by_head(attn.to_k(encoder_hidden_states)), by_head(attn.to_v(encoder_hidden_states))
        shares = self._rescaled(query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
        self.seen.append(shares.detach().float().mean(dim=(1, 2)))
        mixed = (shares @ value).transpose(1, 2).flatten(2)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return out

    def _rescaled(self, scores: Tensor) -> Tensor:
        """Change the second half's logits: the first token's times `boost`, those of padding to nothing."""
        if self.padding is None:
            return scores
        empty, given = scores.chunk(2)
        factors = torch.ones_like(given[0, 0, 0])
        factors[0] = self.boost
        hidden = self.padding[:, None, None, :]
        return torch.cat([empty, (given * factors).masked_fill(hidden, -torch.inf)])


@contextmanager
def cross_attention(pipeline: Any, *, boost: float = 1.0, padding: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Yield a list that each call of the U-Net grows by one (2N, tokens) tensor a cross-attention layer.

    Args:
        pipeline: of Stable Diffusion's kind; its processors are put back at the end.
        boost: of the first token's logit, where padding is given (Ren et al. 2024, 2403.11052: 1.25).
        padding: (N, tokens) True where a prompt's tokens are padding, which get no attention; None changes nothing.
    """
    before, seen = dict(pipeline.unet.attn_processors), list[Tensor]()
    own = CrossAttention(seen, boost, padding)
    pipeline.unet.set_attn_processor({name: own if ".attn2." in name else old for name, old in before.items()})
    try:
        yield seen
    finally:
        pipeline.unet.set_attn_processor(before)


def entropy(shares: Tensor) -> Tensor:
    """Return -sum p log p over the last axis."""
    return -(shares * shares.clamp_min(1e-12).log()).sum(dim=-1)
