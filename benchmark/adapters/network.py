"""The base class of adapters that are one torch network: files, batches, refusals. A family adds what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.adapters.weights import DESCRIPTION, WEIGHTS, load_weights, save_model, usable
from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import content_key, read_json
from benchmark.core.seeding import derive_seed
from benchmark.core.types import Split, chunks
from benchmark.training.config import TrainingConfig
from benchmark.training.watching import Watch

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images, Watcher

Net = TypeVar("Net", bound=nn.Module)
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass
class NetworkAdapter(Generic[Net]):
    """An adapter whose trained state is one network, built from its hyper-parameters and the shape of an item.

    A family implements `build`, `fit` (which ends with a call of `trained`) and `generate`; the rest of the contract is
    here.
    """

    name: ClassVar[str]
    """Name of the model's card, used in messages."""

    sampling_batch: int = 50
    """Images generated at once."""

    def __post_init__(self) -> None:
        self._net: Net | None = None
        self._shape: tuple[int, ...] = ()
        self._watcher: Watcher | None = None

    def build(self, shape: tuple[int, ...]) -> Net:
        """Return an untrained network for items of this shape (C, *spatial)."""
        raise NotImplementedError

    def generate(self, net: Net, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, *spatial), on the network's device, not yet clamped."""
        raise NotImplementedError

    def watched_by(self, watcher: Watcher) -> None:
        """Let a watcher look at the network during the next `fit`."""
        self._watcher = watcher

    def watch(self, whole: Callable[[Any], Net]) -> Watch | None:
        """Return what `training.loop.train` needs for the watcher to look; nothing where there is none.

        Args:
            whole: makes the network that `generate` takes from a copy of the one in training.
        """
        if self._watcher is None:
            return None

        @torch.no_grad()
        def draw(net: Any, count: int, seed: int) -> Iterator[Images]:
            model = whole(net).eval()
            for part in chunks(count, self.sampling_batch):
                yield in_range(self.generate(model, seed, part)).cpu().numpy()

        return Watch(self._watcher, draw)

    def trained(self, net: Net, shape: tuple[int, ...]) -> None:
        """Keep a network as the trained one, for items of this shape (C, *spatial)."""
        self._net, self._shape = net.eval(), shape

    def network(self) -> Net:
        """Return the trained network. Raises AdapterError before `fit` or `load`."""
        if self._net is None:
            raise AdapterError(f"this {self.name} has not been trained", "call fit or load first")
        return self._net

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the items trained on, (C, *spatial)."""
        return self._shape

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, *spatial) of `sampling_batch`, each from its own noise."""
        if prompts is not None:
            raise UsageError(f"{self.name} takes no prompts", "leave them out, or choose a text-to-image model")
        net = self.network()
        for part in chunks(count, self.sampling_batch):
            with torch.no_grad():  # not around the yield: whoever stops reading would go on without gradients
                images = in_range(self.generate(net, seed, part)).cpu().numpy()
            yield images

    def save(self, folder: Path) -> None:
        """Write the weights (safetensors) and what is needed to build the network again (JSON)."""
        description = {"hyperparameters": asdict(self), "shape": list(self._shape)}
        save_model(folder, self.network().state_dict(), description)

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises AdapterError that names the file that cannot be used."""
        with usable(folder / DESCRIPTION) as path:
            description = read_json(path)
            saved = description["hyperparameters"]
            given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
            adapter = cls(**given)
            shape = tuple(description["shape"])
            net = adapter.build(shape)
        with usable(folder / WEIGHTS) as path:
            load_weights(net, path)
        adapter.trained(net.to(pick_device(device)), shape)
        return adapter

    def batchwise(self, function: Callable[[Tensor], Tensor], images: Images) -> Array:
        """Apply a function of tensors to images (N, C, *spatial) in batches of `sampling_batch`, without gradients."""
        device = next(self.network().parameters()).device
        with torch.no_grad():
            return np.concatenate(
                [
                    function(torch.from_numpy(images[part]).to(device)).cpu().numpy()
                    for part in chunks(len(images), self.sampling_batch)
                ]
            )

    def weight_options(self) -> dict[str, object]:
        """Return the hyper-parameters that decide the weights: all whose names do not begin with `sampl`."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("sampl")}


def training_config(adapter: object, **changes: Any) -> TrainingConfig:
    """Return the training configuration in an adapter's hyper-parameters, with changes.

    Args:
        adapter: has the fields steps, batch_size, learning_rate, ema and precision.
        changes: other values, or other fields of TrainingConfig.
    """
    names = ("steps", "batch_size", "learning_rate", "ema", "precision")
    return TrainingConfig(**{name: getattr(adapter, name) for name in names} | changes)


def data_key(train: Split) -> str:
    """Return a digest of the training data: a checkpoint from other data is recognised by it."""
    return content_key(train.name, train.items, train.shape, str(train.pixels.dtype))


def seeded_noise(shape: Sequence[int], *counters: int, device: torch.device) -> Tensor:
    """Return standard normal noise of a shape, a function of the counters; drawn on the CPU, the same on any device."""
    generator = torch.Generator().manual_seed(derive_seed(*counters))
    return torch.randn(*shape, generator=generator).to(device)


def in_range(images: Tensor) -> Tensor:
    """Clamp images (n, C, *spatial) to [-1, 1]; values that are not finite become NaN.

    `images.sample_checks` refuses NaN and names the sample by its number in the run, which is not known
    here. An infinite value that was clamped would pass for white or black.
    """
    return torch.where(torch.isfinite(images), images, torch.nan).float().clamp(-1, 1)


def check_choices(name: str, given: object, choices: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError where a field of `given` has a value that is none of its choices."""
    for field, allowed in choices.items():
        value: Any = getattr(given, field)
        if value not in allowed:
            raise UsageError(f"{name} has no {field} {value!r}", f"choose one of {', '.join(allowed)}")
