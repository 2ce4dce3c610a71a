"""Make the two images of README.md from the folder that `bench demo` wrote.

    bench demo --out DEMO
    python scripts/make_readme_images.py DEMO

docs/images/pair.png shows one planted copy that the audit named, flipped by the generator: both images, and their
difference once they are aligned. docs/images/report.png is the top of DEMO/audit/report.html in headless Chromium,
without the section "What was compared", so that the verdict and the first suspect fit on it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image

from benchmark.evaluation.report.compare import DIFFERENCE_WHITE, compare
from benchmark.evaluation.report.encode import difference_colours

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RED, INK = "#b3261e", "#1b1b1f"
SHOWN = "flipped"
"""The alteration of the copy that is shown: easy to see, and not to be seen by a comparison pixel by pixel."""
WIDTH, HEIGHT = 1200, 1135
"""Size of the screenshot, which shows the verdict and the first suspect."""
LARGEST = 150_000
"""Bytes of each file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="folder that `bench demo` wrote")
    parser.add_argument("--chromium", default="chromium", help="the browser's command")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    draw_pair(options.demo, IMAGES / "pair.png")
    photograph(options.demo / "audit" / "report.html", options.chromium, IMAGES / "report.png")
    for file in sorted(IMAGES.glob("*.png")):
        size = file.stat().st_size
        print(f"{file.name}: {size:,} bytes")
        assert size < LARGEST, f"{file} is larger than {LARGEST:,} bytes"


def named(demo: Path) -> pd.Series:
    """Return the first planted copy of the alteration that the audit named, as a row of withhold.csv."""
    copies = pd.read_csv(demo / "copies.csv").query("alteration == @SHOWN")
    listed = pd.read_csv(demo / "audit" / "withhold.csv")
    return listed.merge(copies, on=["file", "train_file"]).iloc[0]


def nearest_heldout(demo: Path, file: str) -> Path:
    """Return the held-out image that a synthetic file is most like."""
    number = sorted(path.name for path in (demo / "synthetic").iterdir()).index(file)
    matches, members = (pd.read_parquet(demo / "audit" / f"{name}.parquet") for name in ("matches", "members"))
    column = next(name for name in matches.columns if name.startswith("heldout_row"))
    return demo / f"{members['item'].iloc[int(matches[column].iloc[number])]}.png"


def draw_pair(demo: Path, out: Path) -> None:
    copy = named(demo)
    synthetic, training = (
        np.asarray(Image.open(file)) for file in (demo / "synthetic" / copy.file, demo / "train" / copy.train_file)
    )
    other = np.asarray(Image.open(nearest_heldout(demo, copy.file)))
    verdict = json.loads((demo / "audit" / "summary.json").read_text())["verdict"]
    gaps = [compare(synthetic, real, None).difference for real in (training, other)]
    panels = {
        f"synthetic image\n{copy.file}": synthetic,
        f"training image\n{copy.train_file}": training,
        "difference of the two,\nonce aligned": difference_colours(gaps[0], DIFFERENCE_WHITE),
        "difference to the nearest\nheld-out patient, aligned": difference_colours(gaps[1], DIFFERENCE_WHITE),
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 3.55), dpi=100)
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
        axis.set_title(title, fontsize=10, color=INK)
        axis.set_axis_off()
    told = f"{verdict['kind'].upper()}: {copy.file} is a copy of {copy.train_file}, {copy.confidence}"
    detail = f"correlation at full size {copy.full_size:.3f}; {verdict['suspects']} of the images are to be withheld"
    figure.text(0.5, 0.085, told, ha="center", fontsize=13, weight="bold", color=RED)
    figure.text(0.5, 0.02, f"{detail}. Simulated: no patient is shown.", ha="center", fontsize=10, color=INK)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.86, bottom=0.15, wspace=0.04)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "pair.png"
        figure.savefig(drawn, facecolor="white")
        save_small(drawn, out)


def photograph(page: Path, chromium: str, out: Path) -> None:
    """Save the top of a page as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        shot, shorter = Path(folder) / "shot.png", Path(folder) / "report.html"
        text = page.read_text(encoding="utf-8")
        shorter.write_text(re.sub('<section id="compared".*?</section>', "", text, flags=re.DOTALL), encoding="utf-8")
        command = [
            chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=3000",
            f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", shorter.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        save_small(shot, out)


def save_small(drawn: Path, out: Path) -> None:
    """Save an image with 128 colours: enough for text and grey images."""
    Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main()
