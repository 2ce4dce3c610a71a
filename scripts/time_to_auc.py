"""How much sooner `copy` is as good as `dar2025`, the published detector, on the same X-rays.

    python scripts/make_layouts.py cxr R1
    python scripts/time_to_auc.py R1 [--device cuda] [--steps 30 --steps 60 ...]

The measure is the mean, over all kinds of planted copies, of the AUC of a copy against its nearest real neighbour.
`dar2025` trains for its whole schedule; `copy` is trained from scratch for each number of steps, each time with its
whole learning-rate schedule.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmark.cohorts.open import DataConfig, build_dataset
from benchmark.cohorts.prepare import prepare
from benchmark.core.progress import to_stderr
from benchmark.core.types import Cohort
from benchmark.detectors.fitting import fit_detector
from benchmark.detectors.registry import choose
from benchmark.evaluation.detector_audit import audit


def measure(text: str, cohort: Cohort, device: str) -> tuple[float, float]:
    """Return the seconds to train and embed a detector, and its mean AUC."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fitted = fit_detector(choose(text), cohort, cache=Path(folder), device=device, log=to_stderr)
        seconds = time.perf_counter() - started
        scores = audit(fitted, cohort, device=device, advance=lambda **_: None).scores
    areas = [score.value for name, score in scores.items() if ".auc." in name and score.value is not None]
    return seconds, float(np.mean(areas))


def main() -> None:
    """Print one line per training, and the ratio of times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, action="append")
    given = parser.parse_args()
    card, dataset = build_dataset(DataConfig(name="cxr-pneumonia", image_size=64))
    cohort = prepare(card.name, dataset, given.root, given.cache, log=to_stderr)
    slow, aim = measure("dar2025", cohort, given.device)
    print(f"dar2025: {slow:.0f} s, mean AUC {aim:.3f}", flush=True)
    for steps in given.steps or (30, 60, 120, 250):
        seconds, reached = measure(f"copy:steps={steps}", cohort, given.device)
        print(f"copy, {steps} steps: {seconds:.0f} s, mean AUC {reached:.3f}", flush=True)
        if reached >= aim:
            print(f"copy is {slow / seconds:.1f} times faster to dar2025's AUC")
            return
    print("copy did not reach dar2025's AUC in these steps")


if __name__ == "__main__":
    main()
