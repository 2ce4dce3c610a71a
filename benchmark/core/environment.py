"""The environment of a run: versions, commit, device. No user names, no paths."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark import __version__

PACKAGES = ("torch", "numpy", "monai", "diffusers", "nibabel", "pillow", "safetensors")


def describe(device: str) -> dict[str, Any]:
    """Return what decides whether two machines should give the same numbers."""
    return {
        "memobench": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "device": _device_name(device),
        "packages": {name: _version(name) for name in PACKAGES},
        **_commit(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _device_name(device: str) -> str:
    from benchmark.core.devices import pick_device

    place = pick_device(device)
    if place.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(place))
    return "cpu"


def _commit() -> dict[str, Any]:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
