"""What all diffusion adapters share: hyper-parameters of the U-Net, of its training and of sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from torch import Tensor

from benchmark.adapters.network import PRECISIONS, NetworkAdapter, check_choices, in_range
from benchmark.adapters.networks.denoiser import CHOICES, Denoiser, build_unet, check_levels
from benchmark.adapters.networks.latent import LatentModel
from benchmark.core.errors import UsageError
from benchmark.training.config import TrainingConfig

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images


@dataclass
class DiffusionAdapter(NetworkAdapter[LatentModel]):
    """A U-Net that learns to undo noise."""

    widths: tuple[int, ...] = (64, 128)
    """Channels of the U-Net's levels; each level after the first halves its input."""
    blocks: int = 1
    attention: tuple[int, ...] = (1,)
    """The U-Net's levels, from 0, that have self-attention."""
    head_channels: int = 32
    """Channels of one attention head; 0 for a single head as wide as its level."""
    residual_resampling: bool = False
    """Let residual blocks, in place of plain convolutions, halve and double."""
    recompute: bool = False
    """Keep no activations of the U-Net's blocks, compute them again for the gradient: slower, in far less memory."""
    prediction: str = "v_prediction"
    """What the U-Net predicts: `epsilon`, `v_prediction`, `sample` (memorises soonest), or `flow` (flow matching)."""
    noise_schedule: str = "squaredcos_cap_v2"
    noise_end: float = 0.0195
    """The last beta of `scaled_linear`; the first is 0.0015."""
    timesteps: int = 1000
    """Levels of noise in training."""
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 1e-3
    ema: float = 0.999
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    sampler: str = "ddim"
    """`ddim`, `ddpm` or `dpm-solver`; a flow always takes Euler's steps."""
    sampling_steps: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {**CHOICES, "precision": PRECISIONS})
        if not self.widths:
            raise UsageError(f"{self.name} was given no widths", "give at least one, say 64,128")
        check_levels(self.widths, self.attention, self.head_channels)

    def generate(self, net: LatentModel, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers."""
        return net.generate(seed, part, self.sampling_steps)

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return each image's denoising error over ten fixed timesteps with the same noise for all, (N,), float32."""
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

    def _recipe(
        self, *, steps: int = 0, batch_size: int = 0, learning_rate: float = 0, ema: float = -1
    ) -> TrainingConfig:
        """Return the denoiser's recipe, or another stage's with the same precision."""
        return TrainingConfig(
            steps=steps or self.steps,
            batch_size=batch_size or self.batch_size,
            learning_rate=learning_rate or self.learning_rate,
            ema=self.ema if ema < 0 else ema,
            precision=cast(Literal["auto", "fp32", "bf16"], self.precision),
        )

    def _reconstruct(self, images: Images) -> Images:
        net = self.network()
        return self.batchwise(lambda part: in_range(net.reconstruct(part), self.name), images)
