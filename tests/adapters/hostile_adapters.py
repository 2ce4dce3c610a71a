"""Adapters that reach for what is not theirs, or end their process, each in one way. They need no torch."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmark.core.types import Array, Budget, Images, Split


@dataclass
class Grey:
    """Keeps the shape of an item, and draws one grey value per sample."""

    where: str = "fit"
    """When it does what its class is for: fit, sample or load."""
    shape: tuple[int, ...] = ()

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        self.shape = train.shape
        self.do("fit")

    def do(self, stage: str) -> None:
        if stage == self.where:
            self.act()

    def act(self) -> None:
        """What the class is for."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        self.do("sample")
        levels = np.random.default_rng(seed).uniform(-1, 1, (count, *[1] * len(self.shape)))
        yield np.broadcast_to(levels, (count, *self.shape)).astype(np.float32)

    def save(self, folder: Path) -> None:
        (folder / "grey.json").write_text(json.dumps([self.where, self.shape]))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        where, shape = json.loads((folder / "grey.json").read_text())
        return cls(where, tuple(shape))


# What is not theirs


class Writes(Grey):
    """Overwrites its training items, by every way that careless code takes."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)
        refused = []
        for way in (write_pixels, make_writeable, write_file):
            try:
                way(train)
            except (ValueError, AttributeError, OSError) as error:
                refused.append(f"{way.__name__}: {error}")
        rng = np.random.default_rng(0)
        rng.shuffle(train.rows)
        (folder / "refused.json").write_text(json.dumps(refused))


def write_pixels(train: Split) -> None:
    train.pixels[:] = 0


def make_writeable(train: Split) -> None:
    train.pixels.setflags(write=True)


def write_file(train: Split) -> None:
    with open(train.pixels.filename, "r+b") as file:  # noqa: PTH123
        file.write(b"0" * 4000)


class Looks(Grey):
    """Writes down all that it can find in its process without guessing: for the test to search."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)
        arrays = [one for one in gc.get_objects() if isinstance(one, np.ndarray)]
        for one in [*arrays, train.pixels]:
            while isinstance(getattr(one, "base", None), np.ndarray):
                one = one.base
            arrays.append(one)
        seen: dict[str, Any] = {
            "files": list_files(),
            "maps": Path("/proc/self/maps").read_text(),
            "environment": dict(os.environ), "arguments": [sys.orig_argv, sys.argv], "here": str(Path.cwd()),
            "beside": [str(path) for path in Path().iterdir()], "path": sys.path,
            "modules": [name for name in sys.modules if name.startswith(("benchmark.cohorts", "benchmark.evaluation"))],
            "split": {name: repr(value) for name, value in vars(train).items() if name != "pixels"},
            "items": len(train.pixels), "bytes": sum(int((one == 77).sum()) for one in arrays if one.dtype == "u1"),
        }  # fmt: skip
        (folder / "seen.json").write_text(json.dumps(seen))


def list_files() -> list[str]:
    return [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]


# Ends of a process


class Exits(Grey):
    def act(self) -> None:
        sys.exit(0)


class ExitsAtOnce(Grey):
    def act(self) -> None:
        os._exit(0)


class Crashes(Grey):
    def act(self) -> None:
        ctypes.string_at(0)


class Killed(Grey):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Raises(Grey):
    def act(self) -> None:
        raise ZeroDivisionError("the learning rate was 0")


class ClosesAll(Grey):
    def act(self) -> None:
        os.closerange(3, 256)
        time.sleep(60)


class Waits(Grey):
    """Starts a process of its own, and never comes to an end."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        if (child := os.fork()) == 0:
            time.sleep(600)
        (folder / "begun").write_text(f"{os.getpid()} {child}\n")
        time.sleep(600)


class Leaves(Grey):
    """Leaves a process behind, in a session of its own and without a parent."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writing, b"%d" % os.getpid())
                time.sleep(600)
            os._exit(0)
        os.waitpid(child, 0)
        (folder / "begun").write_text(f"{os.getpid()} {os.read(reading, 16).decode()}\n")


# Samples


class Endless(Grey):
    """Never stops, and yields lists of lists."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        while True:
            yield np.zeros((3, *self.shape), np.float32).tolist()


class GreyLevels(Grey):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        return [np.zeros((count, *self.shape), np.uint8)]  # type: ignore[return-value]


class Complex(Grey):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        yield np.zeros((count, *self.shape), np.complex64)


class Huge(Grey):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        yield np.zeros((1000 * count, *self.shape), np.float32)


class Objects(Grey):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        yield np.full((count, *self.shape), None)


class WrongLosses(Grey):
    def losses(self, images: Images, *, seed: int) -> Array:
        return np.ones((len(images), 2), np.float32)


@dataclass
class Reads(Grey):
    path: str = ""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)
        (folder / "read").write_text(Path(self.path).read_text())
