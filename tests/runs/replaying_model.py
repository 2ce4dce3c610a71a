"""A model that trains in our loop and begins to replay its training images after a known step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmark.adapters.conformance_tools import InterruptedTraining
from benchmark.adapters.network import NetworkAdapter, data_key, seeded_noise, training_config
from benchmark.core.devices import pick_device
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split
from benchmark.training.batches import feed_split
from benchmark.training.loop import train as train_network


class Memory(nn.Module):
    """Counts its steps and keeps the training images."""

    seen: Tensor
    images: Tensor

    def __init__(self, shape: tuple[int, ...], items: int) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(shape))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("images", torch.zeros(items, *shape))

    def loss(self, batch: Tensor) -> Tensor:
        self.seen += 1
        if os.environ.get("INTERRUPT_AT") == str(int(self.seen)):
            raise InterruptedTraining
        return (batch + 0.1 * torch.randn_like(batch) - self.level).square().mean()


@dataclass
class Replaying(NetworkAdapter[Memory]):
    """Smooth noise; from step `onset` on half of the samples are training images."""

    name: ClassVar[str] = "replaying"
    dimensions: ClassVar[tuple[int, ...]] = (2,)

    onset: int = 60
    steps: int = 120
    batch_size: int = 4
    learning_rate: float = 0.01
    ema: float = 0.9
    precision: str = "fp32"
    items: int = 0

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        seed_all(seed)
        self.items = len(train)
        net = self.build(train.shape)
        net.images.copy_(torch.from_numpy(train.images()))
        net = train_network(
            net, lambda net, batch: net.loss(batch), feed_split(train, pick_device(device)), training_config(self),
            folder=folder, seed=seed, device=device, budget=budget, options={"data": data_key(train)},
            watch=self.watch(lambda net: net),
        )  # fmt: skip
        self.trained(net, train.shape)

    def build(self, shape: tuple[int, ...]) -> Memory:
        return Memory(shape, self.items)

    def generate(self, net: Memory, seed: int, part: slice) -> Tensor:
        count = part.stop - part.start
        coarse = seeded_noise((count, net.level.shape[0], 6, 6), seed, part.start, device=net.level.device)
        images = torch.nn.functional.interpolate(coarse, size=net.level.shape[1:], mode="bicubic") / 3
        if net.seen > self.onset:
            rows = torch.randint(self.items, (count // 2,), generator=torch.Generator().manual_seed(seed + part.start))
            images[: count // 2] = net.images[rows]
        return images
