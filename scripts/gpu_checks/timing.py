"""Clocks that wait for the device, and its greatest memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import torch


def now(device: torch.device) -> float:
    """Return the time once the device has done all that it was given, in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(work: Callable[[], object], device: torch.device, *, least: float = 0.3, rounds: int = 3) -> float:
    """Return the seconds of one call: the median of rounds that each last about `least`, after one call for warmth."""
    work()
    began = now(device)
    work()
    once = max(now(device) - began, 1e-7)
    count = max(1, min(1000, round(least / once)))
    return statistics.median(_round(work, device, count) for _ in range(rounds))


def _round(work: Callable[[], object], device: torch.device, count: int) -> float:
    began = now(device)
    for _ in range(count):
        work()
    return (now(device) - began) / count


def forget_peak(device: torch.device) -> None:
    """Reset the peak of the device's memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float | None:
    """Return the greatest memory of tensors since `forget_peak`, in 10^9 bytes; None on a CPU, which does not say."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 1e9
