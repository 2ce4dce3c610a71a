"""The repository's own networks, augmentation and losses, as alternating phases of our training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.training.phases import ParameterGroup, Phase

G_EVERY, D_EVERY, ADA_EVERY = 4, 16, 4
"""Steps between path-length penalties, R1 penalties and changes of the augmentation, as in the repository."""
AUGMENTATIONS: dict[str, tuple[str, ...]] = {
    "none": (),
    "anatomy": ("xflip", "xint", "scale", "aniso", "xfrac"),
    "bg": ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac"),
    "bgc": (
        *("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac"),
        *("brightness", "contrast", "lumaflip", "hue", "saturation"),
    ),
}


class Networks(nn.Module):
    """Generator, discriminator and augmentation, with the state that the repository keeps elsewhere."""

    generator: Any
    discriminator: Any
    pipe: Any
    pl_mean: Tensor
    """Running mean of the path length, a scalar."""
    discriminator_steps: Tensor
    """Discriminator steps taken, a scalar; a buffer, so that it is in the checkpoint."""

    def __init__(self, repository: SimpleNamespace, networks: Sequence[nn.Module | None], r1: float) -> None:
        super().__init__()
        self.generator, self.discriminator, self.pipe = networks
        self.register_buffer("pl_mean", torch.zeros(()))
        self.register_buffer("discriminator_steps", torch.zeros((), dtype=torch.long))
        self._repository, self._r1 = repository, r1
        self._seen: dict[str, Tensor] = {}
        self._loss: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Networks:
        """Copy the networks; what the repository shares stays shared."""
        parts = [copy.deepcopy(part, memo) for part in (self.generator, self.discriminator, self.pipe)]
        other = Networks(self._repository, parts, self._r1).to(self.pl_mean.device)
        other.load_state_dict(self.state_dict())
        return other

    def accumulate(self, phase: str, images: Tensor, gain: int) -> dict[str, Tensor]:
        """Let the repository compute the gradients of one phase; return the statistics that it reports, by name.

        Args:
            phase: the repository's name of it, such as `Gmain`.
            images: (N, C, H, W) in [-1, 1].
            gain: weight of the loss: k for a penalty that is computed every k steps.
        """
        if self._loss is None:
            self._loss = self._repository.loss.StyleGAN2Loss(
                images.device,
                self.generator.mapping,
                self.generator.synthesis,
                self.discriminator,
                augment_pipe=self.pipe,
                r1_gamma=self._r1,
            )
            self._repository.stats.report = self._note
        self._loss.pl_mean, self._seen = self.pl_mean, {}
        labels = images.new_zeros(len(images), 0)
        z = torch.randn(len(images), self.generator.z_dim).to(images)
        self._loss.accumulate_gradients(
            phase=phase, real_img=images, real_c=labels, gen_z=z, gen_c=labels, sync=True, gain=gain
        )
        return self._seen

    def _note(self, name: str, value: Any) -> Any:
        self._seen[name] = torch.as_tensor(value).detach().float().mean()
        return value

    def probability(self) -> Tensor:
        """Return the probability of augmentation, a scalar."""
        probability: Tensor = self.pipe.p if self.pipe is not None else torch.zeros(())
        return probability

    @torch.no_grad()
    def adapt(self, signs: Tensor, batch: int, target: float, items: float) -> None:
        """Raise the probability of augmentation where the mean sign of real logits exceeds the target, else lower it.

        Every ADA_EVERY steps, by so much that it changes by 1 over `items` images (Karras et al. 2020, 2006.06676).
        """
        if self.pipe is not None and self.discriminator_steps % ADA_EVERY == 0:
            self.probability().add_((signs - target).sign() * batch * ADA_EVERY / items).clamp_(min=0)
        self.discriminator_steps += 1


def phases(settings: dict[str, Any]) -> tuple[Phase, ...]:
    """Return the repository's phases.

    Penalties are computed every k steps with k times their weight, and learning rates and betas are corrected for the
    additional optimiser steps (lazy regularisation; see `_parameters`).
    """
    generator, discriminator = _parameters("generator", G_EVERY), _parameters("discriminator", D_EVERY)
    target, items = settings["ada_target"], 1000 * settings["ada_kimg"]

    def loss_of(phase: str, gain: int, reported: str) -> Any:
        def loss(net: Networks, images: Tensor) -> Tensor:
            statistics = net.accumulate(phase, images, gain)
            _finite(net.generator if phase[0] == "G" else net.discriminator)
            if phase == "Dmain":
                net.adapt(statistics["Loss/signs/real"], len(images), target, items)
            return statistics[reported]

        return loss

    return (
        Phase("generator", loss_of("Gmain", 1, "Loss/G/loss"), generator),
        Phase("path", loss_of("Greg", G_EVERY, "Loss/pl_penalty"), generator, G_EVERY),
        Phase("discriminator", loss_of("Dmain", 1, "Loss/D/loss"), discriminator),
        Phase("r1", loss_of("Dreg", D_EVERY, "Loss/r1_penalty"), discriminator, D_EVERY),
    )


def _parameters(name: str, every: int) -> ParameterGroup:
    """Return the repository's Adam: a penalty every k steps adds one optimiser step to k others.

    With c = k / (k + 1), a learning rate of c times the usual one and beta^c leave the total step and the memory per
    training step as they were (Karras et al. 2020, 1912.04958, appendix B).
    """
    share = every / (every + 1)
    return ParameterGroup(name, rate=share, betas=(0.0, 0.99**share), epsilon=1e-8)


def _finite(network: Any) -> None:
    """Replace gradients that are not finite, as the repository's own loop does: fp16 levels overflow at times."""
    for weight in network.parameters():
        if weight.grad is not None:
            torch.nan_to_num(weight.grad, nan=0, posinf=1e5, neginf=-1e5, out=weight.grad)


def check_sizes(shape: Sequence[int], settings: dict[str, Any]) -> None:
    """Raise UsageError for sizes that the repository would fail on without an explanation."""
    sides = shape[1:]
    if len(sides) != 2 or sides[0] != sides[1] or sides[0] < 4 or sides[0] & (sides[0] - 1):
        given = " x ".join(map(str, sides))
        raise UsageError(
            f"stylegan2-ada makes square planes whose side is a power of 2; these items are {given}",
            "give --image-size 64, 128 or 256, or choose styled-gan",
        )
    batch, group = settings["batch_size"], settings["group"]
    if batch < 2 or batch % min(group, batch):
        raise UsageError(
            f"a batch of {batch} cannot be cut into groups of {group}", "give a batch_size that group divides"
        )
    if settings["channel_base"] < sides[0]:
        raise UsageError(
            f"channel_base {settings['channel_base']} leaves no channel at {sides[0]} pixels",
            f"give at least {sides[0]}",
        )
    if settings["augmentation"] == "bgc" and shape[0] not in (1, 3):
        raise UsageError(
            f"augmentation bgc changes colours of 1 or 3 channels, not of {shape[0]}", "use --set augmentation=bg"
        )


def build_networks(repository: SimpleNamespace, shape: Sequence[int], settings: dict[str, Any]) -> Networks:
    """Build untrained networks for items of shape (C, H, W) as the repository's train.py would."""
    check_sizes(shape, settings)
    common = {"img_resolution": shape[1], "img_channels": shape[0]}
    wide = {"channel_base": settings["channel_base"], "channel_max": settings["channel_max"]}
    half = {
        "num_fp16_res": settings["half_precision_levels"],
        # Activations are clamped far below 65504, the largest fp16 number (the repository's own bound).
        "conv_clamp": 256 if settings["half_precision_levels"] else None,
    }
    generator = repository.networks.Generator(
        z_dim=settings["latent"],
        c_dim=0,
        w_dim=settings["latent"],
        mapping_kwargs={"num_layers": settings["mapping_layers"]},
        synthesis_kwargs={**wide, **half},
        **common,
    )
    discriminator = repository.networks.Discriminator(
        c_dim=0, **common, **wide, **half, epilogue_kwargs={"mbstd_group_size": settings["group"]}
    )
    chosen = AUGMENTATIONS[settings["augmentation"]]
    pipe = repository.augment.AugmentPipe(**dict.fromkeys(chosen, 1)) if chosen else None
    if pipe is not None:
        pipe.p.zero_()
    # The repository's heuristic for the weight of R1, which grows with the number of pixels.
    r1 = settings["r1"] or 0.0002 * math.prod(shape[1:]) / settings["batch_size"]
    return Networks(repository, (generator, discriminator, pipe), r1)
