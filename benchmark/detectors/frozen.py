"""Detector `frozen`: cosine of a pretrained encoder, from the user's disk or a pinned hub revision.

TorchScript files (SSCD) and models that transformers loads by itself (RAD-DINO, DINOv2, ViT) work. Encoders that need
torchvision or open_clip (BiomedCLIP) do not load. Weights are checked against a SHA-256 digest before they are opened.
TorchScript is code: it needs the digest, and runs in a process of its own, with your rights. Use files only from people
whose programs you would run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, BadDataError, MissingDataError, UsageError
from benchmark.core.file_digests import file_digest
from benchmark.core.model_files import read_config
from benchmark.core.types import chunks
from benchmark.detectors.script_process import ScriptProcess
from benchmark.search import COSINE

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images, Similarity, Split

SCRIPTS = (".pt", ".ts", ".torchscript")
WEIGHTS = "model.safetensors"
COMMIT = re.compile(r"[0-9a-f]{40}")
EMBED_BATCH = 32
PLANES = 3
"""Planes of a volume that are embedded: a quarter, half and three quarters along its first axis."""


@dataclass(frozen=True)
class Options:
    """The options of `frozen`."""

    source: str
    """A TorchScript file, a folder that transformers saved, or a hub name such as microsoft/rad-dino."""
    tag: str
    """Its name in the ids of scores: letters, digits, points and hyphens."""
    revision: str = ""
    """The commit of a hub name, 40 hexadecimal digits."""
    sha256: str = ""
    """Digest of the file, or of the folder's or hub's model.safetensors; needed for TorchScript and for hub names."""
    size: int = 224
    """Pixels per side that every plane is resized to."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of the three colours in [0, 1], which is subtracted; ImageNet's by default."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    trust_remote_code: bool = False
    """Run the Python code that comes with the encoder, in this process and with your rights: read it first."""

    unnamed: ClassVar[tuple[str, ...]] = ("source", "tag", "revision", "sha256")
    """Options that the ids of scores leave out: the tag stands for them."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9.-]+", self.tag):
            raise UsageError(f"tag {self.tag!r} does not fit a score's name", "use letters, digits, points and hyphens")
        if Path(self.source).suffix in SCRIPTS and not self.sha256:
            raise UsageError(
                f"{self.source} is TorchScript, which is code, and no sha256 says which code it should be",
                "give sha256=... as whoever published the file states it",
            )

    @property
    def label(self) -> str:
        """Begin the name of the scores."""
        return f"frozen-{self.tag}"

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Frozen:
        """Check and load the weights; nothing is trained."""
        place = pick_device(device)
        path = Path(self.source)
        if path.suffix in SCRIPTS:
            return Frozen(self, place, _script(path, self.sha256, place))
        return Frozen(self, place, _transformer(path if path.is_dir() else _from_hub(self), self, place))


def check_digest(path: Path, expected: str) -> None:
    """Compare a file with its SHA-256. Raises MissingDataError, BadDataError."""
    if not path.is_file():
        raise MissingDataError(f"there are no weights at {path}", "give the path of a file that is there")
    if not expected:
        return
    digest = file_digest(path)
    if digest != expected.lower():
        raise BadDataError(f"{path} has SHA-256 {digest}, not {expected}", "download it again, or correct the digest")


def _script(path: Path, digest: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    check_digest(path, digest)
    return ScriptProcess(path, digest, str(device))


def _transformer(folder: Path, options: Options, device: torch.device) -> Callable[[Tensor], Tensor]:
    check_digest(folder / WEIGHTS, options.sha256)
    trust = options.trust_remote_code
    if not trust:
        require_no_code(folder)
    network = _transformers().AutoModel.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=trust
    )
    network = network.to(device).eval()
    return lambda planes: vectors_of(network(pixel_values=planes))


def require_no_code(folder: Path) -> None:
    """Raise UsageError where an encoder would be loaded with Python code, or with weights, of another place.

    transformers runs the code that `auto_map` names, takes compiled code from the hub where the configuration names a
    repository as its attention, and loads the base model that adapter_config.json names.
    """
    config = read_config(folder / "config.json")
    if "auto_map" in config:
        raise UsageError(
            f"{folder} needs Python code of its own (auto_map in config.json), which is not run",
            "read that code; if you trust it, give trust_remote_code=true",
        )
    attention = [str(config.get(name) or "") for name in ("attn_implementation", "_attn_implementation")]
    if any("/" in name for name in attention):
        raise UsageError(
            f"{folder} needs compiled code of the hub ({max(attention)} in config.json), which is not run",
            "remove that line from config.json: transformers has attention of its own",
        )
    if (folder / "adapter_config.json").exists():
        raise UsageError(
            f"{folder} holds adapter_config.json: its base model is in another place, which no SHA-256 covers",
            "merge the adapter into the model, and save that",
        )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise AdapterError(
            "frozen needs transformers for this encoder", "install it: pip install 'memobench[text]'"
        ) from error
    return transformers


def _from_hub(options: Options) -> Path:
    """Download configuration and weights of a pinned commit, or find them in the hub's cache."""
    name = options.source
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise MissingDataError(f"there is no encoder at {name}", "give a .pt file, a folder, or a hub name OWNER/NAME")
    if not COMMIT.fullmatch(options.revision) or not options.sha256:
        raise UsageError(
            f"{name} is not pinned: revision {options.revision!r}, sha256 {options.sha256!r}",
            "give the commit (40 hexadecimal digits) and the SHA-256 of model.safetensors: names move",
        )
    from huggingface_hub import snapshot_download

    patterns = ["config.json", WEIGHTS, *(["*.py"] if options.trust_remote_code else [])]
    try:
        folder = snapshot_download(name, revision=options.revision, allow_patterns=patterns)
    except Exception as error:
        raise MissingDataError(
            f"{name} could not be downloaded: {type(error).__name__}",
            "check the network and the name, or download it elsewhere and give the folder",
        ) from error
    return Path(folder)


def vectors_of(output: Any) -> Tensor:
    """Return one vector per image, (N, D): the pooled output, the first token, or the output itself."""
    for name in ("pooler_output", "image_embeds"):
        if getattr(output, name, None) is not None:
            pooled: Tensor = getattr(output, name)
            return pooled.flatten(1)
    hidden = getattr(output, "last_hidden_state", output)
    if not isinstance(hidden, Tensor):
        raise AdapterError(
            f"the frozen encoder returns {type(hidden).__name__}, not a tensor", "wrap it so that it returns (N, D)"
        )
    return hidden[:, 0] if hidden is not output and hidden.ndim == 3 else hidden.flatten(1)


@dataclass(frozen=True, eq=False)
class Frozen:
    """Cosine of two items' vectors; channels, and planes of a volume, are embedded one by one and concatenated."""

    options: Options
    device: torch.device
    network: Callable[[Tensor], Tensor]
    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = ("exact", "contrast", "noise", "recode")

    @torch.inference_mode()
    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, C * planes * D)."""
        planes = torch.from_numpy(_planes(images))
        flat = planes.flatten(0, 1)
        parts = [self._vectors(flat[part].to(self.device)).cpu() for part in chunks(len(flat), EMBED_BATCH)]
        rows: Array = F.normalize(torch.cat(parts).view(len(images), -1), dim=1).numpy()
        return rows

    def _vectors(self, planes: Tensor) -> Tensor:
        size = [self.options.size] * 2
        resized = F.interpolate(planes[:, None], size=size, mode="bilinear", antialias=True, align_corners=False)
        colours = ((resized + 1) / 2).expand(-1, 3, -1, -1)
        mean, std = (colours.new_tensor(values).view(1, 3, 1, 1) for values in (self.options.mean, self.options.std))
        return F.normalize(self.network((colours - mean) / std).float(), dim=1)


def _planes(images: Images) -> Images:
    """Return (N, planes, H, W): every channel, and of volumes three planes of each."""
    if images.ndim == 4:
        return images
    depth = images.shape[2]
    chosen = images[:, :, [depth * (number + 1) // (PLANES + 1) for number in range(PLANES)]]
    return chosen.reshape(len(images), -1, *images.shape[-2:])
