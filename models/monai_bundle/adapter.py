"""Pretrained generative bundles of MONAI's model zoo."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.adapters.checkpoints import read_tensors, unnamed_average, weights_for
from benchmark.adapters.external import ExternalModel
from benchmark.adapters.network import check_choices, in_range, seeded_noise
from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, MissingDataError, UsageError
from benchmark.core.model_files import notice
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import chunks

from .configuration import FORMER_SCHEDULES, NETWORKS, SCALE, SCHEDULERS, Configuration

if TYPE_CHECKING:
    from benchmark.core.types import Images

WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
BELOW = 0.05
"""Largest share of values below -0.5 in images of [0, 1]: a decoder goes a little beyond its range. The black of images
of [-1, 1] is far more than that."""
DECODER_FILE = re.compile("autoencoder|vae|vqgan|first_stage", re.IGNORECASE)
"""In the names of files with the weights of an autoencoder, not of the U-Net."""


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
    latent_shape: tuple[int, ...] = ()
    """Channels and sides of a latent, where the configuration does not give them."""
    condition: tuple[float, ...] = ()
    """Numbers that a conditioned U-Net gets for every sample, such as 0.0,0.1,0.2,0.4."""
    label: int | None = None
    """Class that a class-conditioned U-Net gets for every sample."""
    scale: float | None = None
    """Factor of the latents before the U-Net (scale_factor of the training), 1 / their standard deviation; if not
    given, that of the configuration or of the U-Net's checkpoint, else 1."""
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
        self._scale = 1.0
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
            self._require_scale(images)
            yield in_range(images * 2 - 1 if self.range == "unit" else images).cpu().numpy()

    def _require_scale(self, images: Tensor) -> None:
        """Raise UsageError where images (n, C, *spatial) are not in [0, 1] though `range` says so.

        Clamped, they would lose all that is darker than the middle of [-1, 1].
        """
        if self.range == "unit" and float((images < -0.5).float().mean()) > BELOW:
            raise UsageError(
                f"the samples of {self.path} have values from {float(images.min()):.2g} to {float(images.max()):.2g}: "
                "they are not on the scale [0, 1]",
                "say that the bundle was trained on [-1, 1]: --set range=signed",
            )

    @torch.no_grad()
    def _sampled(self, noise: Tensor) -> Tensor:
        from monai.inferers import DiffusionInferer, LatentDiffusionInferer

        self._scheduler.set_timesteps(self.steps)
        given: dict[str, Any] = {"diffusion_model": self._networks["unet"], "verbose": False}
        if "autoencoder" not in self._networks:
            pixels: Tensor = DiffusionInferer(self._scheduler).sample(noise, **given)
            return pixels
        inferer = LatentDiffusionInferer(self._scheduler, scale_factor=self._scale)
        images: Tensor = inferer.sample(noise, autoencoder_model=self._networks["autoencoder"], **given)
        return images

    def open(self, device: str) -> None:
        """Build the networks and load their weights. Raises BenchError that names what is missing or does not fit."""
        from monai.networks import schedulers

        place, configuration = Path(self.path), Configuration(Path(self.path) / self.config)
        unet, autoencoder = configuration.find("DiffusionModelUNet"), configuration.find("AutoencoderKL", "VQVAE")
        scheduler = configuration.find(*SCHEDULERS)
        if unet is None or scheduler is None:
            raise AdapterError(
                f"{configuration.path} builds no DiffusionModelUNet of MONAI, or no scheduler",
                f"bundles of {', '.join(NETWORKS)} with {', '.join(SCHEDULERS)} can be read",
            )
        self._require_decoder(configuration, autoencoder)
        schedule = scheduler.get("schedule", "linear_beta")
        chosen = {**scheduler, "schedule": FORMER_SCHEDULES.get(schedule, schedule)}
        self._scheduler = getattr(schedulers, configuration.name_of(*SCHEDULERS))(**chosen)
        self._device = pick_device(device)
        self._noise = self._noise_shape(configuration, unet, autoencoder)
        require_condition(configuration.path, unet, self.condition, self.label, self._noise[0])
        network = self._built("DiffusionModelUNet", unet, weights_file(place, self.weights, "weights"))
        self._networks = {"unet": Conditioned(network, self.condition, self.label)}
        if autoencoder is not None:
            name = configuration.name_of("AutoencoderKL", "VQVAE")
            path = weights_file(place, self.autoencoder_weights, "autoencoder_weights")
            self._networks["autoencoder"] = self._built(name, autoencoder, path)
            self._scale = self._latent_scale(configuration, weights_file(place, self.weights, "weights"))

    def _require_decoder(self, configuration: Configuration, autoencoder: dict[str, Any] | None) -> None:
        """Raise AdapterError where latents would be sampled and nothing could decode them to images."""
        if autoencoder is not None:
            return
        if reason := configuration.unknown_autoencoder():
            raise AdapterError(
                f"{configuration.path} is of a latent model whose autoencoder cannot be built: {reason}",
                "only AutoencoderKL and VQVAE of MONAI can; sample with the bundle's own code, and give the images as "
                "--model folder",
            )
        shape = self.latent_shape or tuple(configuration.value("latent_shape") or ())
        if shape and shape != self.shape:
            raise AdapterError(
                f"{configuration.path} builds no autoencoder, and latents of shape {shape} are not images of shape "
                f"{self.shape}",
                "give a configuration with the autoencoder, or leave out latent_shape",
            )

    def _latent_scale(self, configuration: Configuration, weights: Path) -> float:
        """Return the factor of the latents: the option, that of the configuration, that of a checkpoint, or 1."""
        if self.scale is not None:
            return self.scale
        stated, stored = configuration.latent_scale(), read_tensors(weights).get(SCALE)
        number = float(stored) if stated is None and isinstance(stored, int | float | Tensor) else stated
        if number is None:
            return 1.0
        notice(f"scale of {Path(self.path).name} is {number:g}")
        return number

    def _noise_shape(
        self, configuration: Configuration, unet: dict[str, Any], autoencoder: dict[str, Any] | None
    ) -> tuple[int, ...]:
        """Return the shape of the noise: of latents, or of the cohort's items. Raises AdapterError, UsageError."""
        made = int(unet.get("out_channels", 0))
        if autoencoder is None:
            if made != self.shape[0]:
                raise UsageError(
                    f"{configuration.path} generates {made} channels, the cohort's items are {self.shape}, and it "
                    "builds no autoencoder that would decode latents",
                    "choose a data set with as many channels, or give a configuration with the autoencoder",
                )
            return self.shape
        shape = self.latent_shape or tuple(configuration.value("latent_shape") or ())
        if not shape:
            raise UsageError(
                f"{configuration.path} does not give the shape of the latents as latent_shape",
                f"give it, such as --set latent_shape={made}{',16' * (len(self.shape) - 1)}: channels, then the sides "
                "of an image divided by the autoencoder's factor",
            )
        channels = int(autoencoder.get("latent_channels", autoencoder.get("embedding_dim", made)))
        if len(shape) != len(self.shape) or shape[0] != made or channels != made:
            raise UsageError(
                f"latents of shape {shape} do not go through a unet of {made} channels and an autoencoder of "
                f"{channels} to items of shape {self.shape}",
                "check latent_shape: channels first, then the sides",
            )
        return shape

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


class Conditioned(nn.Module):
    """A U-Net with the same condition for all samples."""

    def __init__(self, network: nn.Module, condition: tuple[float, ...], label: int | None) -> None:
        super().__init__()
        self.network, self.label = network, label
        self.condition = torch.tensor(condition)

    def forward(self, x: Tensor, timesteps: Tensor, **_: object) -> Tensor:
        """Predict for x (N, C, *spatial), with the condition as context (N, tokens, D), and as the class of each.

        A U-Net of more input channels than x has gets the condition as constant channels too, as the brain model of
        MONAI's zoo does (Pinaya et al. 2022, 2209.07162).
        """
        network: Any = self.network
        given: dict[str, Any] = {}
        if len(self.condition):
            rows = self.condition.to(x).expand(len(x), -1)
            given["context"] = rows.reshape(len(x), -1, network_width(network))
            if network.in_channels > x.shape[1]:
                planes = rows.reshape(*rows.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
                x = torch.cat([x, planes], dim=1)
        if self.label is not None:
            given["class_labels"] = torch.full((len(x),), self.label, device=x.device)
        predicted: Tensor = network(x, timesteps=timesteps, **given)
        return predicted


def network_width(network: nn.Module) -> int:
    """Return the width of the vectors that a U-Net attends to."""
    widths = {
        part.to_k.in_features
        for name, part in network.named_modules()
        if name.endswith("attn2") and isinstance(part.to_k, nn.Linear)
    }
    return int(widths.pop())


def require_condition(
    path: Path, unet: dict[str, Any], condition: tuple[float, ...], label: int | None, channels: int
) -> None:
    """Raise UsageError where the U-Net needs a condition that is not given, or is given one that it does not take.

    Args:
        path: of the configuration.
        unet: arguments of the U-Net.
        condition: numbers.
        label: class.
        channels: of the noise.
    """
    width = int(unet.get("cross_attention_dim") or 0) if unet.get("with_conditioning") else 0
    more, classes = int(unet["in_channels"]) - channels, unet.get("num_class_embeds")
    numbers = width or max(more, 0)
    if numbers and not condition:
        example = ",".join(["0.5"] * min(numbers, 4))
        raise UsageError(
            f"{path} is of a model that is conditioned on {numbers} numbers",
            f"give them as it was trained with them, such as --set condition={example}{',...' * (numbers > 4)}",
        )
    if condition and (not width or len(condition) % width or more not in (0, len(condition))):
        takes = f"takes {width} numbers" if width else "takes no numbers as its context"
        extra = f" and {more} more channels" if more else ""
        raise UsageError(f"condition has {len(condition)} numbers, and the unet of {path} {takes}{extra}", "check it")
    if more and not condition:
        raise UsageError(f"the unet of {path} takes {more} channels more than the noise", "check latent_shape")
    if classes is not None and label is None:
        raise UsageError(
            f"{path} is of a model that is conditioned on one of {classes} classes", "give one: --set label=0"
        )
    if label is not None and not (classes is not None and 0 <= label < int(classes)):
        raise UsageError(f"label is {label}, and the unet of {path} has {classes or 0} classes", "check it")


def weights_file(bundle: Path, name: str, option: str) -> Path:
    """Return the file of some weights: the one that is named, else the only one in models/ that can be meant.

    Raises MissingDataError.
    """
    path = bundle / name
    if path.is_file() or path.is_symlink():
        return path
    files = sorted(file for file in (bundle / "models").glob("*") if file.suffix in WEIGHTS)
    wanted = [file for file in files if bool(DECODER_FILE.search(file.stem)) == option.startswith("autoencoder")]
    wanted = [file for file in wanted if "discriminator" not in file.stem.lower()]
    is_default = name == Bundle.__dataclass_fields__[option].default
    if is_default and len(wanted) == 1:
        notice(f"{option} of {bundle.name} are {wanted[0].relative_to(bundle)}")
        return wanted[0]
    if (bundle / "large_files.yml").is_file() and not files:
        raise MissingDataError(
            f"there is no file {path}: the bundle has been copied without its weights, which large_files.yml lists",
            f"fetch them: python -m monai.bundle download_large_files --bundle_path {bundle}",
        )
    there = f"; models holds {', '.join(file.name for file in files)}" if files else ""
    raise MissingDataError(f"there is no file {path}{there}", f"give --set {option}=models/FILE")


def _fill(network: nn.Module, path: Path) -> None:
    """Load weights as tensors only, unwrapped; those of the package `generative` are renamed as MONAI names them."""
    content = read_tensors(path)
    state, place = weights_for(network.state_dict(), content, path)
    if place:
        notice(f"the weights of {path.name} are in {place}")
    if average := unnamed_average(content):
        notice(f"{average} of {path.name} is an average of the weights without names, and cannot be sampled from")
    try:
        if state.keys() != network.state_dict().keys():
            state = _renamed(network, state)
        network.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError, KeyError) as error:
        lines = str(error).splitlines()
        why = lines[1].strip() if len(lines) > 1 else lines[0]
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
