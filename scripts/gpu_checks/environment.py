"""What machine and software this is, and the rates to which other parts are compared."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmark.core.devices import pick_device
from scripts.gpu_checks.check import Check
from scripts.gpu_checks.timing import seconds

PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "numba", "pydantic", "pydantic-core", "filelock", "typer",
    "rich", "jinja2", "pillow", "h5py", "safetensors", "einops", "monai", "diffusers", "transformers",
    "huggingface-hub", "nibabel", "pydicom", "matplotlib", "tensorboard", "pytest",
)  # fmt: skip
DATASHEET = {
    "H100 PCIe": 1513, "H100 NVL": 1671, "H200": 1979, "H100": 1979, "A100": 624, "L40S": 733, "L4": 242, "B200": 4500,
    "RTX 4090": 661, "A10": 250,
}  # fmt: skip
"""Dense int8 TOP/s by NVIDIA's data sheets; the first name that the device's name holds counts."""


def run(check: Check) -> None:
    """Keep versions, sizes and the plain rates of the device."""
    device = pick_device(check.device)
    check.fact("device", torch.cuda.get_device_name(device) if check.cuda else f"{platform.machine()} CPU")
    check.fact("torch", torch.__version__)
    check.fact("python", platform.python_version())
    check.fact("cores", os.cpu_count())
    for name in PACKAGES:
        try:
            check.fact(name, version(name))
        except PackageNotFoundError:
            check.note(f"{name} is not installed")
    if check.cuda:
        _gpu(check, device)
    for what, rate in (("int8", int8_rate), ("bf16", bf16_rate)):
        with check.trying(f"{what} product"):
            check.measure(f"{what} product of torch", rate(device, tiny=check.tiny), "TOP/s")
    with check.trying("copies"):
        copies(check, device)


def _gpu(check: Check, device: torch.device) -> None:
    facts = torch.cuda.get_device_properties(device)
    check.fact("CUDA", torch.version.cuda)
    check.fact("cuDNN", torch.backends.cudnn.version())
    check.fact("GPUs", torch.cuda.device_count())
    check.measure("memory of the device", facts.total_memory / 1e9, "GB")
    rate = next((rate for name, rate in DATASHEET.items() if name in facts.name), None)
    if rate:
        check.measure("int8, dense, by the data sheet", rate, "TOP/s")


def int8_rate(device: torch.device, *, tiny: bool) -> float:
    """Return 10^12 operations per second of a large square int8 product, a product and a sum counted as two."""
    side = 256 if tiny else 16384
    first, second = (torch.randint(-128, 128, (side, side), dtype=torch.int8, device=device) for _ in range(2))
    return 2 * side**3 / seconds(lambda: torch._int_mm(first, second.t()), device) / 1e12


def bf16_rate(device: torch.device, *, tiny: bool) -> float:
    """Return 10^12 operations per second of a large square bf16 product."""
    side = 256 if tiny else 8192
    first, second = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    return 2 * side**3 / seconds(lambda: first @ second, device) / 1e12


def copies(check: Check, device: torch.device) -> None:
    """Measure copies on the device, to it and from it."""
    size = 1 << (20 if check.tiny else 30)
    here = torch.randint(0, 256, (size,), dtype=torch.uint8)
    there = here.to(device)
    check.measure("copy on the device, read and written", 2 * size / seconds(there.clone, device) / 1e9, "GB/s")
    if check.cuda:
        pinned = here.pin_memory()
        check.measure("copy to the device", size / seconds(lambda: here.to(device), device) / 1e9, "GB/s")
        rate = size / seconds(lambda: pinned.to(device, non_blocking=True), device) / 1e9
        check.measure("copy to the device from pinned memory", rate, "GB/s")
        check.measure("copy from the device", size / seconds(there.cpu, device) / 1e9, "GB/s")
