"""Energy from the machine's own counters: processor packages (Linux RAPL) and NVIDIA GPUs (NVML).

The counters measure the whole machine, including other programs that run at the same time. Most clouds hide them, and
RAPL can often be read by root only; then no energy is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path("/sys/class/powercap")


def joules() -> float | None:
    """Return the sum of all counters that can be read, or None. Only differences mean something."""
    counters = [*_processors(), *_gpus()]
    return sum(counters) if counters else None


def spent(before: float | None) -> dict[str, float]:
    """Return {"joules": energy since `before`}, or {} where no counter can be read or one was reset."""
    after = joules()
    if before is None or after is None or after < before:
        return {}
    return {"joules": after - before}


def _processors() -> Iterator[float]:
    for counter in sorted(PACKAGES.glob("intel-rapl:[0-9]/energy_uj")):
        try:
            yield int(counter.read_text()) / 1e6
        except (OSError, ValueError):
            continue


def _gpus() -> Iterator[float]:
    try:
        import pynvml
    except ImportError:
        return
    try:
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            yield pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(number)) / 1e3
    except pynvml.NVMLError:
        return
