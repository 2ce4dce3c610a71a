"""A model, a data set and a detector of a user's own, whose names and texts a test fills with canaries."""

SOURCE = '''
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.datasets.folder.dataset import Folder
from benchmark.detectors.pixels import Options


@dataclass
class {model}:
    """Draws noise; its settings are text."""

    note: str = "{default}"
    mode: Literal["calm", "wild"] = "calm"
    size: int = 32

    def fit(self, train, *, folder, budget, seed, device):
        if self.note.endswith("fails"):
            raise ValueError("{error}")

    def sample(self, count, *, seed, prompts=None):
        yield np.random.default_rng(seed).uniform(-1, 1, (count, 1, self.size, self.size)).astype(np.float32)

    def save(self, folder):
        (folder / "note.txt").write_text(self.note)

    @classmethod
    def load(cls, folder, *, device):
        return cls(note=(folder / "note.txt").read_text())


@dataclass(frozen=True, kw_only=True)
class {data}(Folder):
    """A folder of images with a remark and a channel of its own."""

    hospital: str = ""

    @property
    def channels(self):
        return ("{channel}",)

    def remarks(self, root):
        return {{**super().remarks(root), "{remark}": ["{error}"]}}


@dataclass(frozen=True)
class {detector}(Options):
    """Pixels, under another name."""

    scanner: str = ""
    label = "{label}"
'''
