"""Run a small sweep on a Ray cluster of two node processes, kill one of them in the middle, and print what was lost.

    python scripts/ray_node_loss.py [--cells 4] [--folder FOLDER]

Each cell is a whole run of copycat, with all its stages, on smooth random images of 40 invented patients. The copy
detector is small and few suspects are aligned, as this is not about scores.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.core.cluster import require_ray
from benchmark.detectors import copy as contrastive
from benchmark.evaluation import suspects
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.ray_engine import run_cells
from benchmark.runs.sweeps.work import LOG, run_cell

STAGES = ("fit", "sample", "evaluate")
STORE = 80 << 20


@dataclass(frozen=True)
class Options(contrastive.Options):
    """The copy detector's options, small."""

    size: int = 32
    width: int = 8
    steps: int = 60
    batch_size: int = 32


def small_run(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
    contrastive.Options = Options  # type: ignore[misc]
    suspects.ALIGNED = 4
    return run_cell(cell, began=began)


def write_images(root: Path) -> None:
    """Write two images of each of 40 invented patients, in the layout of cxr-pneumonia."""
    rng = np.random.default_rng(0)
    for patient in range(40):
        folder = root / "chest_xray" / "train" / ("NORMAL" if patient % 2 else "PNEUMONIA")
        folder.mkdir(parents=True, exist_ok=True)
        own = rng.integers(0, 256, (8, 8))
        for film in range(2):
            coarse = np.clip(own + rng.integers(-20, 21, (8, 8)), 0, 255).astype(np.uint8)
            name = f"IM-{patient:04d}-{film:04d}" if patient % 2 else f"person{patient}_virus_{film}"
            Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"{name}.jpeg")


def plan(folder: Path, count: int) -> list[Cell]:
    write_images(folder / "images")
    values = {
        "model": {"name": "copycat"}, "samples": 60,
        "data": {"name": "cxr-pneumonia", "root": folder / "images", "image_size": 32},
        "runs": folder / "runs", "cache": folder / "cache", "device": "cpu",
    }  # fmt: skip
    return [Cell(seed, {"seed": seed}, RunConfig.of({**values, "seed": seed}, "sweep")) for seed in range(count)]


def sweep(cells: list[Cell]) -> tuple[list[CellOutcome], Counter[int], int]:
    """Run the cells, kill a node after the first is done, and return outcomes, starts, and cells done by then."""
    require_ray()
    from ray.cluster_utils import Cluster

    size: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    node, starts, done, killed = cluster.add_node(**size), Counter[int](), set[int](), list[int]()

    def tell(outcome: CellOutcome) -> None:
        print(f"{time.strftime('%H:%M:%S')} cell {outcome.cell.index}: {outcome.state} {outcome.error}", flush=True)
        starts[outcome.cell.index] += outcome.state == "running"
        if outcome.state == "done":
            done.add(outcome.cell.index)
        if done and not killed and starts.total() - len(done) >= 2:  # both nodes are at work
            killed.append(len(done))
            print("killing one of two nodes", flush=True)
            cluster.remove_node(node, allow_graceful=False)

    try:
        outcomes = run_cells(
            cells, workers=2, fail_fast=False, tell=tell, address=cluster.address, work=small_run
        )  # fmt: skip
    finally:
        cluster.shutdown()
    return outcomes, starts, killed[0] if killed else 0


def computed(folder: Path | None) -> dict[str, int]:
    """Return how often each stage of a run folder was computed to its end, after its log."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines() if folder else []
    return {stage: sum(bool(re.match(rf"{stage}: done in", line)) for line in lines) for stage in STAGES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        started = time.monotonic()
        outcomes, starts, before = sweep(plan((given.folder or Path(temporary)).absolute(), given.cells))
        print(f"\n{'cell':>4}  {'state':<7} {'begun':>5}  times computed to the end")
        for outcome in outcomes:
            counts = ", ".join(f"{name} {times}" for name, times in computed(outcome.folder).items())
            print(f"{outcome.cell.index:>4}  {outcome.state:<7} {starts[outcome.cell.index]:>5}  {counts}")
        stages = [times for outcome in outcomes for times in computed(outcome.folder).values()]
        records = sum((outcome.folder / "record.json").exists() for outcome in outcomes if outcome.folder)
        states = [json.loads((one.folder / "status.json").read_text()) for one in outcomes if one.folder]
        finished = sum(state[stage]["state"] == "done" for state in states for stage in STAGES)
        print(f"cells done before a node was killed: {before}; begun again after it: {starts.total() - given.cells}")
        print(f"records: {records} of {given.cells}; stages finished: {finished} of {3 * given.cells}")
        print(f"stages computed more than once: {sum(times > 1 for times in stages)}")
        print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
