"""The copy detector: how soon it is as good as the published one, and how much of a bare forward pass embedding is."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.core.devices import pick_device
from benchmark.core.seeding import seed_all
from benchmark.core.types import Cohort, Split
from benchmark.detectors.copy import EMBED_BATCH, Copy, Encoder, Options, nt_xent
from benchmark.images.transforms import augment
from scripts.gpu_checks.check import Check
from scripts.gpu_checks.timing import seconds
from scripts.time_detectors import bare, embedding
from scripts.time_to_auc import measure

SIDE = 64
STEPS = (30, 60, 120, 250)
ROUNDS = 5


def run(check: Check) -> None:
    """Measure embedding, then compiled forms of it, then the training to equal AUC."""
    device = pick_device(check.device)
    cohort = films(24 if check.tiny else 1000)
    with check.trying("embedding", "embedding"):
        embed(check, cohort, device)
    for what, work in (("forward pass", forward), ("training step", step)):
        with check.trying(f"compiled {what}"):
            compiled(check, what, work, device)
    with check.trying("training to equal AUC"):
        to_auc(check, cohort)


def films(patients: int, each: int = 2) -> Cohort:
    """Return images of random fields: an anatomy that all share, each patient's own shape, each image's own texture."""
    random = torch.Generator().manual_seed(0)

    def field(count: int, cells: int) -> Tensor:
        coarse = torch.randn(count, 1, cells, cells, generator=random)
        return torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")

    whole = (
        128 + 45 * field(1, 6) + 40 * field(patients, 8).repeat_interleave(each, 0) + 15 * field(patients * each, 16)
    )
    pixels = whole.clamp(0, 255).to(torch.uint8).numpy()
    names = [f"patient-{number // each}" for number in range(len(pixels))]
    edges = (0, len(pixels) * 6 // 10 // each * each, len(pixels) * 8 // 10 // each * each, len(pixels))

    def part(number: int, name: str) -> Split:
        rows = np.arange(edges[number], edges[number + 1])
        subjects, items = (tuple(make(row) for row in rows) for make in (lambda row: names[row], str))
        return Split(name=name, pixels=pixels, rows=rows, subjects=subjects, items=items, channels=("film",))

    return Cohort(
        name="films", key=f"films-{patients}", train=part(0, "train"), calibration=part(1, "calibration"),
        test=part(2, "test"),
    )  # fmt: skip


def embed(check: Check, cohort: Cohort, device: torch.device) -> None:
    """Time `copy` from stored pixels to rows, and its network alone over a batch that is ready, alternately."""
    real = cohort.real
    with TemporaryDirectory(dir=check.folder) as folder:
        detector = Options(steps=3).fit(real, folder=check.folder / folder, key="embed", device=check.device)
    batch = torch.from_numpy(real.images(slice(0, EMBED_BATCH))).to(device)
    embedding(detector, real)
    count = max(1, len(real) // len(batch))
    pairs = [(embedding(detector, real), bare(detector, batch, count)) for _ in range(1 if check.tiny else ROUNDS)]
    ours, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    detail = f"{ours:.5g} against {plain:.5g} items/s, batches of {len(batch)}"
    share = statistics.median(a / b for a, b in pairs)
    check.measure("embedding, items per second, over the bare forward pass", share, goal="embedding", detail=detail)
    _where_time_goes(check, detector, real, device)


def _where_time_goes(check: Check, detector: Copy, real: Split, device: torch.device) -> None:
    """Time what surrounds the forward pass: reading, the copy to the device, larger batches."""
    most = min(len(real), EMBED_BATCH)
    images = real.images(slice(0, most))
    read = seconds(lambda: real.images(slice(0, most)), device)
    moved = seconds(lambda: torch.from_numpy(images).to(device), device)
    check.measure(f"reading {most} items as float32", 1e3 * read, "ms")
    check.measure(f"moving them to the device, {images.nbytes / 1e6:.3g} MB", 1e3 * moved, "ms")
    for count in (EMBED_BATCH, 8 * EMBED_BATCH) if check.cuda else (most,):
        batch = torch.rand(count, *real.shape, device=device)
        with torch.inference_mode():
            once = seconds(lambda batch=batch: detector.encoder(batch), device)  # type: ignore[misc]
        check.measure(f"bare forward pass of {count} items", 1e3 * once, "ms", detail=f"{count / once:.5g} items/s")


def encoder(device: torch.device) -> Encoder:
    """Return an untrained encoder of images of one channel."""
    seed_all(0)
    net: Encoder = Encoder(1, 2, Options()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def forward(net: Any, plain: Encoder, device: torch.device) -> Callable[[], object]:
    """Return a call that embeds a batch."""
    plain.eval()
    batch = torch.rand(EMBED_BATCH, 1, SIDE, SIDE, device=device)

    def work() -> object:
        torch.compiler.cudagraph_mark_step_begin()
        with torch.inference_mode():
            return net(batch)

    return work


def step(net: Any, plain: Encoder, device: torch.device) -> Callable[[], object]:
    """Return a call that takes a training step, in bf16 as training does on a GPU."""
    plain.train()
    optimizer = torch.optim.AdamW(plain.parameters(), 1e-3, fused=True)
    images = torch.rand(Options.batch_size, 1, SIDE, SIDE, device=device)
    codes = torch.arange(len(images), device=device)

    def work() -> object:
        torch.compiler.cudagraph_mark_step_begin()  # outputs of the step before may be written over
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = nt_xent(net(augment(images)), net(images), codes, Options.temperature)
        loss.backward()
        optimizer.step()
        return loss

    return work


def compiled(check: Check, what: str, make: Callable[..., Callable[[], object]], device: torch.device) -> None:
    """Time eager and compiled forms: torch.compile, and with CUDA graphs."""
    net = encoder(device)
    eager = seconds(make(net, net, device), device)
    check.measure(f"{what}, eager", 1e3 * eager, "ms")
    if not check.cuda:
        check.note(f"left out: {what}, compiled: it is tried on a GPU only")
        return
    for mode in ("default", "reduce-overhead"):
        if not check.enough(30, f"{what}, compiled, {mode}"):
            continue
        with check.trying(f"{what}, compiled, {mode}"):
            net = encoder(device)
            once = seconds(make(torch.compile(net, mode=mode), net, device), device)
            check.measure(f"{what}, compiled, {mode}", 1e3 * once, "ms", detail=f"{eager / once:.3g} times as fast")


def to_auc(check: Check, cohort: Cohort) -> None:
    """Train the published detector for its whole schedule, and `copy` for more and more steps until it is as good."""
    slow, aim = measure("dar2025:epochs=1" if check.tiny else "dar2025", cohort, check.device)
    check.measure("dar2025, training and embedding", slow, "s", detail=f"mean AUC of planted copies {aim:.3f}")
    for count in (5,) if check.tiny else STEPS:
        if not check.enough(0 if check.tiny else 8, f"copy, {count} steps"):
            return
        taken, reached = measure(f"copy:steps={count}", cohort, check.device)
        detail = f"mean AUC of planted copies {reached:.3f}"
        check.measure(f"copy, {count} steps, training and embedding", taken, "s", detail=detail)
        if reached >= aim:
            check.measure("dar2025's seconds over copy's, to an equal AUC", slow / taken)
            return
    check.note("copy did not reach dar2025's AUC in these steps")
