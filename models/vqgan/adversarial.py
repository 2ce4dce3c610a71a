"""The first stage of a VQGAN: an autoencoder and a patch discriminator that train in turns."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.training.phases import ParameterGroup, Phase


class Adversarial(nn.Module):
    """An autoencoder and its adversary (Isola et al. 2017: each logit sees a patch)."""

    steps: Tensor
    """Steps taken: the adversary's verdict counts from a certain one on."""

    def __init__(self, autoencoder: Autoencoder, width: int, layers: int) -> None:
        from monai.networks.nets import PatchDiscriminator

        super().__init__()
        self.autoencoder = autoencoder
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        channels = autoencoder.body.in_channels
        self.discriminator = PatchDiscriminator(len(autoencoder.size), width, channels, num_layers_d=layers)

    def judge(self, images: Tensor) -> Tensor:
        """Return the logits of patches: high for real."""
        logits: Tensor = self.discriminator(images)[-1]
        return logits.float()


def phases(weight: float, start: int) -> tuple[Phase, Phase]:
    """Return the autoencoder's turn and the discriminator's, which sees the same images (hinge loss).

    Args:
        weight: of the discriminator's verdict beside the absolute error.
        start: the step from which it counts; by then the images are no longer blobs that anybody can tell.
    """

    def fool(net: Adversarial, images: Tensor) -> Tensor:
        decoded, commitment = net.autoencoder.body(net.autoencoder.pad(images))
        decoded = net.autoencoder.crop(decoded).float()
        loss: Tensor = F.l1_loss(decoded, images) + commitment
        return loss - (net.steps >= start) * weight * net.judge(decoded).mean()

    def tell(net: Adversarial, images: Tensor) -> Tensor:
        net.steps += 1
        with torch.no_grad():
            decoded = net.autoencoder.decode(net.autoencoder.encode(images)).float()
        return F.relu(1 - net.judge(images)).mean() + F.relu(1 + net.judge(decoded)).mean()

    slow = ParameterGroup("discriminator", rate=0.25, betas=(0.5, 0.9))
    return Phase("autoencoder", fool, ParameterGroup("autoencoder")), Phase("discriminator", tell, slow)
