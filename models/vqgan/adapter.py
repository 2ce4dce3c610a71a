"""VQGAN (Esser et al. 2021) without its perceptual loss, in 2D and 3D, any channels.

The perceptual loss needs a network trained on photographs, which would have to be downloaded and takes three channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.adapters.vq_transformer import TokenAdapter
from benchmark.core.errors import UsageError
from benchmark.training.batches import Resident, Streamed
from benchmark.training.loop import train as train_network

from .adversarial import Adversarial, phases


@dataclass
class VQGAN(TokenAdapter):
    """As `vqvae`, with a patch discriminator that keeps textures sharp."""

    name: ClassVar[str] = "vqgan"

    adversarial: float = 0.02
    """Weight of the adversarial loss relative to the absolute error."""
    adversarial_from: float = 0.5
    """Share of the autoencoder's steps after which the adversarial loss is added."""
    discriminator_width: int = 32
    discriminator_layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.adversarial > 0:
            raise UsageError(f"adversarial is {self.adversarial}", "give more than 0, or choose the model vqvae")

    def train_autoencoder(self, autoencoder: Autoencoder, feed: Resident | Streamed, **options: Any) -> Autoencoder:
        """Train the first stage against a discriminator, which is not kept."""
        net = Adversarial(autoencoder, self.discriminator_width, self.discriminator_layers)
        start = round(self.adversarial_from * self.autoencoder_steps)
        config = self.autoencoder_config()
        return train_network(
            net, phases(self.adversarial, start), feed, config, label="autoencoder", **options
        ).autoencoder
