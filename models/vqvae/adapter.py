"""VQ-VAE with a transformer prior (van den Oord et al. 2017; Tudosiu et al. 2022), in 2D and 3D, any channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmark.adapters.vq_transformer import TokenAdapter


@dataclass
class VQVAE(TokenAdapter):
    """An autoencoder of absolute error and commitment, and the prior of its words."""

    name: ClassVar[str] = "vqvae"
