"""Run by test_isolation under torchrun: each process has a process of the model, and these train together."""

import os
import sys
from pathlib import Path

import numpy as np

from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.core.types import Budget, Split
from benchmark.plugins.registry import find_model
from benchmark.training.trackers import Tracked

if __name__ == "__main__":
    out, rank = Path(sys.argv[1]), os.environ["RANK"]
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 16, 16)).astype(np.uint8)
    names = tuple(map(str, range(16)))
    train = Split(name="train", pixels=pixels, rows=np.arange(16), subjects=names, items=names, channels=("x",))
    card = find_model("vae")
    cls = ModelClass(card)
    adapter = cls.build({**card.toy, "batch_size": 4})
    tracked = Tracked("job", {}, out)
    adapter.fit(train, folder=out / "fit", budget=Budget(), seed=0, device="cpu", trackers=(), tracked=tracked)
    (out / rank).mkdir()
    adapter.save(out / rank)
    cls.end()
    assert "torch" not in sys.modules
