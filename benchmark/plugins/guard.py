"""Calls of code that others wrote: its errors are told with its name, and settings that it changes are restored."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.errors import AdapterError, BenchError
from benchmark.core.failures import TRACE, is_signal
from benchmark.core.files import machine_error


@contextmanager
def plugin_call(plugin: str, call: str) -> Iterator[None]:
    """Guard a block that calls a plugin.

    Args:
        plugin: such as `detector mine`.
        call: the method, such as `embed`.

    Raises AdapterError for whatever the plugin raises, except errors of memobench, of the machine, and signals.
    """
    restore = _remembered()
    try:
        yield
    except BenchError:
        raise
    except BaseException as error:
        if is_signal(error):
            raise
        if told := machine_error(error):
            raise told from error
        text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        raise AdapterError(f"{plugin} failed in {call}: {text}", TRACE) from error
    finally:
        restore()


def _remembered() -> Callable[[], None]:
    """Return what sets the working folder, and the settings of NumPy and torch, to what they are now."""
    folder, modules = Path.cwd(), sys.modules
    resets: list[Callable[[], Any]] = []
    if "numpy" in modules:
        import numpy as np

        errors = np.geterr()
        resets.append(lambda: np.seterr(**errors))
    if "torch" in modules:
        resets += _of_torch()

    def restore() -> None:
        if Path.cwd() != folder:
            os.chdir(folder)
        for reset in resets:
            reset()

    return restore


def _of_torch() -> list[Callable[[], Any]]:
    import torch

    dtype, device, gradients = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    precision, deterministic = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    changed_device = device != torch.device("cpu")

    def device_again() -> None:
        # Setting a device costs time in each later call of torch, so that it is set only where it has changed.
        if torch.get_default_device() != device:
            torch.set_default_device(device if changed_device else None)

    return [
        lambda: torch.set_default_dtype(dtype),
        device_again,
        lambda: torch.set_grad_enabled(gradients),
        lambda: torch.set_float32_matmul_precision(precision),
        lambda: torch.use_deterministic_algorithms(deterministic),
    ]
