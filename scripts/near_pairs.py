"""The greatest correlation between items of different patients: the margin of the limit for near duplicates.

    python scripts/near_pairs.py cxr-pneumonia --root R1 --image-size 64
    python scripts/near_pairs.py msd --root HIP --image-size 24
    python scripts/near_pairs.py phantom-mr --root cache/embedded/phantom-mr --image-size 64 --least 0.965

Pearson correlation of all pixels, without exact duplicates, of at most 5,000 items.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmark.cohorts.check.near_duplicates import find_near
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.open import DataConfig, build_dataset

MOST = 5000


def main() -> None:
    """Prepare, search and print the five highest correlations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--least", type=float, default=0.9)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    given = parser.parse_args()
    card, dataset = build_dataset(DataConfig(name=given.data, image_size=given.image_size))
    stored = prepare_items(card.name, dataset, given.root, given.cache)
    pairs = find_near(np.asarray(stored.pixels[:MOST]), stored.table[:MOST], least=given.least)
    print(f"{card.name}: {len(pairs)} pairs of two patients at {given.least} or more")
    print("highest:", *(f"{pair.correlation:.4f}" for pair in pairs[:5]))


if __name__ == "__main__":
    main()
