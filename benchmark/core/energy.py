"""Energy that the machine's own counters report: processor packages (Linux RAPL) and NVIDIA GPUs (NVML).

Counters are of the whole machine: other work beside a run is counted too. Most clouds hide them, and RAPL is often
readable by root alone; then there is no number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path("/sys/class/powercap")


def joules() -> float | None:
    """Return the sum of all counters that can be read, or None. Only differences mean something."""
    found = [*_processors(), *_gpus()]
    return sum(found) if found else None


def spent(before: float | None) -> dict[str, float]:
    """Return {"joules": energy since `before`}, or nothing where no counter is read or one has started anew."""
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
