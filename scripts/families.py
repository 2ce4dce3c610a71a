"""Run the smoke preset of every model family on one cohort, and compare scores and samples.

    python scripts/make_layouts.py cxr R1
    python scripts/make_layouts.py hippocampus HIP
    python scripts/families.py OUT --data cxr-pneumonia --root R1
    python scripts/families.py OUT --data msd --root HIP

Each is one call of `bench run`; finished runs are cached. Models of 2D images are left out for volumes, and models that
need files of the user are always left out. stylegan2-ada is declined where it has no checkout. Writes the leaderboard
to OUT/leaderboards, and OUT/DATA.png with ten samples per model (private: they may show patients).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmark.adapters.sampling import Samples
from benchmark.plugins.registry import ModelCard, find_dataset, listing
from benchmark.records.record import Record

SHOWN = 10


def families(dimensions: int) -> list[str]:
    """Return the models with a smoke preset for items with this many dimensions."""
    cards = [card for card in listing("models").cards.values() if isinstance(card, ModelCard)]
    return [card.name for card in cards if "smoke" in card.presets and dimensions in card.dimensions]


def run(model: str, given: argparse.Namespace) -> float:
    """Call `bench run`, print its exit code, and return the seconds."""
    command = [sys.executable, "-m", "benchmark", "run", "--model", model, "--data", given.data, "--root", given.root]
    started = time.monotonic()
    done = subprocess.run([*command, *given.more], cwd=given.out, stdout=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - started
    print(f"{model}: exit {done.returncode}, {seconds:.0f} s", flush=True)
    return seconds


def rows(runs: Path) -> list[tuple[Record, Path]]:
    """Return the finished runs, smallest distance to the held-out patients first."""
    records = [(Record.read(path), path.parent) for path in runs.glob("*/*/record.json")]
    done = [pair for pair in records if pair[0].status == "done"]
    return sorted(done, key=lambda pair: pair[0].scores["quality.frechet[random-conv]"].value or 0)


def draw(finished: list[tuple[Record, Path]], path: Path) -> None:
    """Draw the first samples of each run, one row per model; of volumes the middle plane."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SHOWN + 2, len(finished)), layout="constrained")
    for axes, (record, folder) in zip(figure.subplots(len(finished), squeeze=False)[:, 0], finished, strict=True):
        images = Samples.open(folder / "samples", record.spec.samples).images(np.arange(SHOWN))[:, 0]
        planes = images if images.ndim == 3 else images[..., images.shape[-1] // 2]
        axes.imshow(np.concatenate(list(planes), axis=1), cmap="gray", vmin=-1, vmax=1)
        score = record.scores["quality.frechet[random-conv]"]
        axes.set_ylabel(f"{record.spec.model}\n{score.value:.1f}", rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run, build the leaderboard, draw the samples and print one line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", default="cxr-pneumonia")
    parser.add_argument("--root", type=lambda text: str(Path(text).resolve()), required=True)
    parser.add_argument("--model", action="append", help="only these; repeatable")
    parser.add_argument("more", nargs="*", help="after --: further options of bench run")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for model in given.model or families(find_dataset(given.data).dimensions):
        run(model, given)
    subprocess.run([sys.executable, "-m", "benchmark", "leaderboard", "build"], cwd=given.out, check=True)
    finished = rows(given.out / "runs" / given.data)
    draw(finished, given.out / f"{given.data}.png")
    for record, _ in finished:
        exposed, frechet = (record.scores[name] for name in ("exposed.items[copy]", "quality.frechet[random-conv]"))
        seconds = sum(record.cost[f"{stage}_seconds"] for stage in ("fit", "sample", "evaluate"))
        print(
            f"{record.spec.model:14} Frechet {frechet.value:6.1f} [{frechet.low:.1f}, {frechet.high:.1f}]  "
            f"exposed share {exposed.value:.3f} [{exposed.low:.3f}, {exposed.high:.3f}]  {seconds:4.0f} s  "
            f"{record.cost['peak_bytes'] / 2**30:.1f} GiB"
        )


if __name__ == "__main__":
    main()
