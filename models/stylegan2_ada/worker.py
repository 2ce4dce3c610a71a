"""What runs in the worker process: the repository's modules have names that other repositories use too."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmark.adapters.network import in_range
from benchmark.adapters.weights import load_weights, save_weights, usable
from benchmark.core.devices import pick_device
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import Budget, chunks
from benchmark.images.augmentations import find_augmentation
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train

from .checkout import commit_of, import_checkout
from .networks import Networks, build_networks, phases

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images


@dataclass(frozen=True)
class Job:
    """The checkout and settings that decide the networks."""

    checkout: Path
    ops: str
    device: str
    shape: tuple[int, ...]
    settings: dict[str, Any]


def watch_parent(parent: int) -> None:
    """End this process when the one that started it has ended; nothing else would end it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _repository(checkout: Path, ops: str, device: str) -> SimpleNamespace:
    return import_checkout(checkout, ops, device)


def _build(job: Job) -> Networks:
    place = str(pick_device(job.device))
    return build_networks(_repository(job.checkout, job.ops, place), job.shape, job.settings)


def fit(
    job: Job, pixels: Array, folder: Path, weights: Path, seed: int, seconds: float | None, data: str
) -> dict[str, Any]:
    """Train, write the weights of the averaged generator, and return facts about the repository for the record.

    Args:
        job: checkout and settings.
        pixels: training images (N, C, H, W), uint8 or float32 in [-1, 1].
        folder: of checkpoints and log.
        weights: file that the weights are written to.
        seed: of weights, batches and noise.
        seconds: budget, or None.
        data: digest of the training data.
    """
    seed_all(seed)
    networks, settings, device = _build(job), job.settings, pick_device(job.device)
    config = TrainingConfig(
        steps=settings["steps"],
        batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        schedule="constant",
        warmup=0,
        clip=0,
        ema=settings["ema"],
        precision="fp32",  # the networks choose half precision themselves, by half_precision_levels
    )
    trained = train(
        networks,
        phases(settings),
        Resident(torch.from_numpy(pixels), device),
        config,
        folder=folder,
        seed=seed,
        device=job.device,
        label="stylegan2-ada",
        budget=Budget(seconds),
        options={**settings, "data": data},
        augment=find_augmentation(settings["augment"]),
    )
    save_weights(weights, trained.generator.state_dict())
    repository = _repository(job.checkout, job.ops, str(device))
    return {
        "commit": commit_of(job.checkout),
        "ops": repository.ops,
        "patches": repository.patches,
        "augmentation_probability": float(trained.probability()),
    }


@torch.no_grad()
def sample(job: Job, weights: Path, count: int, seed: int, batch: int, truncation: float) -> Images:
    """Return images (count, C, H, W) of the generator with these weights; z of each batch from (seed, first number)."""
    generator, device = _generator(job, weights), pick_device(job.device)
    images_made = []
    for part in chunks(count, batch):
        random = torch.Generator().manual_seed(derive_seed(seed, part.start))
        z = torch.randn(part.stop - part.start, generator.z_dim, generator=random).to(device)
        labels = torch.zeros(len(z), 0, device=device)
        images = generator(z, labels, truncation_psi=truncation, noise_mode="const")
        images_made.append(in_range(images).cpu().numpy())
    return np.concatenate(images_made)


_loaded: dict[tuple[str, int], Any] = {}


def _generator(job: Job, weights: Path) -> Any:
    """Return the generator with these weights; it stays in memory until other weights are requested."""
    key = (str(weights), weights.stat().st_mtime_ns if weights.exists() else 0)
    if key not in _loaded:
        _loaded.clear()
        generator = _build(job).generator
        with usable(weights) as path:
            load_weights(generator, path)
        _loaded[key] = generator.to(pick_device(job.device)).eval()
    return _loaded[key]
