"""Looks at a training in another process: the model hands over samples, the evaluator searches and decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import AdapterError

if TYPE_CHECKING:
    from benchmark.adapters.isolation.messages import Message
    from benchmark.core.types import Array, Images, Watcher

Call = Callable[..., "Message"]
"""Calls the evaluator: call(name, arrays, **values)."""


class DistantWatcher:
    """In the process of the model: a `core.types.Watcher` whose answers come from the evaluator."""

    def __init__(self, call: Call, state: Mapping[str, bool]) -> None:
        self._call, self._state = call, state

    @property
    def may_stop(self) -> bool:
        """Whether it may end the training."""
        return self._state["may_stop"]

    @property
    def clean(self) -> bool:
        """Whether the last look found nobody exposed."""
        return self._state["clean"]

    @property
    def should_stop(self) -> bool:
        """Whether the training is to end now."""
        return self._state["should_stop"]

    def start(self, done: int, steps: int) -> None:
        """Say that a training begins or resumes."""
        self._ask("start", done=done, steps=steps)

    def wanted(self, step: int, seconds: float) -> int:
        """Return how many samples to draw now."""
        count: int = self._ask("wanted", step=step, seconds=seconds)
        return count

    def update(self, step: int, samples: Images, *, sampling_seconds: float) -> Mapping[str, float]:
        """Hand over samples (n, C, *spatial), and return the numbers to log."""
        numbers: Mapping[str, float] = self._ask(
            "update", [np.asarray(samples)], step=step, sampling_seconds=sampling_seconds
        )
        return numbers

    def _ask(self, name: str, arrays: Any = (), **values: Any) -> Any:
        answer = self._call(name, arrays, **values)
        self._state = answer.values["state"]
        return answer.values["result"]


def state_of(watcher: Watcher) -> dict[str, bool]:
    """Return what a watcher has decided so far."""
    return {"may_stop": watcher.may_stop, "clean": watcher.clean, "should_stop": watcher.should_stop}


def answer_of(watcher: Watcher, shape: tuple[int, ...], name: str, message: Message) -> dict[str, Any]:
    """Let a watcher answer a call from the process of the model `name`.

    `shape` is that of an item, (C, *spatial). Raises AdapterError for a call that no watcher has, and for samples of
    another shape or type.
    """
    given = message.values
    result: Any = None
    match given["call"]:
        case "start":
            watcher.start(int(given["done"]), int(given["steps"]))
        case "wanted":
            result = watcher.wanted(int(given["step"]), float(given["seconds"]))
        case "update":
            samples = _samples(message, shape, name)
            seconds = float(given["sampling_seconds"])
            result = dict(watcher.update(int(given["step"]), samples, sampling_seconds=seconds))
        case other:
            raise AdapterError(f"{name} asked the evaluator for {other!r}", "a watcher has start, wanted and update")
    return {"result": result, "state": state_of(watcher)}


def _samples(message: Message, shape: tuple[int, ...], name: str) -> Images:
    samples: Array = message.arrays[0] if message.arrays else np.empty(0)
    if samples.shape[1:] != shape or samples.dtype != np.float32:
        raise AdapterError(
            f"{name} handed over samples of shape {samples.shape} and type {samples.dtype} while it trains, where "
            f"(n, {', '.join(map(str, shape))}) and float32 belong",
            "sample() and the watched network must yield images shaped like training",
        )
    return samples
