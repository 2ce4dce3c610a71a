"""A training step of every family against a bare loop over the same modules, and the memory of `paper` presets."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmark.core.devices import pick_device
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.phases import Phase, parameters_of
from benchmark.training.state import to_device
from scripts.gpu_checks.check import Check, first_line
from scripts.gpu_checks.families import FLAT, SOLID, Case, cases
from scripts.gpu_checks.timing import forget_peak, now, peak_gb

Precision = Literal["fp32", "bf16"]
ROUNDS = 3
WARM, LEAST, MOST, LASTING = 3, 5, 60, 0.3
"""Steps before the clock starts, fewest and most steps that are timed, and the seconds that they should last."""


class EnoughError(Exception):
    """Raised from a loss once all wanted steps are timed: no loop needs to know of it."""


def run(check: Check) -> None:
    """Measure small presets in 2D as they train, then `paper` memory, then fp32, 3D and smoke presets."""
    device = pick_device(check.device)
    if check.tiny:
        for family in ("ddpm", "styled-gan"):
            with check.trying(f"{family} toy", "step-ratio"):
                measure_family(check, family, "toy", 2, ("bf16", "fp32"), device)
        return
    measure_all(check, FLAT, "small", 2, ("bf16",), device)
    memory(check, device)
    measure_all(check, FLAT, "small", 2, ("fp32",), device)
    measure_all(check, SOLID, "small", 3, ("bf16", "fp32"), device)
    measure_all(check, FLAT, "smoke", 2, ("bf16", "fp32"), device)
    measure_all(check, SOLID, "smoke", 3, ("bf16", "fp32"), device)


def measure_all(
    check: Check, families: Sequence[str], preset: str, dims: int, precisions: Sequence[Precision], device: torch.device
) -> None:
    """Measure families one after the other while time is left."""
    for family in families:
        what = f"{family} {preset} in {dims}D, {' and '.join(precisions)}"
        if check.enough(8, what):
            with check.trying(what, "step-ratio"):
                measure_family(check, family, preset, dims, precisions, device)


def measure_family(
    check: Check, family: str, preset: str, dims: int, precisions: Sequence[Precision], device: torch.device
) -> None:
    """Time every training of a family in every precision."""
    for case in cases(family, preset, dims, device):
        for precision in precisions:
            with check.trying(f"{case.name}, {precision}", "step-ratio"):
                measure_case(check, case, precision, device)


def measure_case(check: Check, case: Case, precision: Precision, device: torch.device) -> None:
    """Time ours and the bare loop alternately; keep the ratio, images per second and memory."""
    to_device(case.net, device)  # both loops see the same layout of weights
    steps = _steps(case, precision, device)
    forget_peak(device)
    first = step_time(ours, case, steps, precision, device)
    peak = peak_gb(device)
    pairs = [(first, step_time(bare, case, steps, precision, device))]
    for number in range(1, 1 if check.tiny else ROUNDS):
        order = (ours, bare) if number % 2 else (bare, ours)
        taken = {loop: step_time(loop, case, steps, precision, device) for loop in order}
        pairs.append((taken[ours], taken[bare]))
    ratio = statistics.median(mine / plain for mine, plain in pairs)
    mine = statistics.median(mine for mine, _ in pairs)
    detail = f"{1e3 * mine:.4g} ms a step of {case.batch}: {case.batch / mine:.4g} images/s"
    detail += "" if peak is None else f", {peak:.3g} GB"
    check.measure(f"{case.name}, {precision}", ratio, "times a bare step", goal="step-ratio", detail=detail)


Loop = Callable[[Case, Sequence[Phase], int, Precision, torch.device], None]


def _steps(case: Case, precision: Precision, device: torch.device) -> int:
    """Return how many steps last long enough to be timed."""
    once = step_time(bare, case, LEAST, precision, device)
    return max(LEAST, min(MOST, round(LASTING / once)))


def step_time(loop: Loop, case: Case, steps: int, precision: Precision, device: torch.device) -> float:
    """Return the mean seconds of a step, over steps that follow each other without a wait for the device."""
    marks: list[float] = []
    with contextlib.suppress(EnoughError):
        loop(case, _watched(case.phases, marks, steps, device), WARM + steps + 1, precision, device)
    return (marks[1] - marks[0]) / steps


def _watched(phases: Sequence[Phase], marks: list[float], steps: int, device: torch.device) -> list[Phase]:
    """Return phases of which the first notes the time when the first timed step begins, and when the last has ended."""
    calls = 0

    def loss(net: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls - 1 in (WARM, WARM + steps):
            marks.append(now(device))
        if calls - 1 == WARM + steps:
            raise EnoughError
        return phases[0].loss(net, batch)

    return [replace(phases[0], loss=loss), *phases[1:]]


def ours(case: Case, phases: Sequence[Phase], steps: int, precision: Precision, device: torch.device) -> None:
    """Train as `bench run` does; losses are read once in 100 steps, as in any long training."""
    recipe = TrainingConfig(
        steps=steps, batch_size=case.batch, learning_rate=1e-4, ema=case.ema, log_every=100, precision=precision
    )
    with TemporaryDirectory() as folder:
        train(case.net, phases, case.feed, recipe, folder=Path(folder), seed=0, device=str(device))


def bare(case: Case, phases: Sequence[Phase], steps: int, precision: Precision, device: torch.device) -> None:
    """Train as little as can be called training: a batch, each loss that is due, AdamW's fused step."""
    net = case.net.train()
    groups = {phase.parameters.name: phase.parameters for phase in phases}
    optimizers = {name: torch.optim.AdamW(group.weights(net), 1e-4, fused=True) for name, group in groups.items()}
    for step in range(steps):
        batch = case.draw(case.batch)
        for phase in phases:
            if step % phase.every == 0:
                _turn(net, phase, optimizers, batch, precision, device)


def _turn(
    net: nn.Module, phase: Phase, optimizers: dict[str, torch.optim.AdamW], batch: Any, precision: Precision,
    device: torch.device,
) -> None:  # fmt: skip
    """Take one phase's step; with several optimisers the others' weights need no gradient."""
    if len(optimizers) > 1:
        for name, other in optimizers.items():
            for weight in parameters_of(other):
                weight.requires_grad_(name == phase.parameters.name)
    optimizers[phase.parameters.name].zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = phase.loss(net, batch)
    loss.backward()
    optimizers[phase.parameters.name].step()


def memory(check: Check, device: torch.device) -> None:
    """Take steps of `ldm --preset paper` in 2D and 3D, with and without activations kept."""
    for dims in (2, 3):
        for recompute in (False, True):
            if check.enough(15, f"ldm paper in {dims}D, recompute {recompute}"):
                with check.trying(f"ldm paper in {dims}D, recompute {recompute}", "paper-memory"):
                    paper(check, dims, recompute, device)


def paper(check: Check, dims: int, recompute: bool, device: torch.device) -> None:
    """Take a few steps of each training of `ldm --preset paper`, and keep the greatest memory."""
    for case in cases("ldm", "paper", dims, device, recompute=recompute):
        if recompute and case.name.endswith("autoencoder"):  # the option is of the denoiser
            continue
        name = f"{case.name}, batch {case.batch}, bf16{', recompute' if recompute else ''}"
        forget_peak(device)
        began = time.perf_counter()
        try:
            once = step_time(ours, case, 1, "bf16", device)
        except Exception as error:  # noqa: BLE001  MachineError for what does not fit; anything else is a finding too
            check.missed(name, "GB", "paper-memory", f"{first_line(error)}, after {time.perf_counter() - began:.0f} s")
            continue
        peak = peak_gb(device)
        check.measure(
            name, float("nan") if peak is None else peak, "GB", goal="paper-memory", detail=f"{once:.3g} s a step"
        )
