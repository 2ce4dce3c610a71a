"""The first stage of a VQGAN: an autoencoder and a patch discriminator, trained in alternating phases."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.core.monai_import import import_monai
from benchmark.training.phases import ParameterGroup, Phase


class Adversarial(nn.Module):
    """An autoencoder and its patch discriminator (Isola et al. 2017: each logit sees one patch of the image)."""

    steps: Tensor
    """Steps taken; a buffer, so that it is in the checkpoint."""

    def __init__(self, autoencoder: Autoencoder, width: int, layers: int) -> None:
        import_monai()
        from monai.networks.nets import PatchDiscriminator

        super().__init__()
        self.autoencoder = autoencoder
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        channels = autoencoder.body.in_channels
        self.discriminator = PatchDiscriminator(len(autoencoder.size), width, channels, num_layers_d=layers)

    def judge(self, images: Tensor) -> Tensor:
        """Return the logits of the patches of images (N, C, *spatial), (N, 1, *patches): high for real."""
        logits: Tensor = self.discriminator(images)[-1]
        return logits.float()


def phases(weight: float, start: int) -> tuple[Phase, Phase]:
    """Return the autoencoder's phase and the discriminator's, which sees the same images.

    The discriminator has the hinge loss, the autoencoder the absolute error, the commitment loss and, as adversarial
    loss, minus the mean logit of its images (Esser et al. 2021). Their adaptive weight, a ratio of gradients at the
    last layer, is a constant here.

    Args:
        weight: of the adversarial loss relative to the absolute error.
        start: the step from which it is added. Before, the decoded images are so blurred that the discriminator is
            never wrong, and its gradient would only disturb the absolute error.
    """

    def autoencoder_loss(net: Adversarial, images: Tensor) -> Tensor:
        decoded, commitment = net.autoencoder.body(net.autoencoder.pad(images))
        decoded = net.autoencoder.crop(decoded).float()
        loss: Tensor = F.l1_loss(decoded, images) + commitment
        return loss - (net.steps >= start) * weight * net.judge(decoded).mean()

    def discriminator_loss(net: Adversarial, images: Tensor) -> Tensor:
        net.steps += 1
        with torch.no_grad():
            decoded = net.autoencoder.decode(net.autoencoder.encode(images)).float()
        return F.relu(1 - net.judge(images)).mean() + F.relu(1 + net.judge(decoded)).mean()

    # Four times slower, so that the discriminator does not outrun the autoencoder; betas as Esser et al. (2021).
    slow = ParameterGroup("discriminator", rate=0.25, betas=(0.5, 0.9))
    return (
        Phase("autoencoder", autoencoder_loss, ParameterGroup("autoencoder")),
        Phase("discriminator", discriminator_loss, slow),
    )
