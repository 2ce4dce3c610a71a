"""A stand-in for a model: what it is asked for is done in the process of the model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.adapters.isolation.items import lent_items
from benchmark.adapters.isolation.watching import answer_of, state_of
from benchmark.core.errors import AdapterError
from benchmark.core.files import absolute

if TYPE_CHECKING:
    from benchmark.adapters.isolation.model_class import ModelClass
    from benchmark.core.types import Array, Budget, Images, Split, Watcher
    from benchmark.training.trackers import Tracked

BATCH = 500
"""Most samples in a batch; two chunks of `adapters.sampling`."""
LARGEST_TYPE = 16
"""Bytes of the largest number that an array may hold (complex128): it is refused by its type, not by its size."""


class IsolatedModel:
    """Stands for a model; it has the methods of a protocol of `core.types` where the model has them.

    Args:
        cls: its class.
        facts: what the process says of this model.
        given: the settings from which it is built there again.
    """

    def __init__(
        self, cls: ModelClass, facts: Mapping[str, Any], given: Mapping[str, Any], shape: tuple[int, ...] = ()
    ) -> None:
        self._cls, self._given, self._item = cls, given, LARGEST_TYPE * math.prod(shape)
        self._seed, self._watcher = 0, self._nobody()
        self._found: dict[str, str] | None = None
        self.settings: dict[str, Any] = {name: as_tuples(value) for name, value in facts["settings"].items()}
        """Every hyper-parameter, defaults included."""
        self.trained_elsewhere = bool(facts["trained_elsewhere"])
        methods: dict[str, dict[str, Any]] = {
            "files": {"fingerprint": self._fingerprint}, "found settings": {"found_settings": self._found_settings},
            "loss": {"losses": self._losses}, "reconstruct": {"reconstruct": self._reconstruct},
            "numbered images": {"available": self._available, "numbered": self._numbered},
            "watch": {"watched_by": self._watched_by},
        }  # fmt: skip
        # `isinstance` with a protocol looks for attributes: a model has those of its abilities alone.
        for ability in facts["abilities"]:
            for name, method in methods[ability].items():
                setattr(self, name, method)
        if "prompted" in facts:
            self.prompted = bool(facts["prompted"])

    def fit(
        self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str, trackers: Sequence[str],
        tracked: Tracked,
    ) -> int:  # fmt: skip
        """Train on a copy of the training items, and return the greatest memory of the process in bytes.

        Raises BenchError: what the model raised, or how its process ended.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file, told = lent_items(train, folder)
        values = {
            "settings": self._given, "split": told, "folder": str(absolute(folder)), "budget": budget.seconds,
            "seed": seed, "device": device, "watch": state_of(self._watcher) if self._watcher else None,
            "trackers": list(trackers),
            "tracked": {
                "name": tracked.name, "settings": dict(tracked.settings), "folder": str(absolute(tracked.folder)),
            },
        }  # fmt: skip
        answering, most = None, BATCH * LARGEST_TYPE * math.prod(train.shape)
        if self._watcher:
            answering = partial(answer_of, self._watcher, train.shape, self._name)
        try:
            answer = self._cls.ask("fit", "fit", values, work=True, file=file, answering=answering, most=most)
        finally:
            os.close(file)
        return int(answer.values["answer"]["peak_bytes"])

    def save(self, folder: Path) -> None:
        """Let the model write what `ModelClass.load` needs."""
        self._cls.ask("save", "save", {"folder": str(absolute(folder))}, work=True)

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield images in batches (n, C, *spatial), as they come: not checked."""
        values = {"count": count, "seed": seed, "prompts": None if prompts is None else list(prompts)}
        return self._batches("sample", values)

    def seed_all(self, seed: int) -> None:
        """Draw the random numbers of the next `reconstruct` from this seed."""
        self._seed = seed

    @property
    def _name(self) -> str:
        return self._cls.name

    def _batches(self, request: str, values: Mapping[str, Any]) -> Iterator[Images]:
        self._cls.ask(request, "sample", values, work=True)
        try:
            while arrays := self._cls.ask("next_batch", "sample", {}, work=True, most=BATCH * self._item).arrays:
                yield arrays[0]
        except GeneratorExit:  # the caller has enough
            self._cls.ask("stop_sampling", "sample", {}, work=True)
            raise

    def _numbered(self, part: slice) -> Iterator[Images]:
        return self._batches("numbered", {"part": [part.start, part.stop]})

    def _available(self) -> int:
        return int(self._cls.ask("available", "sample", {}, work=True).values["answer"]["available"])

    def _losses(self, images: Images, *, seed: int) -> Array:
        """Return one loss per image, (N,); images (N, C, *spatial). Raises AdapterError for anything else."""
        answer = self._cls.ask("losses", "losses", {"seed": seed}, arrays=[images], work=True, most=16 * len(images))
        losses = answer.arrays[0]
        if losses.shape != (len(images),) or losses.dtype.kind not in "iuf":
            raise AdapterError(
                f"{self._name} returned losses of shape {losses.shape} and type {losses.dtype} for {len(images)} "
                "images",
                "losses() must return one number per image",
            )
        return losses

    def _reconstruct(self, images: Images) -> Images:
        """Map images (N, C, *spatial) to what the model's autoencoder makes of them: not checked."""
        answer = self._cls.ask(
            "reconstruct",
            "reconstruct",
            {"seed": self._seed},
            arrays=[images],
            work=True,
            most=LARGEST_TYPE * images.size,
        )
        return answer.arrays[0]

    def _fingerprint(self) -> str:
        answer = self._cls.ask("fingerprint", "fingerprint", {"settings": self._given})
        return str(answer.values["answer"]["fingerprint"])

    def _found_settings(self) -> dict[str, str]:
        """Return what the model finds in its files, asked once: a record is written when its process has ended."""
        if self._found is None:
            answer = self._cls.ask("found_settings", "found_settings", {"settings": self._given})
            settings = answer.values["answer"]["found"]
            self._found = {str(name): str(value) for name, value in settings.items()}
        return dict(self._found)

    def _nobody(self) -> Watcher | None:
        return None

    def _watched_by(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def of_pipeline(self, module: str, function: str, *values: Any) -> Any:
        """Return what a function of this package says of the model's pipeline, an array or values of JSON."""
        asked = {"module": module, "function": function, "values": values}
        answer = self._cls.ask("of_pipeline", "prompts", asked, work=True, most=2**24)
        return answer.arrays[0] if answer.arrays else answer.values["answer"]["answer"]


def as_tuples(value: Any) -> Any:
    """Return a value of JSON with its lists as tuples, as hyper-parameters have them."""
    return tuple(as_tuples(one) for one in value) if isinstance(value, list) else value
