"""An adapter that keeps its contract, and others that break it, each in one way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import Array, Budget, Images, Split
from benchmark.training.batches import feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train as train_network


class Mean(nn.Module):
    """Learns the mean image."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(*shape))

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """Return the squared error of the mean, at noisy images."""
        return (images + 0.1 * torch.randn_like(images) - self.value).square().mean()


@dataclass
class Sound:
    """The mean image plus noise."""

    steps: int = 6

    def __post_init__(self) -> None:
        self.net: Mean | None = None

    def config(self) -> TrainingConfig:
        return TrainingConfig(steps=self.steps, batch_size=4, learning_rate=0.1)

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        seed_all(seed)
        feed = feed_split(train, pick_device(device))
        options = {"folder": folder, "seed": seed, "device": device, "budget": budget}
        self.net = train_network(
            Mean(train.shape), lambda net, images: net.loss(images), feed, self.config(), **options
        )

    def trained(self) -> Mean:
        if self.net is None:
            raise AdapterError("this toy has not been trained", "call fit or load first")
        return self.net

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        if prompts is not None:
            raise UsageError("a toy takes no prompts", "leave them out")
        mean = self.trained().value.detach().numpy()
        noise = np.random.default_rng(seed).normal(0, 0.1, (count, *mean.shape))
        yield np.clip(mean + noise, -1, 1).astype(np.float32)

    def save(self, folder: Path) -> None:
        torch.save(self.trained().value.detach(), folder / "mean.pt")

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        adapter, value = cls(), torch.load(folder / "mean.pt", weights_only=True)
        adapter.net = Mean(value.shape)
        adapter.net.value.data = value
        return adapter


class WrongRange(Sound):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            batch[0, 0, 0, 0] = 1
            yield np.where(batch == 1, np.float32(255), batch)


class UnitRange(Sound):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            yield (batch + 1) / 2


class Constant(Sound):
    """Another grey value for each seed and sample."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            level = np.linspace(-0.9, 0.9, count) + batch.mean() * 0.1
            yield np.zeros_like(batch) + level.reshape(-1, *[1] * (batch.ndim - 1)).astype(np.float32)


class Repeats(Sound):
    """One image per call."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            yield np.repeat(batch[:1], count, axis=0)


class GreyLevels(Sound):
    """Grey levels 0 to 255 that were clamped, as the frame of adapters of networks does."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            yield np.clip((batch + 1) * 127.5, -1, 1)


class VolumesOnly(Sound):
    dimensions = (3,)

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        _, depth, _, _ = train.shape
        assert depth
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)


class WrongDeclaration(Sound):
    dimensions = "2D"


class NotFinite(Sound):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed, prompts=prompts):
            batch[3] = np.nan
            yield batch


class IgnoresSeed(Sound):
    draws = 0

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        IgnoresSeed.draws += 1
        return super().sample(count, seed=derive_seed(seed, IgnoresSeed.draws), prompts=prompts)


class ReadsHeldOut(Sound):
    """Trains on all items that it can get at."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        names = tuple(map(str, range(len(train.pixels))))
        everything = replace(train, rows=np.arange(len(train.pixels)), items=names, subjects=names)
        super().fit(everything if len(train) else train, folder=folder, budget=budget, seed=seed, device=device)


class Unpicklable(Sound):
    def save(self, folder: Path) -> None:
        torch.save({"mean": self.trained().value, "lock": threading.Lock()}, folder / "mean.pt")


class ForgetsOptimizer(Sound):
    """Resumes with the weights of a training that was cut off, and nothing else."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        if not len(train):
            raise UsageError("no items", "give some")
        seed_all(seed)
        net, path, images, done = Mean(train.shape), folder / "mean.pt", torch.from_numpy(train.images()), 0
        if path.exists():
            done, weights = torch.load(path)
            net.load_state_dict(weights)
        optimizer = torch.optim.Adam(net.parameters(), 0.1)
        for step in range(done, self.steps if budget.seconds is None else 1):
            optimizer.zero_grad()
            net.loss(images).backward()
            optimizer.step()
            torch.save((step + 1, net.state_dict()), path)
        self.net = net


class Spendthrift(Sound):
    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        super().fit(train, folder=folder, budget=Budget(), seed=seed, device=device)


class TakesPrompts(Sound):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        return super().sample(count, seed=seed)


class Downloads(Sound):
    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        socket.create_connection(("example.org", 443), timeout=5)


class WrongLosses(Sound):
    def losses(self, images: Images, *, seed: int) -> Array:
        return np.ones(1)


class RefusesAll(Sound):
    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        raise UsageError("nothing suits me", "bring something else")
