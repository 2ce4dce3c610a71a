"""Time the report of a large audit once its search is done: 10,000 synthetic against 20,000 training images.

    python scripts/time_report.py OUT [--side 512] [--suspects 1000]

Images are drawn, and written as PNG files. Their nearest images are drawn, too: no search takes place, because only
what comes after it is timed. Every suspect is an altered copy (mirrored, rotated by 5 degrees, or blurred), so that
each alignment has something to find. Prints seconds of the clock and of the processor, and the size of report.html.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from scipy.ndimage import gaussian_filter, rotate, zoom

from benchmark.core.types import Cohort, Score, Split
from benchmark.evaluation.protocol import Outcome
from benchmark.evaluation.report.build import report_images, report_input
from benchmark.evaluation.report.page import write_report
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.evaluation.verdict import judge
from benchmark.images.readers import read_image
from benchmark.metrics.published import BINS

TRAIN, HELDOUT, SYNTHETIC = 20_000, 5_000, 10_000
FILES = 120
"""Different images on disk; those of other positions repeat them."""
Image = np.ndarray[Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=512, help="pixels per side of a file")
    parser.add_argument("--suspects", type=int, default=1000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    real, made = _write(options.out / "images", options.side)
    cohort, synthetic = _cohort(options.side)
    outcomes = {"pixels": _outcome(options.suspects)}
    full_size = FullSize(_opener(made), _opener(real))
    clock, processor = time.perf_counter(), time.process_time()
    suspects = list_suspects({"pixels": outcomes["pixels"].matches}, synthetic, cohort.real, full_size)
    listed = time.process_time() - processor
    verdict = judge(
        {"pixels": outcomes["pixels"].scores}, Score(value=0.01), samples=SYNTHETIC, suspects=len(suspects),
        must_see=0.01,
    )  # fmt: skip
    report = report_input(
        title="Drawn images", date="2026-11-27", protocol="p2", verdict=verdict, outcomes=outcomes, suspects=suspects,
        cohort=cohort, samples=SYNTHETIC, possible={"detectable.share": Score(value=0.01)},
    )  # fmt: skip
    path = write_report(report, report_images(full_size, cohort), options.out)
    print(
        f"{len(suspects)} suspects of {SYNTHETIC} against {TRAIN}, {options.side} x {options.side} pixels, "
        f"{os.cpu_count()} cores: {time.perf_counter() - clock:.0f} s of the clock, "
        f"{time.process_time() - processor:.0f} s of the processor ({listed:.0f} s of them for the list); "
        f"{path.stat().st_size / 1e6:.1f} MB"
    )


def _drawn(seed: int, side: int) -> Image:
    """Draw an image with structure at three scales, uint8 (side, side)."""
    rng = np.random.default_rng(seed)
    coarse = sum(
        scale * zoom(gaussian_filter(rng.standard_normal((side // scale,) * 2), 1), scale, order=1, mode="nearest")
        for scale in (4, 16, 64)
    )
    noisy = coarse + 2 * rng.standard_normal(coarse.shape)
    grey: Image = ((noisy - noisy.min()) / np.ptp(noisy) * 255).round().astype(np.uint8)
    return grey


ALTERED = (
    lambda image: image[:, ::-1],
    lambda image: rotate(image, 5, reshape=False, order=1, mode="nearest"),
    lambda image: gaussian_filter(image, 1.5),
)


def _write(folder: Path, side: int) -> tuple[list[Path], list[Path]]:
    """Write real images and their altered copies, unless they are there."""
    folder.mkdir(exist_ok=True)
    names = [[folder / f"{kind}-{side}-{number}.png" for number in range(FILES)] for kind in ("real", "made")]
    for number, (real, made) in enumerate(zip(*names, strict=True)):
        if not made.exists():
            image = _drawn(number, side // 64 * 64)
            PIL.Image.fromarray(image).save(real)
            PIL.Image.fromarray(ALTERED[number % len(ALTERED)](image)).save(made)
    return names[0], names[1]


def _opener(files: list[Path]) -> Any:
    return lambda position: read_image(str(files[position % FILES]), constant_ok=True).pixels


def _cohort(side: int) -> tuple[Cohort, Split]:
    pixels = np.zeros((1, 1, 64, 64), np.uint8) + _drawn(0, 64)
    first, middle = TRAIN, TRAIN + HELDOUT // 2
    parts = [_split(name, pixels, start, end) for name, start, end in (
        ("train", 0, first), ("calibration", first, middle), ("test", middle, TRAIN + HELDOUT)
    )]  # fmt: skip
    cohort = Cohort(name="drawn", key="0", train=parts[0], calibration=parts[1], test=parts[2])
    return cohort, replace(_split("synthetic", pixels, 0, SYNTHETIC), name="synthetic")


def _split(name: str, pixels: Image, start: int, end: int) -> Split:
    names = tuple(f"patient-{number:06d}" for number in range(start, end))
    return Split(
        name=name, pixels=pixels, rows=np.zeros(end - start, np.int64), subjects=names,
        items=tuple(f"images/{name}.png" for name in names), channels=("image",),
    )  # fmt: skip


def _outcome(suspects: int) -> Outcome:
    rng = np.random.default_rng(0)
    similarity = rng.normal(0.8, 0.05, SYNTHETIC).clip(-1, 0.95)
    similarity[:suspects] = rng.uniform(0.96, 0.99, suspects)
    listed = np.arange(SYNTHETIC) < suspects
    counts = tuple(int(count) for count in np.histogram(similarity, BINS)[0])
    share = Score(value=suspects / SYNTHETIC, low=0.9 * suspects / SYNTHETIC, high=0.11, n=SYNTHETIC)
    patients = Score(value=float(suspects), low=0.9 * suspects, high=1.1 * suspects, n=TRAIN)
    return Outcome(
        scores={
            "exposed.items": share, "exposed.patients": patients, "exposed.verbatim": Score(value=0.0),
            "exposed.threshold": Score(value=0.955), "copies.tau": Score(value=0.93),
        },
        replicates=(),
        matches={
            "train_row": np.arange(SYNTHETIC), "heldout_row": TRAIN + np.arange(SYNTHETIC) % HELDOUT,
            "similarity": similarity, "heldout_similarity": rng.normal(0.8, 0.05, SYNTHETIC).clip(-1, 0.95),
            "withhold": listed, "reason": np.where(listed, "nearest", ""),
        },
        members={},
        histograms={"published.akbar2025": counts, "published.akbar2025_heldout": counts},
        curve=[],
        engine="none",
    )  # fmt: skip


if __name__ == "__main__":
    main()
