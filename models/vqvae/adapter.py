"""VQ-VAE with a transformer prior (van den Oord et al. 2017; Tudosiu et al. 2022), in 2D and 3D, any channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmark.adapters.vq_transformer import TokenAdapter


@dataclass
class VQVAE(TokenAdapter):
    """An autoencoder trained with absolute error and commitment loss, and a transformer prior of its tokens."""

    name: ClassVar[str] = "vqvae"
