"""One file with the whole state of a training, and errors that say why a file cannot be used."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmark.core.errors import AdapterError
from benchmark.core.progress import to_stderr
from benchmark.core.sealed import is_intact, sealed_write, why_damaged


def save_checkpoint(path: Path, state: Mapping[str, Any], options: Mapping[str, object]) -> None:
    """Write state (tensors, numbers, text) with the options that produced it; an interrupted write leaves no file."""
    with sealed_write(path) as temporary:
        torch.save({**state, "options": _text(options)}, temporary)


def load_checkpoint(path: Path, options: Mapping[str, object]) -> dict[str, Any] | None:
    """Return the state saved at path; None where there is none, or where it has changed since it was written.

    Raises AdapterError when the file cannot be read, or comes from a training with other options.
    """
    if not path.exists():
        return None
    if not is_intact(path):
        to_stderr(f"{path} {why_damaged(path)}: training starts again")
        return None
    state = _read(path)
    before, now = json.loads(state.pop("options")), json.loads(_text(options))
    changed = [
        f"{name} {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if changed:
        hint = "give the former options to continue it, or delete it to train from the start"
        if set(before) == set(now) and len(changed) == 1 and before.get("processes") != now.get("processes"):
            hint = f"{_started_with(before['processes'])}, or delete it to train from the start"
        raise AdapterError(f"{path} was made with other options: {'; '.join(changed)}", hint)
    return state


def _started_with(processes: int) -> str:
    """Say how to start as many processes again; each draws its own random numbers, so that other numbers differ."""
    if processes == 1:
        return "start it without torchrun to continue it"
    return f"start it with `torchrun --nproc-per-node {processes}` to continue it"


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # a full pickle could run code of its author
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise _unreadable(path, type(error).__name__) from error
    if not isinstance(state, dict) or "options" not in state:
        raise _unreadable(path, "it holds no training state")
    return state


def _unreadable(path: Path, why: str) -> AdapterError:
    return AdapterError(f"{path} is not a readable checkpoint ({why})", "delete it; training then starts again")


def _text(options: Mapping[str, object]) -> str:
    return json.dumps(options, sort_keys=True, default=str)
