"""Find, recognise and import NVIDIA's repository on this disk. Only the worker process imports it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmark.core.errors import DeclinedError, UsageError
from benchmark.plugins.checkouts import checkout_folder

NAME = "stylegan2-ada"
VARIABLE = "STYLEGAN2_ADA_DIR"
MODULES = ("training.networks", "training.loss", "training.augment", "torch_utils.training_stats", "torch_utils.misc")
OPS = ("torch_utils.ops.bias_act", "torch_utils.ops.upfirdn2d", "torch_utils.ops.grid_sample_gradfix")
GENERIC = ("training", "dnnlib", "torch_utils")


def find_checkout(given: str) -> Path:
    """Return the checkout's folder: the one given, else that of the environment, else that of `bench models install`.

    Raises DeclinedError where there is none, UsageError for a folder with other contents.
    """
    folder = Path(given or os.environ.get(VARIABLE, "") or checkout_folder(NAME))
    if not folder.is_dir():
        raise DeclinedError(
            f"{NAME} needs NVIDIA's repository, and there is no checkout at {folder}",
            f"`bench models install {NAME}` fetches it, or give --set checkout=DIR, or set {VARIABLE}",
            reason="no checkout",
        )
    if (folder / "training" / "networks_stylegan2.py").exists():
        raise UsageError(f"{folder} is NVlabs/stylegan3", f"{NAME} needs a checkout of NVlabs/stylegan2-ada-pytorch")
    for part in ("training/networks.py", "training/loss.py", "training/augment.py", "dnnlib/__init__.py"):
        if not (folder / part).exists():
            raise UsageError(
                f"{folder} is no checkout of stylegan2-ada-pytorch: it has no {part}",
                f"`bench models install {NAME}` fetches one",
            )
    return folder


def commit_of(folder: Path) -> str:
    """Return the checkout's commit, or `unknown`."""
    head = folder / ".git" / "HEAD"
    text = head.read_text().strip() if head.exists() else ""
    if text.startswith("ref: "):
        branch = folder / ".git" / text.removeprefix("ref: ")
        text = branch.read_text().strip() if branch.exists() else ""
    return text or "unknown"


def import_checkout(folder: Path, ops: str, device: str) -> SimpleNamespace:
    """Import the repository's classes and adapt them to current Python and torch.

    Nothing is written to the checkout, and none of its files is changed: attributes of two kinds of modules are set,
    those of its operations (`_choose_ops`) and, where needed, its grid_sample. The result says which operations run and
    what was replaced.
    """
    conflicts = [name for name in GENERIC if name in sys.modules]
    if conflicts:
        raise UsageError(f"this process has already imported another {conflicts[0]!r}", "start a separate process")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    _replace_distutils()
    parts: list[Any] = [importlib.import_module(name) for name in MODULES]
    bias_act, upfirdn2d, grid_sample = (importlib.import_module(name) for name in OPS)
    repository = SimpleNamespace(networks=parts[0], loss=parts[1], augment=parts[2], stats=parts[3])
    repository.ops = _choose_ops((bias_act, upfirdn2d), ops, device)
    repository.patches = _fix_grid_sample(grid_sample, device)
    return repository


def _replace_distutils() -> None:
    """Provide the one function of distutils that dnnlib needs: Python 3.12 has no distutils."""
    try:
        importlib.import_module("distutils.util")
    except ImportError:
        from types import ModuleType

        package, util = ModuleType("distutils"), ModuleType("distutils.util")
        util.strtobool = lambda text: int(str(text).lower() in ("y", "yes", "t", "true", "on", "1"))  # type: ignore[attr-defined]
        package.util = util  # type: ignore[attr-defined]
        sys.modules.update({"distutils": package, "distutils.util": util})


def _choose_ops(modules: tuple[Any, ...], ops: str, device: str) -> str:
    """Compile the CUDA operations where requested and possible; return which ones run, `cuda` or `reference`."""
    importlib.import_module("torch_utils.custom_ops").verbosity = "none"  # type: ignore[attr-defined]
    if ops != "reference" and device.startswith("cuda"):
        if all(module._init() for module in modules):
            return "cuda"
        if ops == "cuda":
            raise UsageError("the CUDA operations of stylegan2-ada did not compile", "use --set ops=reference")
    elif ops == "cuda":
        raise UsageError("ops=cuda needs a GPU, and the device is a CPU", "use --set ops=auto")
    # Otherwise the repository would try to compile them at every call.
    for module in modules:
        module._inited, module._plugin = True, None
    return "reference"


def _fix_grid_sample(module: Any, device: str) -> list[str]:
    """Replace grid_sample where this torch cannot differentiate it twice, which R1 with augmentation needs; return what
    was replaced. Tested by a call, not by the version.
    """
    from .resample import grid_sample, has_second_derivative

    module.enabled = False
    if has_second_derivative(device):
        return []
    module.grid_sample = grid_sample
    return ["grid_sample with a second derivative"]
