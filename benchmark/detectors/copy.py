"""Detector `copy`: a small contrastive encoder that finds copies after flips, rotations, crops, contrast and noise.

It is trained on the real items of all three splits: a network that has seen training items only would embed these
otherwise than held-out ones, and their similarities could not be compared. Loss: NT-Xent (Chen et al. 2020, 2002.05709)
between a transformed item and the item itself, which is how the search compares them; other items of the same patient
are not used as negatives.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.devices import pick_device
from benchmark.core.types import Split, chunks, patient_codes
from benchmark.images.transforms import augment, rotate_by_quarters
from benchmark.search import COSINE
from benchmark.training.batches import LAYOUTS, Feed, feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Images, Similarity

EMBED_BATCH = 128


@dataclass(frozen=True)
class Options:
    """The options of `copy`, which decide the encoder; the defaults are protocol p2."""

    size: int = 64
    """Pixels per side that a larger 2D item is reduced to."""
    volume_size: int = 24
    """Voxels per side that a larger 3D item is reduced to."""
    width: int = 16
    """Channels of the first stage; later ones have 2, 4 and 4 times as many."""
    dimension: int = 128
    """Length of the embedding."""
    steps: int = 1000
    batch_size: int = 96
    """Items per step, each embedded as it is and transformed; half as many for volumes."""
    learning_rate: float = 2e-3
    temperature: float = 0.1
    rotate90: bool = False
    """Find copies after rotations by 90 degrees and up-down flips too, at the cost of recall after other changes."""
    seed: int = 0
    """Seed of weights, batches and augmentation."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Copy:
        """Train on all real items, or load a finished training."""
        return fit_copy(real, self, folder=folder, key=key, device=device)


class Encoder(nn.Module):
    """Four stages of two convolutions, then a projection to unit vectors: (N, C, *spatial) -> (N, dimension)."""

    def __init__(self, channels: int, dims: int, options: Options) -> None:
        super().__init__()
        self.size = [options.size if dims == 2 else options.volume_size] * dims
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        layers: list[nn.Module] = []
        inside = channels
        for factor in (1, 2, 4, 4):
            out = options.width * factor
            for stride, source in ((2, inside), (1, out)):
                layers += [conv(source, out, 3, stride, 1, bias=False), norm(out), nn.ReLU()]
            inside = out
        pool = nn.AdaptiveAvgPool2d(2) if dims == 2 else nn.AdaptiveAvgPool3d(2)
        head = [pool, nn.Flatten(), nn.Linear(inside * 2**dims, 256), nn.ReLU(), nn.Linear(256, options.dimension)]
        self.layers = nn.Sequential(*layers, *head)

    def shrink(self, images: Tensor) -> Tensor:
        """Reduce sides that are longer than the encoder's by area averaging: (N, C, *spatial) to (N, C, *smaller)."""
        size = [min(side, most) for side, most in zip(images.shape[2:], self.size, strict=True)]
        return images if list(images.shape[2:]) == size else F.interpolate(images, size=size, mode="area")

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, C, *spatial) as unit vectors (N, dimension); volumes are standardised first.

        Without standardising, volumes were hardly separated after 300 steps (mean planted recall 0.17 against 0.30).
        2D images are not standardised: it amplified noise where a channel is nearly empty (recall 0.50 against 0.87 on
        phantom-mr, whose fifth channel is a segmentation).
        """
        layout = LAYOUTS[images.ndim]
        scaled = standardise(images) if images.ndim == 5 else images
        return F.normalize(self.layers(scaled.contiguous(memory_format=layout)).float(), dim=1)


def standardise(images: Tensor) -> Tensor:
    """Centre every channel of every item, and divide by the spread over all channels: (N, C, *spatial), same shape."""
    centred = images - images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)
    spread = centred.square().mean(dim=tuple(range(1, images.ndim)), keepdim=True).sqrt()
    return centred / (spread + 0.02)  # 1 % of the range [-1, 1]: an almost constant item keeps its noise small


class _WithPatients:
    """A feed of (images (N, C, *spatial), patient codes (N,))."""

    def __init__(self, feed: Feed[Tensor], codes: NDArray[np.int64], device: torch.device) -> None:
        self.feed, self.codes, self.read_ahead = feed, torch.from_numpy(codes).to(device), feed.read_ahead

    def __len__(self) -> int:
        return len(self.feed)

    def take(self, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(positions).to(self.codes.device)
        return self.feed.take(positions), self.codes[index]


def nt_xent(first: Tensor, second: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross entropy (NT-Xent) of two views of N items, a scalar.

    Args:
        first: (N, D) unit vectors of one view.
        second: (N, D) unit vectors of the other view, in the same order.
        codes: (N,) patient of each item; pairs of one patient are not used as negatives.
        temperature: divides the cosines.
    """
    views = torch.cat([first, second])
    logits = views @ views.T / temperature
    count = len(first)
    partner = torch.arange(2 * count, device=views.device).roll(count)
    same_patient = codes.repeat(2)[:, None] == codes.repeat(2)[None, :]
    same_patient[torch.arange(2 * count, device=views.device), partner] = False
    # exp(-1e4) is 0: the item itself and other items of its patient take no part in the softmax.
    return F.cross_entropy(logits.masked_fill(same_patient, -1e4), partner)


@dataclass
class Copy:
    """The trained detector: cosine of two embeddings."""

    encoder: Encoder
    device: torch.device
    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = (
        "exact", "flip", "rotate5", "contrast", "blur", "noise", "resample", "recode",
    )  # fmt: skip

    @torch.inference_mode()
    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, dimension)."""
        parts = [torch.from_numpy(images[part]).to(self.device) for part in chunks(len(images), EMBED_BATCH)]
        return torch.cat([self.encoder(self.encoder.shrink(part)).cpu() for part in parts]).numpy()


def fit_copy(real: Split, chosen: Options, *, folder: Path, key: str, device: str) -> Copy:
    """Train the detector on all real items of a cohort, or load it where folder holds a finished training.

    Args:
        real: the items of all three splits.
        chosen: the options.
        folder: keeps the checkpoint; an interrupted training resumes from it.
        key: digest of the cohort; the checkpoint of another cohort is refused.
        device: `auto`, `cpu`, `cuda`.
    """
    place = pick_device(device)
    torch.manual_seed(chosen.seed)
    dims = len(real.shape) - 1
    encoder = Encoder(real.shape[0], dims, chosen)
    encoder.to(memory_format=LAYOUTS[dims + 2])  # type: ignore[call-overload]  # a quarter faster on CPU

    def loss(net: Encoder, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, codes = net.shrink(batch[0]), batch[1]
        changed = augment(rotate_by_quarters(images) if chosen.rotate90 else images)
        return nt_xent(net(changed), net(images), codes, chosen.temperature)

    batch = chosen.batch_size if len(real.shape) == 3 else max(1, chosen.batch_size // 2)
    config = TrainingConfig(steps=chosen.steps, batch_size=batch, learning_rate=chosen.learning_rate, weight_decay=1e-4)
    feed = _WithPatients(feed_split(real, place), patient_codes(real.subjects), place)
    trained = train(
        encoder, loss, feed, config, folder=folder, seed=chosen.seed, device=device, label="copy detector",
        options={"cohort": key, **asdict(chosen)},
    )  # fmt: skip
    return Copy(trained, place)
