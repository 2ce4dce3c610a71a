"""How fast detectors embed and train, on the X-rays of ../shared/data.

    python scripts/make_layouts.py cxr R1
    python scripts/time_detectors.py R1 [--device cuda]

Embedding: items per second of `copy`, from pixels on disk to rows, compared with a forward pass alone of the same
network over one batch that is on the device already; the two are timed in alternation. Training: seconds to train
`copy` on 2,000 X-rays of 64 x 64.
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

from benchmark.cohorts.open import DataConfig, build_dataset
from benchmark.cohorts.prepare import prepare
from benchmark.core.devices import pick_device
from benchmark.core.progress import to_stderr
from benchmark.core.types import Split
from benchmark.detectors.copy import EMBED_BATCH, Copy, Options
from benchmark.detectors.fitting import all_rows, rows_of

ITEMS = 2000


def xrays(root: Path, cache: Path) -> Split:
    """Return 2,000 X-rays of 64 x 64 pixels."""
    card, dataset = build_dataset(DataConfig(name="cxr-pneumonia", image_size=64))
    cohort = prepare(card.name, dataset, root, cache, log=to_stderr)
    real = cohort.real
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
    """Return items per second of the network alone."""
    started = wait(detector.device)
    for _ in range(batches):
        detector.encoder(images)
    return batches * len(images) / (wait(detector.device) - started)


def embedding(detector: Copy, real: Split) -> float:
    """Return items per second from disk to rows."""
    started = wait(detector.device)
    all_rows(rows_of(detector, real))
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
        trained = time.perf_counter() - started
    batch = torch.from_numpy(real.images(slice(0, EMBED_BATCH))).to(device)
    pairs = [(embedding(detector, real), bare(detector, batch, len(real) // EMBED_BATCH)) for _ in range(given.rounds)]
    ours, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    share = statistics.median(a / b for a, b in pairs)
    print(f"copy trained on {len(real)} X-rays in {trained:.0f} s, {torch.get_num_threads()} threads, on {device}")
    print(f"embedding {ours:.0f} items/s, bare forward pass {plain:.0f} items/s, ratio {share:.2f}")


if __name__ == "__main__":
    main()
