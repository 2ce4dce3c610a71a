"""my-model: a small autoencoder that runs as it is. Insert your own network."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn, randn_like

# isort: split
from benchmark.adapters.network import NetworkAdapter, data_key, seeded_noise
from benchmark.core.devices import pick_device
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split
from benchmark.training.batches import feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train as train_network


@dataclass
class MyModel(NetworkAdapter[nn.Sequential]):
    """The fields with a type are options: `--set steps=500`."""

    name: ClassVar[str] = "my-model"
    # public_name: ClassVar[str] = "my-model"  # on boards, in place of a digest
    width: int = 256
    latent: int = 16
    steps: int = 500

    def build(self, shape: tuple[int, ...]) -> nn.Sequential:
        """Return an untrained encoder and decoder of images of this shape, (C, *spatial)."""
        first, last = nn.Linear(math.prod(shape), self.width), nn.Linear(self.width, math.prod(shape))
        nn.init.zeros_(last.weight)  # random weights would leave noise in the samples
        normal = nn.BatchNorm1d(self.latent, affine=False)  # mean 0 and variance 1, as those that `generate` draws
        encode = nn.Sequential(nn.Flatten(), first, nn.GELU(), nn.Linear(self.width, self.latent), normal)
        decode = nn.Sequential(nn.Linear(self.latent, self.width), nn.GELU(), last, nn.Hardtanh())
        return nn.Sequential(encode, decode.append(nn.Unflatten(1, shape)))

    def loss(self, net: nn.Sequential, images: Tensor) -> Tensor:
        """Return the loss of a batch (N, C, *spatial), a scalar: the squared error of decoding noisy latents."""
        latents = net[0](images)
        decoded = net[1](latents + 0.3 * randn_like(latents))
        return nn.functional.mse_loss(decoded, images)

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train on these images and no others; `train_network` keeps checkpoints, and ends when the budget is spent."""
        seed_all(seed)
        config = TrainingConfig(steps=self.steps, batch_size=32, learning_rate=1e-3)
        net = train_network(
            self.build(train.shape), self.loss, feed_split(train, pick_device(device)), config,
            folder=folder, seed=seed, device=device, budget=budget,
            options={"data": data_key(train), **self.weight_options()}, watch=self.watch(lambda net: net),
        )  # fmt: skip
        self.trained(net, train.shape)

    def generate(self, net: nn.Sequential, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, *spatial), in [-1, 1]; all noise comes from seed."""
        device = next(net.parameters()).device
        images: Tensor = net[1](seeded_noise((part.stop - part.start, self.latent), seed, part.start, device=device))
        return images
