"""Is it the same on two devices? Each function returns how far apart two answers are; tests and the check judge."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from benchmark.adapters.conformance_tools import InterruptedTraining, checkpoint_steps, counted_steps
from benchmark.core.seeding import seed_all
from benchmark.core.types import Similarity, Split
from benchmark.search import COSINE, LEVELS, PEARSON, Rows, SearchResult, search
from benchmark.training.state import to_device
from scripts.gpu_checks.families import Case, fitted, weights

SIMILARITIES: dict[str, Similarity] = {"levels": LEVELS, "floats": PEARSON, "embeddings": COSINE}
ZERO, DUPLICATES = 3, 5


def rows(kind: str, count: int, dimension: int, seed: int) -> np.ndarray[Any, Any]:
    """Return rows with equal ones and constant ones among them: uint8 levels, float images, or unit vectors."""
    rng = np.random.default_rng(seed)
    made: np.ndarray[Any, Any] = rng.integers(0, 256, (count, dimension)).astype(np.uint8)
    if kind != "levels":
        made = rng.standard_normal((count, dimension)).astype(np.float32)
    made[ZERO::17] = made[ZERO, 0] if kind != "embeddings" else 0
    made[DUPLICATES::13] = made[min(DUPLICATES, count - 1)]
    if kind == "embeddings":
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        made = (made / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return made


def sides(kind: str, queries: int, bank: int, dimension: int) -> tuple[Rows, Rows]:
    """Return queries, a third of which come from the bank with a little noise, and the bank."""
    items, wanted = rows(kind, bank, dimension, 0), rows(kind, queries, dimension, 1)
    some = min(queries // 3, bank)
    noise = np.random.default_rng(2).standard_normal((some, dimension))
    if kind == "levels":
        wanted[:some] = np.clip(items[:some] + 10 * noise, 0, 255).astype(np.uint8)
    else:
        wanted[:some] = items[:some] + 0.1 * items[:some].std() * noise
    compare = SIMILARITIES[kind]
    return Rows.of(wanted, compare), Rows.of(items, compare)


def searches(
    kind: str, device: str, *, queries: int, bank: int, dimension: int, k: int = 3
) -> tuple[SearchResult, SearchResult]:
    """Search on the CPU and on a device."""
    ours, theirs = sides(kind, queries, bank, dimension)
    return search(ours, theirs, k), search(ours, theirs, k, device=device)


def different(first: SearchResult, second: SearchResult) -> int:
    """Count the places that two answers disagree about."""
    return int((first.index != second.index).sum())


def identical(first: SearchResult, second: SearchResult) -> bool:
    """Return whether places and similarities are equal to the bit."""
    return different(first, second) == 0 and np.array_equal(first.similarity, second.similarity)


class DrawnOnCpu(TorchFunctionMode):
    """Draw every random number on the CPU, whatever device asks for it: so that two devices see the same."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Draw on the CPU, then move."""
        named = dict(kwargs or {})
        if function is torch.randn_like or function is torch.rand_like:
            drawn = torch.empty(args[0].shape, dtype=args[0].dtype)
            return (drawn.normal_() if function is torch.randn_like else drawn.uniform_()).to(args[0].device)
        if function in (torch.randn, torch.rand, torch.randint, torch.randperm):
            device = named.pop("device", None)
            return function(*args, **named).to(device or "cpu")
        return function(*args, **named)


@contextmanager
def no_tf32() -> Iterator[None]:
    """Let convolutions keep all bits of float32: by default torch lets them lose 13 on CUDA."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def gradients(case: Case, device: torch.device, *, half: bool = False) -> list[Tensor]:
    """Return the gradient of each phase of a training's first step, flat, float64, on the CPU.

    Args:
        case: made on the CPU; it is copied.
        device: where the step is computed.
        half: in bf16 autocast.
    """
    net = to_device(copy.deepcopy(case.net), device)
    batch = pytree.tree_map(lambda value: value.to(device), case.feed.take(np.arange(min(case.batch, len(case.feed)))))
    vectors = []
    for number, phase in enumerate(case.phases):
        net.zero_grad(set_to_none=True)
        seed_all(0, number)
        with DrawnOnCpu(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = phase.loss(net, batch)
        if loss.requires_grad:
            loss.backward()
        vectors.append(_flat(phase.parameters.weights(net)))
    return vectors


def _flat(parameters: Sequence[Tensor]) -> Tensor:
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
    return torch.cat([one.detach().double().cpu().flatten() for one in gradients])


def distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Return the greatest relative difference of two lists of vectors: |a - b| / |b|."""
    pairs = zip(first, second, strict=True)
    return max(float((a - b).norm() / b.norm()) if float(b.norm()) else float(a.norm()) for a, b in pairs)


def differing(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> int:
    """Count the tensors that are not equal to the bit."""
    assert first.keys() == second.keys()
    return sum(not torch.equal(value, second[name]) for name, value in first.items())


def twice(family: str, train: Split, device: str, folder: Path) -> int:
    """Train twice from one seed; return how many weight tensors differ."""
    trained = [
        weights(fitted(family, train, device=device, folder=folder / name), folder / name / "saved")
        for name in ("first", "second")
    ]
    return differing(*trained)


def resumed(family: str, train: Split, device: str, folder: Path, *, after: int = 2) -> int:
    """Train once as a whole, and once cut off after some optimiser steps and resumed; count the tensors that differ."""
    whole = weights(fitted(family, train, device=device, folder=folder / "whole"), folder / "whole" / "saved")
    with checkpoint_steps(1):
        try:
            with counted_steps(cut_after=after):
                fitted(family, train, device=device, folder=folder / "cut")
        except InterruptedTraining:
            pass
        else:
            raise AssertionError(f"{family} takes fewer than {after} steps")
        resumed = weights(fitted(family, train, device=device, folder=folder / "cut"), folder / "cut" / "saved")
    return differing(whole, resumed)
