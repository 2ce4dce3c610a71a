"""Checkpoints of other people's trainings: read as tensors only, and unwrapped to the weights of one network.

Trainings save more than weights: `{"state_dict": ..., "epoch": np.float64(3)}`, names with `module.` (DDP) or
`_orig_mod.` (torch.compile) in front, an averaged copy (EMA), a whole Lightning module with its losses.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.core.errors import AdapterError
from benchmark.core.model_files import require_whole

WRAPPERS = ("module", "_orig_mod")
"""Parts of names that DDP and torch.compile add."""
EMA = re.compile(r"(?<![a-z])ema(?![a-z])")
"""In the name of an averaged copy of the weights, which is the one that is meant to be sampled from."""
DEPTH = 4
NUMPY_NAMES = ("numpy.core.multiarray", "numpy._core.multiarray")
SETTINGS = ("lightning", "pytorch_lightning", "lightning_fabric", "omegaconf")
"""Packages whose objects are settings and counters; an OrderedDict, which torch can fill, takes their place."""


def read_tensors(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint: tensors, numbers and containers; no code of the file is run.

    Numbers of numpy are read too; objects of Lightning's settings become plain tables. Raises MissingDataError or
    BadDataError where the file is not there or a pointer of git-lfs, AdapterError where it holds anything else.
    """
    require_whole(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        with torch.serialization.safe_globals([*_plain(), *_settings(path)]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        foreign = _foreign(path)
        why = f"an object of {foreign[0]}" if foreign else type(error).__name__
        raise AdapterError(f"{path} holds no plain tensors ({why})", "save state_dict() with torch.save") from error
    if not isinstance(content, Mapping):
        raise AdapterError(
            f"{path} holds a {type(content).__name__}, not weights by name", "save state_dict() with torch.save"
        )
    return dict(content)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{path} cannot be read: {error}", "download or copy it again") from error


def _plain() -> list[Any]:
    """Return classes of numbers and containers, which run nothing, by the names that old and new files have."""
    scalar, rebuild = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDSUO"}
    named = [(function, f"{module}.{name}") for module in NUMPY_NAMES
             for function, name in ((scalar, "scalar"), (rebuild, "_reconstruct"))]  # fmt: skip
    paths = [(pathlib.PurePosixPath, f"pathlib.{name}") for name in ("PosixPath", "WindowsPath", "Path")]
    types = [np.dtype, np.ndarray, OrderedDict, defaultdict, argparse.Namespace, pathlib.PurePosixPath, set, dict, list]
    return [*named, *paths, *types, *kinds]


def _settings(path: Path) -> list[Any]:
    names = [name for name in _unknown(path) if name.partition(".")[0] in SETTINGS]
    return [(OrderedDict, name) for name in names]


def _foreign(path: Path) -> list[str]:
    """Return the names of classes in a file that are neither tensors nor settings, in order."""
    known = {name for entry in _plain() if isinstance(entry, tuple) for name in entry[1:]}
    unknown = [name for name in _unknown(path) if name.partition(".")[0] not in SETTINGS]
    return sorted(name for name in unknown if name not in known and not name.startswith(("numpy.", "collections.")))


def _unknown(path: Path) -> list[str]:
    """Return the names that a zip checkpoint refers to and torch does not know, without loading it."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (RuntimeError, ValueError, OSError, EOFError, KeyError, IndexError, pickle.UnpicklingError):
        return []  # not a zip file of torch: loading it tells what is wrong


def weights_for(network: Mapping[str, Tensor], content: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the weights of a network in the content of a checkpoint, and where in it they were.

    Args:
        network: its state_dict; the names and shapes that are needed.
        content: of a checkpoint, as of `read_tensors`.
        path: of the file, for messages.

    Every nested table of tensors is tried with every prefix, the names as they are first. Of several that fit, the one
    with `ema` in its place is taken; several others that differ raise AdapterError. Where none fits, the largest table
    is returned with its wrappers removed, so that the caller can say what does not fit.
    """
    tables = [(place, table) for place, table in _tables(content, "")]
    if not tables:
        raise AdapterError(f"{path} holds no tensors by name", "save state_dict() with torch.save")
    fits: dict[str, dict[str, Tensor]] = {}
    for place, table in tables:
        for where, weights in _fitting(network, table, place):
            fits.setdefault(where, weights)
    averaged = {where: weights for where, weights in fits.items() if EMA.search(where.lower())}
    chosen = averaged or fits
    if not chosen:
        place, table = max(tables, key=lambda pair: len(pair[1]))
        return _unwrapped(table), place
    first = next(iter(chosen))
    different = [where for where, weights in chosen.items() if not _equal(weights, chosen[first])]
    if different:
        raise AdapterError(
            f"{path} holds {1 + len(different)} sets of weights for the network: {', '.join([first, *different])}",
            "save the one to be sampled from in a file of its own",
        )
    return chosen[first], first


def _tables(content: Mapping[Any, Any], place: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the place and the tensors of every table in nested ones, the outermost first."""
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    if tensors:
        yield place, tensors
    for name, value in content.items() if depth < DEPTH else ():
        if isinstance(value, Mapping):
            yield from _tables(value, f"{place}/{name}" if place else str(name), depth + 1)


def unnamed_average(content: Mapping[Any, Any], place: str = "", depth: int = 0) -> str:
    """Return where a checkpoint keeps an averaged copy of the weights as a list; an empty text where it does not.

    torch_ema writes such lists, whose tensors have no names: they cannot be told from those of another network.
    """
    for name, value in content.items():
        where = f"{place}/{name}" if place else str(name)
        listed = isinstance(value, list) and any(isinstance(one, Tensor) for one in value)
        if listed and (EMA.search(where.lower()) or name == "shadow_params"):
            return where
        below = unnamed_average(value, where, depth + 1) if isinstance(value, Mapping) and depth < DEPTH else ""
        if below:
            return below
    return ""


def _fitting(
    network: Mapping[str, Tensor], table: dict[str, Tensor], place: str
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the weights of the network under each prefix of a table's names, and the place with that prefix.

    Without a prefix the names must be exactly the network's: a rest would be weights that are silently lost.
    """
    last = next(iter(network))
    for names in (table, _unwrapped(table)):
        if _alike(names, network):
            yield place, names
            return
        prefixes = [name[: -len(last)] for name in names if name.endswith(f".{last}")]
        fitting = [prefix for prefix in prefixes if _alike(_own(names, prefix), network)]
        for prefix in fitting:
            where = f"{place}/{prefix.rstrip('.')}" if place else prefix.rstrip(".")
            yield where, _own(names, prefix)
        if fitting:
            return


def _own(names: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in names.items() if name.startswith(prefix)}


def _alike(weights: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> bool:
    """Return whether names and shapes are the network's."""
    return {name: value.shape for name, value in weights.items()} == {n: value.shape for n, value in network.items()}


def _unwrapped(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with the names that they had before DDP and torch.compile."""
    return {".".join(part for part in name.split(".") if part not in WRAPPERS): value for name, value in table.items()}


def _equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)
