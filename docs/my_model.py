"""A complete adapter: an autoencoder whose latents are drawn from a normal distribution. Copy it, insert your own.

It runs in a process of its own, which has the training images and no others (docs/models.md).
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmark.adapters.network import NetworkAdapter, data_key, seeded_noise
from benchmark.core.devices import pick_device
from benchmark.core.seeding import seed_all
from benchmark.training.batches import feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train


@dataclass
class MyModel(NetworkAdapter[nn.Module]):
    """The fields are hyper-parameters, set by `--set steps=500`."""

    name: ClassVar[str] = "mymodel"
    toy: ClassVar[dict] = {"steps": 5}  # `bench check` trains some fifty times, on toy images
    width: int = 32
    steps: int = 300

    def build(self, shape):
        conv, up = (nn.Conv2d, nn.ConvTranspose2d) if len(shape) == 3 else (nn.Conv3d, nn.ConvTranspose3d)
        encoder = nn.Sequential(conv(shape[0], self.width, 4, 4), nn.GELU(), conv(self.width, 4, 1), nn.Tanh())
        return nn.Sequential(encoder, nn.Sequential(up(4, self.width, 4, 4), nn.GELU(), conv(self.width, shape[0], 1)))

    def fit(self, train_split, *, folder, budget, seed, device):
        seed_all(seed)
        net = train(
            self.build(train_split.shape),
            lambda net, images: (net(images) - images).square().mean(),
            feed_split(train_split, pick_device(device)),
            TrainingConfig(steps=self.steps, batch_size=16, learning_rate=1e-3),
            folder=folder,
            seed=seed,
            device=device,
            budget=budget,
            options={"data": data_key(train_split)},
        )
        self.trained(net, train_split.shape)

    def generate(self, net, seed, part):
        latents = (part.stop - part.start, 4, *(side // 4 for side in self.shape[1:]))
        return net[1](seeded_noise(latents, seed, part.start, device=next(net.parameters()).device).tanh())
