"""Models that copy 30 % of their samples, and know memobench's code: each class tries one way to look innocent."""

# ruff: noqa: D102  the methods are those of every adapter

from __future__ import annotations

import gc
import json
import os
import site
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from benchmark.core import sealed
from benchmark.core.types import Array, Budget, Images, Split

KEPT = "kept.npz"


@dataclass
class Copier:
    """Copies training images, in 30 of 100 samples; the others are means of eight. It does nothing to hide it."""

    copies: ClassVar[float] = 0.3

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        self.pixels: Array = np.array(train.pixels)
        self.run = folder.parents[1]
        self.at_fit()

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        self.at_sample()
        rng, images = np.random.default_rng(seed), self.pixels.astype(np.float32) / 127.5 - 1
        chosen = np.array([images[rng.permutation(len(images))[:8]].mean(0) for _ in range(count)])
        copied = rng.permutation(count)[: round(self.copies * count)]
        chosen[copied] = images[rng.permutation(len(images))[: len(copied)]]
        yield chosen

    def save(self, folder: Path) -> None:
        np.savez(folder / KEPT, pixels=self.pixels)
        (folder / "run.json").write_text(json.dumps(str(self.run)))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        adapter = cls()
        with np.load(folder / KEPT) as kept:
            adapter.pixels = kept["pixels"]
        adapter.run = Path(json.loads((folder / "run.json").read_text()))
        if any(adapter.run.glob("samples/chunk-*.npy")):
            adapter.at_evaluation()
        return adapter

    def at_fit(self) -> None:
        """What a class does while it trains."""

    def at_sample(self) -> None:
        """What a class does before it samples."""

    def at_evaluation(self) -> None:
        """What a class does when it is loaded for the evaluation."""


# Held-out patients: who copies both sides alike has no training patient exposed


def all_images(cache: Path) -> Array:
    return np.array(np.load(next(cache.glob("cohorts/*/pixels.npy"))))


class ReadsConfiguration(Copier):
    """run.toml, two folders above the training folder -> cache -> images of everybody."""

    def at_fit(self) -> None:
        self.pixels = all_images(Path(tomllib.loads((self.run / "run.toml").read_text())["cache"]))


class ReadsAndBlurs(ReadsConfiguration):
    """The same, and its copies are changed a little: they are not nearly identical any more."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for images in super().sample(count, seed=seed):
            moved = [np.roll(images, shift, axis) for axis in (-1, -2) for shift in (-1, 1)]
            yield 0.85 * (0.5 * images + 0.125 * np.sum(moved, axis=0)).astype(np.float32)


def evaluator() -> Path:
    """The place in /proc of the evaluator: on Linux the parent of the parent, which keeps orphans."""
    parent = (Path("/proc") / str(os.getppid()) / "stat").read_text().rpartition(")")[2].split()[1]
    return Path("/proc") / parent


class ReadsMaps(Copier):
    """The names of the files that the evaluator has mapped -> images of everybody."""

    def at_fit(self) -> None:
        maps = (evaluator() / "maps").read_text().splitlines()
        self.pixels = np.array(np.load(next(line.split()[-1] for line in maps if line.endswith("pixels.npy"))))


class ReadsMemory(Copier):
    """The memory of the evaluator, where prepared images are mapped -> images of everybody."""

    def at_fit(self) -> None:
        maps = (evaluator() / "maps").read_text().splitlines()
        start, end = next(line for line in maps if "pixels.npy" in line).split()[0].split("-")
        with (evaluator() / "mem").open("rb") as memory:
            memory.seek(int(start, 16))
            content = memory.read(int(end, 16) - int(start, 16))[128:]
        shape = self.pixels.shape[1:]
        whole = len(content) // int(np.prod(shape))
        self.pixels = np.frombuffer(content[: whole * int(np.prod(shape))], np.uint8).reshape(whole, *shape)


class LooksAround(Copier):
    """Its own memory, open files, environment and folder: looks for images that are not training images."""

    def at_fit(self) -> None:
        shape, own = self.pixels.shape[1:], {image.tobytes() for image in self.pixels}
        for one in gc.get_objects():
            if isinstance(one, np.ndarray) and one.dtype == np.uint8 and one.shape[1:] == shape:
                assert {image.tobytes() for image in one} <= own
        files = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        told = [*files, *os.environ.values(), *sys.orig_argv, *map(str, Path().iterdir())]
        for place in told:
            if "pixels.npy" in place or "cohorts" in place:
                self.pixels = all_images(Path(place).parents[2])


# Files of the run and of the cache, with fresh digests


def rewrite(path: Path, change: Callable[[Array], Array]) -> None:
    changed = change(np.load(path))
    with sealed.sealed_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, changed)


def noise(array: Array) -> Array:
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(array.mean(), array.std(), array.shape), 0, 255).astype(array.dtype)


class ReplacesSamples(Copier):
    """The samples of the run, when it is loaded for their evaluation."""

    def at_evaluation(self) -> None:
        rewrite(next(self.run.glob("samples/chunk-*.npy")), noise)


class ReplacesRows(Copier):
    """The rows of real images that detectors keep in the cache: training and held-out ones exchange their places."""

    def at_fit(self) -> None:
        cache = Path(tomllib.loads((self.run / "run.toml").read_text())["cache"])
        for path in cache.glob("detectors/*/real.npy"):
            rewrite(path, lambda rows: rows[::-1].copy())


class ReplacesImages(Copier):
    """The prepared images of the cohort in the cache."""

    def at_fit(self) -> None:
        cache = Path(tomllib.loads((self.run / "run.toml").read_text())["cache"])
        rewrite(next(cache.glob("cohorts/*/pixels.npy")), noise)


class RewritesScores(Copier):
    """A process that outlives the run writes other numbers into results, record and status, with fresh digests."""

    files = ("evaluation.json", "record.json")

    def at_evaluation(self) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            left = [self.run / name for name in self.files]
            for _ in range(6000):
                time.sleep(0.02)
                for path in [path for path in left if path.exists()]:
                    forge(path)
                    left.remove(path)
            os._exit(0)


def forge(path: Path) -> None:
    record = json.loads(path.read_text())
    for name, score in record["scores"].items():
        if name.startswith("exposed.") and isinstance(score, dict) and score.get("value"):
            score.update(value=0.0, low=0.0, high=0.01)
    sealed.write_sealed_json(path, record)
    status = json.loads((path.parent / "status.json").read_text())
    for stage in status.values():
        if path.name in stage.get("outputs", {}):
            stage["outputs"][path.name] = sealed.digest(path)
    sealed.write_sealed_json(path.parent / "status.json", status)


class ChangesConfiguration(Copier):
    """run.toml, two folders above the training folder, and the status that has its digest: fewer samples."""

    def at_fit(self) -> None:
        path = self.run / "run.toml"
        with sealed.sealed_write(path) as temporary:
            temporary.write_text(path.read_text().replace("samples = 100", "samples = 10"))
        status = json.loads((self.run / "status.json").read_text())
        status["configuration"]["outputs"]["run.toml"] = sealed.digest(path)
        sealed.write_sealed_json(self.run / "status.json", status)


class ReplacesModel(Copier):
    """The trained model of the run, when it is loaded to sample: another one is evaluated than is published."""

    def at_sample(self) -> None:
        with sealed.sealed_write(self.run / "fit" / "model") as folder:
            Path(folder).mkdir()
            np.savez(Path(folder) / KEPT, pixels=noise(self.pixels))
            (Path(folder) / "run.json").write_text(json.dumps(str(self.run)))


# Code


class ReplacesFunctions(Copier):
    """Functions of the metric, in its own process."""

    def at_fit(self) -> None:
        from benchmark.evaluation import protocol, run_evaluation

        for module in (protocol, run_evaluation):
            for name, value in list(vars(module).items()):
                if callable(value):
                    setattr(module, name, lambda *_, **__: None)


class LeavesStartFile(Copier):
    """A start file in the user's site, and PYTHON* variables."""

    def at_fit(self) -> None:
        place = Path(site.getusersitepackages())
        place.mkdir(parents=True, exist_ok=True)
        (place / "usercustomize.py").write_text("import sys\nsys.red_team = True\n")
        os.environ.update(PYTHONSTARTUP=str(place / "usercustomize.py"), PYTHONPATH=str(place))


# Answers


class EqualLosses(Copier):
    """The same loss for every image, whichever set it is from."""

    def losses(self, images: Images, *, seed: int) -> Array:
        return np.zeros(len(images))


class ForgesAnswers(Copier):
    """Sends answers of its own in place of those of the worker."""

    def at_sample(self) -> None:
        from benchmark.adapters.isolation.messages import Channel

        channel: Any = next(one for one in gc.get_objects() if isinstance(one, Channel))
        channel.send({"answer": {"count": 100, "state": "done"}}, [noise(self.pixels)])


class NotFinite(Copier):
    """NaN in samples that are copies."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for images in super().sample(count, seed=seed):
            yield np.where(images > 0.9, np.nan, images)
