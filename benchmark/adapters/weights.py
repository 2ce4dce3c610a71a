"""A trained network as two files: weights in safetensors, and in JSON what the networks are built from."""

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
    """Write both files, each whole or not at all."""
    save_weights(folder / WEIGHTS, weights)
    write_json(folder / DESCRIPTION, description)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name (safetensors), whole or not at all."""
    from safetensors.torch import save_file

    with atomic_write(path) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, temporary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill network with the weights of a safetensors file."""
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))


@contextmanager
def usable(path: Path) -> Iterator[Path]:
    """Turn what goes wrong while a file is read and put to use into an AdapterError that names it."""
    from safetensors import SafetensorError

    try:
        yield path
    except (BenchError, SafetensorError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        why = getattr(error, "message", str(error)).splitlines()[0]
        raise AdapterError(
            f"{path} cannot be used: {why}", "train the model again, or copy both files from where it was saved"
        ) from error
