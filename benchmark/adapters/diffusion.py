"""What all diffusion adapters have in common: hyper-parameters of the U-Net, of its training and of sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from benchmark.adapters.network import PRECISIONS, NetworkAdapter, check_choices, in_range
from benchmark.adapters.networks.denoiser import CHOICES, Denoiser, build_unet, check_levels
from benchmark.adapters.networks.latent import LatentModel
from benchmark.core.errors import UsageError
from benchmark.images.augmentations import AUGMENTATIONS

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images


@dataclass
class DiffusionAdapter(NetworkAdapter[LatentModel]):
    """A U-Net that learns to remove noise."""

    widths: tuple[int, ...] = (64, 128)
    """Channels of the U-Net's levels; each level after the first halves its input."""
    blocks: int = 1
    attention: tuple[int, ...] = (1,)
    """The U-Net's levels, from 0, that have self-attention."""
    head_channels: int = 32
    """Channels of one attention head; 0 for a single head as wide as its level."""
    residual_resampling: bool = False
    """Halve and double the resolution in residual blocks instead of plain convolutions."""
    recompute: bool = False
    """Do not keep the activations of the U-Net's blocks, recompute them for the gradient: slower, with less memory."""
    prediction: str = "v_prediction"
    """What the U-Net predicts: `epsilon`, `v_prediction`, `sample` (memorises soonest), or `flow` (flow matching)."""
    noise_schedule: str = "squaredcos_cap_v2"
    """`squaredcos_cap_v2` (Nichol & Dhariwal 2021), `scaled_linear` or `linear`."""
    noise_end: float = 0.0195
    """The last beta of `scaled_linear`; the first is 0.0015."""
    timesteps: int = 1000
    """Noise levels in training."""
    augment: str = "none"
    """Augmentation of the training images: `none`, `flips`, `published` (flips and small rotations), or `strong`."""
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 1e-3
    ema: float = 0.999
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    sampler: str = "ddim"
    """`ddim`, `ddpm` or `dpm-solver`; a flow is always integrated with Euler steps."""
    sampling_steps: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {**CHOICES, "precision": PRECISIONS, "augment": tuple(AUGMENTATIONS)})
        if not self.widths:
            raise UsageError(f"{self.name} was given no widths", "give at least one, such as 64,128")
        check_levels(self.widths, self.attention, self.head_channels)

    def generate(self, net: LatentModel, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, *spatial)."""
        return net.generate(seed, part, self.sampling_steps)

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return the denoising error of each image (N, C, *spatial), (N,), float32.

        It is the mean over ten fixed timesteps with the same noise for all images: differences between images, which
        tell members from non-members (Carlini et al. 2023, 2301.13188), are then not blurred by the noise.
        """
        net = self.network()
        return self.batchwise(lambda part: net.errors(part, seed), images)

    def _denoiser(self, dims: int, channels: int, *, bounded: bool) -> Denoiser:
        unet = build_unet(
            dims=dims,
            channels=channels,
            widths=self.widths,
            blocks=self.blocks,
            attention=self.attention,
            head_channels=self.head_channels,
            residual_resampling=self.residual_resampling,
            recompute=self.recompute,
        )
        return Denoiser(
            unet,
            prediction=self.prediction,
            noise_schedule=self.noise_schedule,
            noise_end=self.noise_end,
            timesteps=self.timesteps,
            sampler=self.sampler,
            bounded=bounded,
        )

    def _reconstruct(self, images: Images) -> Images:
        net = self.network()
        return self.batchwise(lambda part: in_range(net.reconstruct(part)), images)
