"""What a process of its own costs a model: seconds per run, share of a training, seconds per GiB of training items.

    python scripts/time_isolation.py [--model vae] [--steps 20,220] [--side 32] [--rounds 3] [--gib 0.5]

The same small training, once in the evaluator's process and once in a process of its own, in new interpreters and in
turn. Processor seconds are those of both processes together, so that a busy machine changes little; seconds of the
clock need an idle one. In both cases the evaluator has imported what it needs for the evaluation. The shorter training
tells what a run costs, the difference between two lengths what a step costs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.adapters.isolation.items import lent_items
from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.core.monai_import import import_monai
from benchmark.core.options import build
from benchmark.core.types import Budget, Split
from benchmark.plugins.registry import find_model, load_class
from benchmark.training.trackers import Tracked

ITEMS = 256
SAMPLES = 50


def split(items: int, side: int) -> Split:
    """Return noise (items, 1, side, side), uint8."""
    pixels = np.random.default_rng(0).integers(0, 256, (items, 1, side, side)).astype(np.uint8)
    names = tuple(map(str, range(items)))
    return Split(name="train", pixels=pixels, rows=np.arange(items), subjects=names, items=names, channels=("x",))


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it has started and that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def in_process(name: str, _: ModelClass | None, settings: dict[str, Any], train: Split, folder: Path) -> None:
    """Train, save, load and sample here."""
    cls = load_class("models", find_model(name))
    adapter = build(cls, settings, what=name)
    (folder / "model").mkdir()
    adapter.fit(train, folder=folder, budget=Budget(), seed=0, device="cpu")
    adapter.save(folder / "model")
    list(cls.load(folder / "model", device="cpu").sample(SAMPLES, seed=0))


def isolated(_: str, cls: ModelClass | None, settings: dict[str, Any], train: Split, folder: Path) -> None:
    """Train, save, load and sample in another process."""
    assert cls is not None
    adapter = cls.build(settings)
    (folder / "model").mkdir()
    tracked = Tracked("timing", {}, folder)
    adapter.fit(train, folder=folder, budget=Budget(), seed=0, device="cpu", trackers=(), tracked=tracked)
    adapter.save(folder / "model")
    list(cls.load(folder / "model", device="cpu", shape=train.shape).sample(SAMPLES, seed=0))
    cls.end()


WAYS = {"here": in_process, "isolated": isolated}


def measure_here(way: str, options: argparse.Namespace, steps: int) -> None:
    """Run one training in this interpreter, and print its processor seconds."""
    began, cls = time.monotonic(), ModelClass(find_model(options.model)) if way == "isolated" else None
    if cls is not None:
        cls.start()  # as a run does: both processes import at the same time
    import benchmark.evaluation.run_evaluation  # noqa: F401  what an evaluator has in any case

    import_monai()  # and its quality metrics
    started = time.monotonic()
    toy = {**find_model(options.model).toy, "steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        WAYS[way](options.model, cls, toy, split(ITEMS, options.side), Path(folder))
    ended = time.monotonic()
    sys.stdout.write(json.dumps([processor_seconds(), ended - started, ended - began]))


def measured(way: str, options: argparse.Namespace, steps: int) -> tuple[float, ...]:
    """Return the processor seconds of one training in a new interpreter, and those of the clock after its imports and
    with them.
    """
    given = [f"--model={options.model}", f"--side={options.side}", f"--steps={steps}", f"--way={way}"]
    done = subprocess.run([sys.executable, __file__, *given], stdout=subprocess.PIPE, text=True, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def copy_seconds(gib: float) -> float:
    """Return the processor seconds per GiB for a copy of training items."""
    train = split(max(1, round(gib * 2**30 / 2**20)), 1024)
    with tempfile.TemporaryDirectory() as folder:
        before = processor_seconds()
        lent_items(train, Path(folder))
        return (processor_seconds() - before) / (len(train) * 2**20 / 2**30)


def main() -> None:
    """Measure, and print one line per result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vae")
    parser.add_argument("--steps", default="20,220")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gib", type=float, default=0.5)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    lengths = [int(text) for text in options.steps.split(",")]
    if options.way:
        measure_here(options.way, options, lengths[0])
        return
    few, many = lengths
    seconds: dict[tuple[str, int], list[tuple[float, ...]]] = {(way, steps): [] for steps in lengths for way in WAYS}
    for _ in range(options.rounds):
        for way, steps in seconds:
            seconds[way, steps].append(measured(way, options, steps))
    for index, name in enumerate(("processor time", "the clock after the imports", "the clock with the imports")):
        typical = {case: statistics.median(one[index] for one in values) for case, values in seconds.items()}
        step = {way: (typical[way, many] - typical[way, few]) / (many - few) for way in WAYS}
        here, isolated_run = typical["here", few], typical["isolated", few]
        print(f"{name}, {options.model}, {few} steps: {here:.2f} s here, {isolated_run:.2f} s isolated")
        print(f"{name}, per run: {isolated_run - here:+.2f} s")
        print(f"{name}, per step: {step['here']:.4f} s here, ratio {step['isolated'] / step['here']:.3f}")
    print(f"copy of training items: {copy_seconds(options.gib):.2f} s per GiB")


if __name__ == "__main__":
    main()
