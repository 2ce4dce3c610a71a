"""Pretrained generative bundles of MONAI's model zoo."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.adapters.external import ExternalModel
from benchmark.adapters.network import check_choices, in_range, seeded_noise
from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, MissingDataError
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import chunks

from .configuration import FORMER_SCHEDULES, NETWORKS, SCHEDULERS, Configuration

if TYPE_CHECKING:
    from benchmark.core.types import Images


@dataclass
class Bundle(ExternalModel):
    """A diffusion U-Net, its autoencoder where there is one, and its scheduler.

    `path` is the bundle's folder, with configs/ and models/.
    """

    name: ClassVar[str] = "monai-bundle"

    config: str = "configs/inference.json"
    weights: str = "models/model.pt"
    """Weights of the U-Net; read as tensors only."""
    autoencoder_weights: str = "models/model_autoencoder.pt"
    scale: float = 1.0
    """Factor of the latents before the U-Net (scale_factor of the training): 1 / their standard deviation."""
    steps: int = 50
    """Sampling steps."""
    range: str = "unit"
    """Grey levels of the bundle's images: `unit` for 0 to 1, as MONAI's tutorials train, or `signed` for -1 to 1."""
    sampling_batch: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {"range": ("unit", "signed")})
        self._networks: dict[str, nn.Module] = {}
        self._scheduler: Any = None
        self._noise: tuple[int, ...] = ()
        self._device = torch.device("cpu")

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, *spatial), the noise of each from (seed, first number)."""
        self.refuse_prompts(prompts)
        if self._scheduler is None:
            raise AdapterError("this bundle has not been loaded", "call fit or load first")
        for part in chunks(count, self.sampling_batch):
            seed_all(derive_seed(seed, part.start, 1))  # DDPMScheduler draws its noise from the global generator
            noise = seeded_noise((part.stop - part.start, *self._noise), seed, part.start, device=self._device)
            images = self._sampled(noise)
            yield in_range(images * 2 - 1 if self.range == "unit" else images).cpu().numpy()

    @torch.no_grad()
    def _sampled(self, noise: Tensor) -> Tensor:
        from monai.inferers import DiffusionInferer, LatentDiffusionInferer

        self._scheduler.set_timesteps(self.steps)
        given: dict[str, Any] = {"diffusion_model": self._networks["unet"], "verbose": False}
        if "autoencoder" not in self._networks:
            pixels: Tensor = DiffusionInferer(self._scheduler).sample(noise, **given)
            return pixels
        inferer = LatentDiffusionInferer(self._scheduler, scale_factor=self.scale)
        images: Tensor = inferer.sample(noise, autoencoder_model=self._networks["autoencoder"], **given)
        return images

    def open(self, device: str) -> None:
        """Build the networks and load their weights."""
        from monai.networks import schedulers

        place, configuration = Path(self.path), Configuration(Path(self.path) / self.config)
        unet, autoencoder = configuration.find("DiffusionModelUNet"), configuration.find("AutoencoderKL", "VQVAE")
        scheduler = configuration.find(*SCHEDULERS)
        if unet is None or scheduler is None:
            raise AdapterError(
                f"{configuration.path} builds no DiffusionModelUNet of MONAI, or no scheduler",
                f"bundles of {', '.join(NETWORKS)} with {', '.join(SCHEDULERS)} can be read",
            )
        schedule = scheduler.get("schedule", "linear_beta")
        chosen = {**scheduler, "schedule": FORMER_SCHEDULES.get(schedule, schedule)}
        self._scheduler = getattr(schedulers, configuration.name_of(*SCHEDULERS))(**chosen)
        self._device = pick_device(device)
        self._networks = {"unet": self._built("DiffusionModelUNet", unet, place / self.weights)}
        self._noise = tuple(configuration.value("latent_shape") or self.shape)
        if autoencoder is not None:
            name = configuration.name_of("AutoencoderKL", "VQVAE")
            self._networks["autoencoder"] = self._built(name, autoencoder, place / self.autoencoder_weights)

    def _built(self, name: str, arguments: dict[str, Any], path: Path) -> nn.Module:
        from monai.networks import nets

        try:
            network: nn.Module = getattr(nets, name)(**arguments)
        except (TypeError, ValueError) as error:
            raise AdapterError(
                f"{name} of {self.config} cannot be built: {error}", "check the bundle against this MONAI"
            ) from error
        _fill(network, path)
        return network.to(self._device).eval()


def _fill(network: nn.Module, path: Path) -> None:
    """Load weights as tensors only; those of the package `generative` are renamed as MONAI names them."""
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}", "give --set weights=FILE and --set autoencoder_weights=FILE")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise AdapterError(
            f"{path} holds no plain tensors ({type(error).__name__})", "save state_dict() with torch.save"
        ) from error
    try:
        if state.keys() != network.state_dict().keys():
            state = _renamed(network, state)
        network.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise AdapterError(
            f"the weights of {path} do not fit the network: {why}", "check that file and configuration belong together"
        ) from error


def _renamed(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of the package `generative` under MONAI's names. Raises KeyError where one has no counterpart."""
    left = dict(state)
    network.load_old_state_dict(left)  # type: ignore[operator]
    renamed: dict[str, Tensor] = network.state_dict()
    if left or len(state) != len(renamed):
        raise KeyError(f"{len(left)} of {len(state)} weights have no place among the network's {len(renamed)}")
    return renamed
