"""Time and memory to prepare N and 2 N patients: the time should double, the memory should stay the same.

    python scripts/time_prepare.py                                   simulated volumes, 8 and 16 patients
    python scripts/time_prepare.py --data cxr-pneumonia --root DIR --patients 600

Each preparation runs in a new process with an empty cache. Its peak memory is the value of the kernel (ru_maxrss). The
ratio is of processor time, which other jobs on the machine affect less.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from benchmark.cohorts.ingest import prepare_items
from benchmark.core.types import Items, Source
from benchmark.plugins.registry import find_dataset, load_class


@dataclasses.dataclass(frozen=True)
class FirstPatients:
    """The first patients of another data set."""

    dataset: Any
    patients: int

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the other data set."""
        names: tuple[str, ...] = self.dataset.channels
        return names

    def sources(self, root: Path) -> Sequence[Source]:
        """List the sources of the first patients."""
        sources = list(self.dataset.sources(root))
        chosen = set(list(dict.fromkeys(source.subject for source in sources))[: self.patients])
        return [source for source in sources if source.subject in chosen]

    def read(self, source: Source) -> Items:
        """Read as the other data set does."""
        items: Items = self.dataset.read(source)
        return items


def simulate(root: Path, patients: int) -> None:
    """Write noise volumes of BraTS size in BraTS20 layout, so that reading costs what real cases cost."""
    rng = np.random.default_rng(0)
    for patient in range(patients):
        folder = root / f"BraTS20_Training_{patient:03d}"
        folder.mkdir(parents=True)
        for channel in ("t1", "t2", "flair", "t1ce"):
            volume = np.zeros((240, 240, 155), np.int16)
            volume[50:190, 40:200, 35:115] = rng.integers(300, 1000, (140, 160, 80))
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / f"{folder.name}_{channel}.nii.gz")


def measure(options: argparse.Namespace) -> None:
    """Prepare in this process and print seconds, peak memory and items as JSON."""
    dataset = FirstPatients(
        load_class("datasets", find_dataset(options.data))(**json.loads(options.set)), options.patients
    )
    with tempfile.TemporaryDirectory() as cache:
        started, busy = time.perf_counter(), time.process_time()
        stored = prepare_items(options.data, dataset, options.root, Path(cache), workers=options.workers)
        seconds, cpu = time.perf_counter() - started, time.process_time() - busy
        mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "cpu": cpu, "mebibytes": mebibytes, "items": len(stored.table)}))


def compare(options: argparse.Namespace) -> None:
    """Measure N and 2 N patients in separate processes and print both with their ratio."""
    results = []
    for patients in (options.patients, 2 * options.patients):
        command = [sys.executable, __file__, "--once", "--data", options.data, "--root", str(options.root)]
        command += ["--patients", str(patients), "--set", options.set, "--workers", str(options.workers)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        results.append(result)
        print(
            f"{patients} patients: {result['items']} items, {result['seconds']:.2f} s "
            f"({result['cpu']:.2f} s of processor), {result['mebibytes']:.0f} MiB"
        )
    first, second = results
    per_item = (second["cpu"] / second["items"]) / (first["cpu"] / first["items"])
    memory = second["mebibytes"] / first["mebibytes"]
    print(f"ratio: processor time per item {per_item:.2f}, memory {memory:.2f} (1 and 1: O(N) time, constant memory)")


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="brats20")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--patients", type=int, default=8, help="N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", default=None, help="options of the data set, as JSON")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.set is None:
        options.set = '{"channels": ["t1", "t2", "flair", "t1ce"]}' if options.data == "brats20" else "{}"
    if options.once:
        measure(options)
    elif options.root:
        compare(options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            options.root = Path(folder)
            simulate(options.root, 2 * options.patients)
            compare(options)


if __name__ == "__main__":
    main()
