"""Do CPU and device answer alike, does a seed decide a training, and does one that was cut off end the same?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.devices import pick_device
from scripts.gpu_checks.check import Check
from scripts.gpu_checks.families import FLAT, SOLID, cases
from scripts.gpu_checks.same import different, distance, gradients, identical, no_tf32, resumed, searches, twice

CPU = torch.device("cpu")
SEARCHES = (
    ("levels", 400, 3000, 16384), ("levels", 40, 60, 140_000), ("levels", 24, 32, 600_000), ("floats", 300, 2000, 4096),
    ("embeddings", 400, 4000, 128), ("embeddings", 400, 4000, 64),
)  # fmt: skip
"""Kind, queries, items, numbers of an item: sums beyond int32, and beyond what float64 holds, are among them."""
REHEARSED = (("levels", 20, 40, 64), ("floats", 20, 40, 200), ("embeddings", 20, 40, 64))


def run(check: Check) -> None:
    """Compare searches, then training steps, then whole trainings."""
    torch.backends.cudnn.benchmark = False
    for kind, queries, bank, dimension in REHEARSED if check.tiny else SEARCHES:
        with check.trying(f"search of {kind}", "search-exact" if kind == "levels" else "search-ranks"):
            compare_searches(check, kind, queries, bank, dimension)
    families = [(family, 2) for family in FLAT] + [(family, 3) for family in SOLID]
    for family, dims in families[:2] if check.tiny else families:
        with check.trying(f"gradient of {family} in {dims}D", "gradient"):
            compare_gradients(check, family, dims)
    for family, dims in families[1:2] if check.tiny else families:
        if check.enough(0 if check.tiny else 3, f"trainings of {family} in {dims}D"):
            with check.trying(f"trainings of {family} in {dims}D", "same-seed", "resume"):
                compare_trainings(check, family, dims)


def compare_searches(check: Check, kind: str, queries: int, bank: int, dimension: int) -> None:
    """Search on the CPU and on the device: 8-bit answers are equal to the bit, all others in every place."""
    ours, theirs = searches(kind, check.device, queries=queries, bank=bank, dimension=dimension)
    what = f"{kind}, {queries} x {bank} items of {dimension}, top 3"
    if kind == "levels":
        check.measure(what, int(not identical(ours, theirs)), "different answers", goal="search-exact")
    else:
        detail = f"similarities equal to the bit: {bool((ours.similarity == theirs.similarity).all())}"
        check.measure(what, different(ours, theirs), "different places", goal="search-ranks", detail=detail)


def compare_gradients(check: Check, family: str, dims: int) -> None:
    """Compare the gradients of a first step, as torch computes by default, and without TF32; and bf16's."""
    device = pick_device(check.device)
    for case in cases(family, "toy", dims, CPU):
        expected = gradients(case, CPU)
        with no_tf32():
            exact = distance(gradients(case, device), expected)
        default = distance(gradients(case, device), expected)
        half = distance(gradients(case, device, half=True), expected)
        detail = f"with torch's defaults {default:.1e}, in bf16 {half:.1e}"
        check.measure(f"gradient, {case.name}", exact, "relative difference", goal="gradient", detail=detail)


def compare_trainings(check: Check, family: str, dims: int) -> None:
    """Train twice from a seed, and once cut off and resumed."""
    train = toy_split(1, dims)
    for what, goal, count in (("same seed twice", "same-seed", twice), ("resumed", "resume", resumed)):
        with TemporaryDirectory(dir=check.folder) as folder:
            differences = count(family, train, check.device, Path(folder) / "as-it-is")
            detail = ""
            if differences:
                with deterministic():
                    fixed = count(family, train, check.device, Path(folder) / "deterministic")
                detail = f"with torch's deterministic algorithms: {fixed}"
            check.measure(f"{what}, {family} {dims}D", differences, "different tensors", goal=goal, detail=detail)


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch take deterministic algorithms where it has them: tells what would remove a difference."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
