"""StyleGAN2-ADA: NVIDIA's networks and losses, from the user's checkout, in our training loop.

The repository's code runs only in a worker process; this process never imports it. Its licence allows research and
evaluation only: nothing of it is part of this package.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from benchmark.adapters.network import check_choices, data_key
from benchmark.adapters.weights import DESCRIPTION, WEIGHTS, usable
from benchmark.core.content_digests import tree_digest
from benchmark.core.errors import AdapterError, BenchError, UsageError
from benchmark.core.files import atomic_write, read_json, write_json
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import AUGMENTATIONS as IMAGE_AUGMENTATIONS

from . import worker
from .checkout import find_checkout
from .networks import AUGMENTATIONS, check_sizes
from .pickles import read_generator

if TYPE_CHECKING:
    from benchmark.core.types import Images

T = TypeVar("T")
CHOICES = {
    "ops": ("auto", "reference", "cuda"),
    "augmentation": tuple(AUGMENTATIONS),
    "augment": tuple(IMAGE_AUGMENTATIONS),
}
NOT_DECISIVE = ("checkout", "ops", "network", "sha256", "sampling_batch", "sampling_truncation")


@dataclass
class StyleGAN2ADA:
    """Official networks and losses in this project's training loop, with its seeds, checkpoints and files."""

    without_adaptive: ClassVar[dict[str, Any]] = {"augmentation": "none"}
    """Settings that switch adaptive augmentation off, for studies that compare it with none."""

    checkout: str = ""
    """Folder of NVlabs/stylegan2-ada-pytorch; if empty, $STYLEGAN2_ADA_DIR or that of `bench models install`."""
    ops: str = "auto"
    """`cuda` compiles the repository's operations, `reference` uses its Python code, `auto` compiles where it can."""
    channel_base: int = 16384
    channel_max: int = 512
    latent: int = 512
    mapping_layers: int = 2
    group: int = 4
    """Images that the discriminator compares with each other."""
    half_precision_levels: int = 0
    """Highest resolutions that run in fp16 on CUDA; the authors' 4 need a GPU."""
    r1: float = 0.0
    """Weight of the gradient penalty; 0 for the authors' 0.0002 x pixels / batch."""
    augmentation: str = "bg"
    """`bgc` (the authors', 1 or 3 channels), `bg` (without colours), `anatomy` (nor rotations), or `none`."""
    augment: str = "none"
    """Augmentation of the training images: `none`, `flips`, `published` (flips and small rotations), or `strong`."""
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    """Thousands of images over which the probability of augmentation can rise from 0 to 1."""
    steps: int = 10000
    batch_size: int = 16
    learning_rate: float = 2.5e-3
    ema: float = 0.998
    network: str = ""
    """An official .pkl: its G_ema replaces training. Read with an allow-list; its code is never run."""
    sha256: str = ""
    """SHA-256 digest of that file."""
    sampling_batch: int = 50
    sampling_truncation: float = 1.0

    def __post_init__(self) -> None:
        check_choices("stylegan2-ada", self, CHOICES)
        if bool(self.network) != bool(self.sha256):
            raise UsageError("network and sha256 go together", "give both: sha256sum FILE prints the latter")
        self._weights: Path | None = None
        self._shape: tuple[int, ...] = ()
        self._repository: dict[str, Any] = {}
        self._device = "auto"

    @property
    def trained_elsewhere(self) -> bool:
        """Whether an official network is taken instead of training."""
        return bool(self.network)

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train in a worker process, or read the given network; resumes exactly from folder."""
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError("stylegan2-ada trains in one process", "start it without torchrun")
        if not len(train):
            raise UsageError("there are no items to train on", "give a training split that is not empty")
        settings = self._settings()
        check_sizes(train.shape, settings)
        self._shape, self._device = train.shape, device
        checkout = find_checkout(self.checkout)
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / WEIGHTS
        if self.network:
            built = read_generator(Path(self.network), self.sha256, train.shape, weights)
            for name, value in built.items():
                setattr(self, name, value)
        else:
            self._repository = _in_worker(
                worker.fit,
                self._job(checkout),
                train.pixels[train.rows],
                folder,
                weights,
                seed,
                budget.seconds,
                data_key(train),
            )
        self._weights = weights

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in one array (count, C, H, W), z of each batch from (seed, first number)."""
        if prompts is not None:
            raise UsageError("stylegan2-ada takes no prompts", "leave them out, or choose a text-to-image model")
        weights, job = self._trained(), self._job(find_checkout(self.checkout))
        yield _in_worker(worker.sample, job, weights, count, seed, self.sampling_batch, self.sampling_truncation)

    def save(self, folder: Path) -> None:
        """Write the generator's weights (safetensors), and what it is built from (JSON)."""
        with atomic_write(folder / WEIGHTS) as temporary:
            shutil.copyfile(self._trained(), temporary)
        description = {"hyperparameters": asdict(self), "shape": list(self._shape), "repository": self._repository}
        write_json(folder / DESCRIPTION, description)

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises AdapterError that names the unusable file."""
        with usable(folder / DESCRIPTION) as path:
            description = read_json(path)
            adapter = cls(**description["hyperparameters"])
            adapter._shape = tuple(description["shape"])
            adapter._repository = description["repository"]
        with usable(folder / WEIGHTS) as path:
            path.stat()
        adapter._weights, adapter._device = folder / WEIGHTS, device
        return adapter

    def _settings(self) -> dict[str, Any]:
        """Return the hyper-parameters that decide the weights."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_DECISIVE}

    def fingerprint(self) -> str:
        """Return a digest of the checkout's code, where it is not an option; an empty text where there is none."""
        try:
            return "" if self.checkout else tree_digest(find_checkout(""))
        except (BenchError, OSError):  # training tells what is wrong
            return ""

    def _job(self, checkout: Path) -> worker.Job:
        return worker.Job(checkout, self.ops, self._device, self._shape, self._settings())

    def _trained(self) -> Path:
        if self._weights is None:
            raise AdapterError("this stylegan2-ada has not been trained", "call fit or load first")
        return self._weights


_pools: dict[Path, ProcessPoolExecutor] = {}


def _in_worker(function: Callable[..., T], job: worker.Job, *given: object) -> T:
    """Run a function in the worker process of a checkout, which ends with this process. Raises what it raises."""
    if job.checkout not in _pools:
        _pools[job.checkout] = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=worker.watch_parent, initargs=(os.getpid(),)
        )
    try:
        return _pools[job.checkout].submit(function, job, *given).result()
    except BrokenProcessPool as error:
        del _pools[job.checkout]
        raise AdapterError(
            "the process that runs stylegan2-ada ended before its work was done",
            "the same command resumes from its last checkpoint; if memory is short, set a smaller batch_size",
        ) from error
