"""How fast detectors embed and learn, on the X-rays of ../shared/data.

    python scripts/make_layouts.py cxr R1
    python scripts/time_detectors.py R1 [--device cuda]

Embedding: items a second of `copy`, from pixels on disk to rows, beside a bare forward pass of the same network over
one batch that is ready on the device; the two take turns. Learning: seconds to make `copy` for 2,000 X-rays of 64 x 64.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmark.cohorts.prepare import prepare, to_stderr
from benchmark.contracts import Split, chunks, merge
from benchmark.detectors.contrastive import EMBED_BATCH, Copy, Options
from benchmark.fitted import ITEMS_AT_ONCE, rows_of
from benchmark.machine import pick_device
from benchmark.request import Request, build_dataset

ITEMS = 2000


def xrays(root: Path, cache: Path) -> Split:
    """Return 2,000 X-rays of 64 x 64 pixels."""
    card, dataset = build_dataset(Request(model="", data="cxr-pneumonia", image_size=64))
    cohort = prepare(card.name, dataset, root, cache, seed=0, train_items=None, split="patients", say=to_stderr)
    real = merge("real", cohort.train, cohort.calibration, cohort.test)
    some = np.arange(min(ITEMS, len(real)))
    return replace(
        real, rows=real.rows[some], subjects=real.subjects[: len(some)], items=real.items[: len(some)], labels=None
    )


def wait(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@torch.inference_mode()
def bare(detector: Copy, images: torch.Tensor, batches: int) -> float:
    """Items a second of the network alone."""
    started = wait(detector.device)
    for _ in range(batches):
        detector.encoder(images)
    return batches * len(images) / (wait(detector.device) - started)


def embedding(detector: Copy, real: Split) -> float:
    """Items a second from disk to rows."""
    started = wait(detector.device)
    rows = rows_of(detector, real)
    for part in chunks(len(real), ITEMS_AT_ONCE):
        rows.take(part)
    return len(real) / (wait(detector.device) - started)


def main() -> None:
    """Print two lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    device, real = pick_device(given.device), xrays(given.root, given.cache)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        detector = Options().fit(real, folder=Path(folder), key="time", device=given.device)
        learnt = time.perf_counter() - started
    batch = torch.from_numpy(real.images(slice(0, EMBED_BATCH))).to(device)
    pairs = [(embedding(detector, real), bare(detector, batch, len(real) // EMBED_BATCH)) for _ in range(given.rounds)]
    ours, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    share = statistics.median(a / b for a, b in pairs)
    print(f"copy learnt {len(real)} X-rays in {learnt:.0f} s, {torch.get_num_threads()} threads, on {device}")
    print(f"embedding {ours:.0f} items/s, bare forward pass {plain:.0f} items/s, ratio {share:.2f}")


if __name__ == "__main__":
    main()
