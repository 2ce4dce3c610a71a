"""A trained network as two files: weights in safetensors, and what the network is built from in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.core.errors import AdapterError, BenchError
from benchmark.core.files import atomic_write, write_json

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def save_model(folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write both files; an interrupted write leaves no file."""
    save_weights(folder / WEIGHTS, weights)
    write_json(folder / DESCRIPTION, description)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name (safetensors, which unlike pickle holds no code); an interrupted write leaves no file."""
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, temporary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill network with the weights of a safetensors file."""
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))


@contextmanager
def usable(path: Path) -> Iterator[Path]:
    """Convert errors while a file is read and used into an AdapterError that names the file."""
    from safetensors import SafetensorError

    try:
        yield path
    except (BenchError, SafetensorError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        why = getattr(error, "message", str(error)).splitlines()[0]
        raise AdapterError(
            f"{path} cannot be used: {why}", "train the model again, or copy both files from where it was saved"
        ) from error
