"""Processor time to read and prepare files, compared with a plain read of the same files, on one core.

    python scripts/make_layouts.py brats R2
    python scripts/time_readers.py --brats R2 --ct ../shared/data/ct_covidctmd_128/normal002_24slices_512.npz

BraTS cases are compared with nibabel (`np.asanyarray(load(file).dataobj)`). Chest CT is written as DICOM series,
uncompressed and JPEG lossless, and compared with pydicom (`dcmread(file).pixel_array`). Our readers also check,
rescale, reorient, resize and digest the files. Medians of 5 rounds; the two alternate.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom

from benchmark.cohorts.parallel_read import read_one
from benchmark.core.types import Source
from benchmark.plugins.registry import find_dataset, load_class

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "files"))
from dicom_files import write_series

ROUNDS = 5


def compare(name: str, dataset: Any, sources: Sequence[Source], bare: Callable[[str], object]) -> None:
    """Print milliseconds per file for both, and their ratio."""
    files = [file for source in sources for file in dict.fromkeys(source.files)]

    def read() -> None:
        for file in files:
            bare(file)

    def prepare() -> None:
        for source in sources:
            read_one(dataset, source)

    rounds = [(seconds(read), seconds(prepare)) for _ in range(ROUNDS)]
    alone, ours = (1000 * statistics.median(side) / len(files) for side in zip(*rounds, strict=True))
    print(f"{name:28} {len(files):4} files  bare {alone:7.2f} ms  ours {ours:7.2f} ms  ratio {ours / alone:5.2f}")


def seconds(job: Callable[[], None]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    job()
    return time.process_time() - started


def load(name: str, **options: Any) -> Any:
    """Return a configured data set."""
    return load_class("datasets", find_dataset(name))(**options)


def main() -> None:
    """Parse and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brats", type=Path)
    parser.add_argument("--ct", type=Path)
    given = parser.parse_args()
    if given.brats:
        for size in (64, 256):
            dataset = load("brats20", image_size=size)
            sources = dataset.sources(given.brats)[:4]
            compare(f"BraTS to {size}", dataset, sources, lambda file: np.asanyarray(nibabel.load(file).dataobj))
    if given.ct:
        with np.load(given.ct) as archive:
            hu = archive["hu"]
        for syntax in ("plain", "jpeg"):
            with tempfile.TemporaryDirectory() as folder:
                for patient in range(3):
                    write_series(Path(folder) / f"P{patient}", hu, syntax=syntax)
                for size in (64, 512):
                    dataset = load("covid-ct-md", image_size=size)
                    sources = dataset.sources(Path(folder))
                    compare(
                        f"DICOM {syntax} to {size}", dataset, sources, lambda file: pydicom.dcmread(file).pixel_array
                    )


if __name__ == "__main__":
    main()
