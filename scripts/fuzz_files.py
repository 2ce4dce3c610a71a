"""Damages files of every format and reads them: each must end in an image or in one sentence.

    python scripts/fuzz_files.py
    python scripts/fuzz_files.py --format NIfTI --count 1000 --keep failed

A file fails where reading it ends in any error other than `BadDataError`, in a crash, after more than 10 s, with more
than 1 GiB, or where a library writes to the terminal. A failure is printed with its number, which draws the same file
again: `--format PNG --first 17 --count 1`. The exit status is 1 if a file failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.fuzzing.damage import damage
from scripts.fuzzing.mixtures import mixture
from scripts.fuzzing.reading import Outcome, Reader
from scripts.fuzzing.samples import FORMATS, WHOLE

MIXTURES = "mixtures"
"""Files that are wrong as a whole, of any format."""
NAMES = (*FORMATS, *WHOLE, MIXTURES)


def damaged(name: str, number: int, folder: Path) -> Path:
    """Write the damaged file with this number of a format, and return its path; the same number, the same file."""
    rng = np.random.default_rng([*name.encode(), number])
    if name == MIXTURES:
        return mixture(folder, rng)
    ending, write = (FORMATS | WHOLE)[name]
    path = folder / f"damaged{ending}"
    write(path, rng)
    files = sorted((path if path.is_dir() else folder).iterdir())
    victim = files[int(rng.integers(len(files)))] if len(files) > 1 else files[0]
    victim.write_bytes(damage(victim.read_bytes(), rng))
    return path


def fuzz(name: str, first: int, count: int, reader: Reader, keep: Path | None) -> Counter[str]:
    """Read damaged files of one format; print failures as they come, and return how often each outcome was."""
    outcomes: Counter[str] = Counter()
    started, slowest = time.monotonic(), 0.0
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            path = damaged(name, number, Path(folder))
            begun = time.monotonic()
            outcome = reader.read(path)
            slowest = max(slowest, time.monotonic() - begun)
            outcomes[outcome.kind] += 1
            if outcome.kind == "failed":
                _report(name, number, outcome, path, keep)
    seen = "  ".join(f"{kind} {outcomes[kind]:4}" for kind in ("image", "refused", "failed"))
    print(f"{name:20} {seen}  slowest {slowest:5.2f} s  all {time.monotonic() - started:5.1f} s", flush=True)
    return outcomes


def _report(name: str, number: int, outcome: Outcome, path: Path, keep: Path | None) -> None:
    print(f"FAILED {name} {number}: {outcome.detail.strip()}", flush=True)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        target = keep / f"{name.replace(', ', '_').replace(' ', '_')}-{number}"
        shutil.copytree(path.parent, target, dirs_exist_ok=True)  # with the voxels that belong to a header


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--format", choices=NAMES, action="append", help="only this format; several times for more")
    parser.add_argument("--count", type=int, default=1000, help="damaged files per format")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--keep", type=Path, help="copy files that fail into this folder")
    options = parser.parse_args()
    reader = Reader()
    try:
        outcomes = [fuzz(name, options.first, options.count, reader, options.keep) for name in options.format or NAMES]
    finally:
        reader.stop()
    return int(any(outcome["failed"] for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
