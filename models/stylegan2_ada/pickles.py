"""Official network files, read without running the code that they contain.

A .pkl of the repository is a pickle that rebuilds objects by executing module source stored in it. Here an allow-list
admits only tensors and plain containers; the stored source stays text. The weights then go into the checkout's
classes.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.adapters.weights import save_weights
from benchmark.core.errors import AdapterError, MissingDataError, UsageError
from benchmark.core.model_files import require_whole

from .kinds import kind_of

MOST_SIDE = 4096
OUTER = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs")
SYNTHESIS: dict[str, tuple[Any, ...] | None] = {
    **dict.fromkeys(
        ("channel_base", "channel_max", "num_fp16_res", "fp16_channels_last", "fused_modconv_default", "freeze_layers")
    ),
    "conv_clamp": (None, 256),
    "architecture": ("skip",),
    "resample_filter": ([1, 3, 3, 1], (1, 3, 3, 1)),
    "use_noise": (True,),
    "activation": ("lrelu",),
}
"""Arguments of the synthesis network: None where any value is taken over or changes no result."""
MAPPING: dict[str, tuple[Any, ...] | None] = {
    **dict.fromkeys(("num_layers", "embed_features", "w_avg_beta", "freeze_layers", "freeze_embed")),
    "layer_features": (None,),
    "activation": ("lrelu",),
    "lr_multiplier": (0.01,),
}
"""Arguments of the mapping network, in the same way: a learning rate multiplier scales the stored weights."""


class Inert:
    """Placeholder of a network: its class name and state, without code."""

    def __init__(self, meta: dict[str, Any]) -> None:
        self.class_name = str(meta.get("class_name"))
        self.state: dict[str, Any] = dict(meta.get("state") or {})


class Kwargs(dict[str, Any]):
    """Placeholder of dnnlib's dictionary."""


def _load_storage(content: bytes) -> Any:
    """Replace torch's nested load, which could run code, by one of tensors only."""
    return torch.load(io.BytesIO(content), weights_only=True)


def _allowed() -> dict[tuple[str, str], Any]:
    numpy_core = [("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")]
    return {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): Inert,
        ("dnnlib.util", "EasyDict"): Kwargs,
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch.storage", "_load_from_bytes"): _load_storage,
        ("numpy", "dtype"): np.dtype,
        **dict.fromkeys(numpy_core, np.float64(0).__reduce__()[0]),
    }


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = _allowed()
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not on the allow-list")
        return allowed[module, name]


def read_generator(path: Path, sha256: str, shape: Sequence[int], weights: Path) -> dict[str, Any]:
    """Write the weights of a file's G_ema as safetensors, and return the hyper-parameters that it was built with.

    Args:
        path: an official .pkl.
        sha256: its SHA-256 digest, in hexadecimal.
        shape: of the items that it must generate, (C, H, W).
        weights: file that the tensors are written to.

    Raises MissingDataError without the file, UsageError for another digest or shape, AdapterError for a file with
    anything but tensors and containers, or without a generator.
    """
    content = _verified(path, sha256)
    kind, hint = kind_of(content)
    if kind:
        raise AdapterError(f"{path} is {kind}, not of stylegan2-ada-pytorch", hint)
    try:
        content_read = _Reader(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise AdapterError(f"{path} was refused: {error}", "give a network pickle of stylegan2-ada-pytorch") from error
    generator = content_read.get("G_ema") if isinstance(content_read, dict) else None
    if not isinstance(generator, Inert) or generator.class_name != "Generator":
        raise AdapterError(f"{path} holds no G_ema of class Generator", "give a snapshot of stylegan2-ada-pytorch")
    arguments = dict(generator.state.get("_init_kwargs") or {})
    made = (arguments.get("img_channels"), arguments.get("img_resolution"))
    if made != (shape[0], shape[1]) or not 4 <= shape[1] <= MOST_SIDE:
        raise UsageError(
            f"{path} generates {made[0]} channels, {made[1]} pixels per side; the cohort has {shape[0]} and {shape[1]}",
            f"give --image-size {made[1]} and as many channels",
        )
    settings = _settings(path, arguments)
    save_weights(weights, dict(_tensors(generator)))
    return settings


def _require_default(path: Path, given: dict[str, Any], known: dict[str, tuple[Any, ...] | None]) -> None:
    """Raise UsageError where an argument is unknown, or has a value that would be lost when the network is rebuilt."""
    for name, value in given.items():
        values = known.get(name, ())
        if values is not None and value not in values:
            raise UsageError(
                f"the generator of {path} is built with {name}={value}, which is not rebuilt here",
                "give a network of the authors' configurations, or images of yours as --model folder",
            )


def _verified(path: Path, sha256: str) -> bytes:
    if not path.is_file():
        raise MissingDataError(f"there is no network file {path}", "give the path of a .pkl file")
    require_whole(path)
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != sha256.lower():
        raise UsageError(f"{path} has the SHA-256 {digest}, not {sha256}", "check where the file came from")
    return content


def _tensors(network: Inert, prefix: str = "") -> Any:
    """Yield (name, tensor) of all parameters and buffers of a network, those of its submodules included."""
    for kind in ("_parameters", "_buffers"):
        for name, value in (network.state.get(kind) or {}).items():
            if isinstance(value, torch.Tensor):
                yield prefix + name, value.detach()
    for name, part in (network.state.get("_modules") or {}).items():
        if isinstance(part, Inert):
            yield from _tensors(part, f"{prefix}{name}.")


def _settings(path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a generator's arguments. Raises UsageError for some that cannot be rebuilt.

    The configuration `stylegan2` of the StyleGAN3 repository gives those of the synthesis network at the top level, and
    has other defaults: fp16 at the four highest resolutions.
    """
    if arguments.get("c_dim") or arguments["z_dim"] != arguments["w_dim"]:
        raise UsageError("the network has classes, or latents of two sizes", "give an unconditional one")
    mapping = dict(arguments.get("mapping_kwargs") or {})
    flat = {name: value for name, value in arguments.items() if name not in OUTER}
    synthesis = dict(arguments.get("synthesis_kwargs") or {}) or {"num_fp16_res": 4 if flat else 0, **flat}
    _require_default(path, flat if arguments.get("synthesis_kwargs") else {}, {})
    _require_default(path, synthesis, SYNTHESIS)
    _require_default(path, mapping, MAPPING)
    return {
        "latent": int(arguments["z_dim"]),
        "mapping_layers": int(mapping.get("num_layers", 8)),
        "channel_base": int(synthesis.get("channel_base", 32768)),
        "channel_max": int(synthesis.get("channel_max", 512)),
        "half_precision_levels": int(synthesis.get("num_fp16_res", 0)),
    }
