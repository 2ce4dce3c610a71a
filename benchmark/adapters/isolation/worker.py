"""The process of a model: imports it, trains it on the items that it is lent, and answers the evaluator.

It is a fork of `keeper.py`, which `process.py` starts in an empty folder.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from benchmark.adapters.isolation.failures import told_of
from benchmark.adapters.isolation.items import borrowed_items
from benchmark.adapters.isolation.messages import Channel, ClosedError, Message
from benchmark.adapters.isolation.watching import DistantWatcher
from benchmark.core.distributed import leave_world, wait_for_all
from benchmark.core.monai_import import VARIABLE
from benchmark.core.options import build, is_required, takes_list
from benchmark.core.public_text import declared_values, free_text_fields
from benchmark.core.seeding import seed_all
from benchmark.core.types import (
    Budget,
    HasFiles,
    HasFoundSettings,
    HasLoss,
    HasNumberedImages,
    HasPrompts,
    HasReconstruction,
    TrainedElsewhere,
    Watchable,
    takes_prompts,
)
from benchmark.plugins.public_names import declared_name
from benchmark.plugins.registry import DECLARED, ModelCard, default_of, load_class, source_files
from benchmark.training.trackers import Tracked, tracking

if TYPE_CHECKING:
    from benchmark.core.types import Array

ANY = 2**62
"""The evaluator is trusted: it may send arrays of any size."""
ABILITIES: dict[str, type[Any]] = {
    "files": HasFiles, "found settings": HasFoundSettings, "loss": HasLoss, "numbered images": HasNumberedImages,
    "reconstruct": HasReconstruction, "watch": Watchable,
}  # fmt: skip
"""Protocols of `core.types` that a model may fulfil, by the names that the evaluator is told."""


class StoppedError(BaseException):
    """The evaluator has asked this process to end; no `except Exception` of a model can catch it."""


@dataclass
class Served:
    """What this process holds: the class of one model, and the one of it that was fitted or loaded last."""

    channel: Channel
    card: ModelCard | None = None
    cls: Any = None
    adapter: Any = None
    batches: Iterator[Any] | None = None

    def build(self, given: Mapping[str, Any]) -> Any:
        """Return a new, untrained model. Raises UsageError, AdapterError."""
        assert self.card is not None
        return build(self.cls, dict(given), what=f"model {self.card.name}")


def class_facts(served: Served, message: Message) -> dict[str, Any]:
    """Import the class of a model, and describe its options and what it declares."""
    served.card = ModelCard.model_validate(message.values["card"])
    os.environ[VARIABLE] = "1" if served.card.folder else ""  # a plugin may need all of MONAI
    served.cls = load_class("models", served.card)
    listed, free = declared_values(served.cls), free_text_fields(served.cls)
    own = [field for field in fields(served.cls) if field.init] if is_dataclass(served.cls) else []
    return {
        "options": [
            {
                "name": field.name, "required": is_required(field), "default": default_of(field),
                "list": takes_list(served.cls, field.name), "listed": listed.get(field.name, ()),
                "text": field.name in free,
            }
            for field in own
        ],
        "declared": {name: getattr(served.cls, name) for name in DECLARED if hasattr(served.cls, name)},
        "public_name": declared_name(served.cls),
        "without_adaptive": dict(getattr(served.cls, "without_adaptive", {})),
        "loaded": [str(file) for file in source_files("models", served.card)],
    }  # fmt: skip


def build_facts(served: Served, message: Message) -> dict[str, Any]:
    """Check settings, and describe the model that they make."""
    return facts_of(served.build(message.values["settings"]))


def facts_of(adapter: Any) -> dict[str, Any]:
    """Describe a model: every hyper-parameter, and what it can do."""
    return {
        "settings": asdict(adapter) if is_dataclass(adapter) and not isinstance(adapter, type) else {},
        "abilities": [name for name, protocol in ABILITIES.items() if isinstance(adapter, protocol)],
        "trained_elsewhere": isinstance(adapter, TrainedElsewhere) and bool(adapter.trained_elsewhere),
    }


def fingerprint(served: Served, message: Message) -> dict[str, Any]:
    """Return the digest of the files of a model, and the settings that it finds in them."""
    adapter = served.build(message.values["settings"])
    return {"fingerprint": str(adapter.fingerprint())}


def found_settings(served: Served, message: Message) -> dict[str, Any]:
    """Return the settings that a model finds in its files."""
    adapter = served.build(message.values["settings"])
    return {"found": {str(name): str(value) for name, value in adapter.found_settings().items()}}


def fit(served: Served, message: Message) -> dict[str, Any]:
    """Train a new model on the items that are lent, with all processes of torchrun, and save it where asked for."""
    given = message.values
    split = borrowed_items(file := served.channel.receive_file(), given["split"])
    os.close(file)  # the map of the items stays
    adapter = served.build(given["settings"])
    if given["watch"]:
        adapter.watched_by(DistantWatcher(partial(_call, served.channel), given["watch"]))
    tracked = Tracked(given["tracked"]["name"], given["tracked"]["settings"], Path(given["tracked"]["folder"]))
    wait_for_all(given["device"])
    with tracking(given["trackers"], tracked):
        adapter.fit(
            split, folder=Path(given["folder"]), budget=Budget(given["budget"]), seed=given["seed"],
            device=given["device"],
        )  # fmt: skip
    leave_world()
    served.adapter = adapter
    return {"peak_bytes": _peak_bytes()}


def save(served: Served, message: Message) -> dict[str, Any]:
    """Write the trained model, and forget it: it is loaded again for sampling."""
    served.adapter.save(Path(message.values["folder"]))
    served.adapter = None
    _free()
    return {}


def load(served: Served, message: Message) -> dict[str, Any]:
    """Load a saved model, and describe it."""
    served.adapter = served.cls.load(Path(message.values["folder"]), device=message.values["device"])
    facts = facts_of(served.adapter)
    prompts = {"prompted": takes_prompts(served.adapter)} if isinstance(served.adapter, HasPrompts) else {}
    return facts | prompts


def available(served: Served, message: Message) -> dict[str, Any]:
    """Return how many images there are."""
    return {"available": int(served.adapter.available())}


def sample(served: Served, message: Message) -> dict[str, Any]:
    """Begin to sample; `next_batch` returns the images."""
    given = message.values
    served.batches = iter(served.adapter.sample(given["count"], seed=given["seed"], prompts=given["prompts"]))
    return {}


def numbered(served: Served, message: Message) -> dict[str, Any]:
    """Begin to read images that exist; `next_batch` returns them."""
    served.batches = iter(served.adapter.numbered(slice(*message.values["part"])))
    return {}


def next_batch(served: Served, message: Message) -> tuple[dict[str, Any], Sequence[Array]]:
    """Return the next batch of images, or nothing after the last one."""
    assert served.batches is not None
    for batch in served.batches:
        return {}, [np.asarray(batch)]
    served.batches = None
    return {}, []


def stop_sampling(served: Served, message: Message) -> dict[str, Any]:
    """Drop the images that are not needed."""
    served.batches = None
    _free()
    return {}


def losses(served: Served, message: Message) -> tuple[dict[str, Any], Sequence[Array]]:
    """Return the loss of each image."""
    return {}, [np.asarray(served.adapter.losses(message.arrays[0], seed=message.values["seed"]))]


def reconstruct(served: Served, message: Message) -> tuple[dict[str, Any], Sequence[Array]]:
    """Return the reconstructions of images; random numbers are drawn from the seed."""
    seed_all(message.values["seed"])
    return {}, [np.asarray(served.adapter.reconstruct(message.arrays[0]))]


def of_pipeline(served: Served, message: Message) -> tuple[dict[str, Any], Sequence[Array]]:
    """Answer a question about a text-to-image pipeline by a function of this package, which the evaluator names."""
    module = importlib.import_module(message.values["module"])
    answer = getattr(module, message.values["function"])(served.adapter.pipeline, *message.values["values"])
    return ({}, [answer]) if isinstance(answer, np.ndarray) else ({"answer": answer}, [])


def check(served: Served, message: Message) -> dict[str, Any]:
    """Run one check of the conformance suite."""
    from benchmark.adapters.conformance import checked_here

    assert served.card is not None
    return {"finding": asdict(checked_here(served.cls, served.card.name, **message.values["trial"]))}


REQUESTS: dict[str, Callable[[Served, Message], Any]] = {
    one.__name__: one
    for one in (
        class_facts, build_facts, fingerprint, found_settings, fit, save, load, available, sample, numbered, next_batch,
        stop_sampling, losses, reconstruct, of_pipeline, check,
    )
}  # fmt: skip


def _call(channel: Channel, name: str, arrays: Sequence[Array] = (), **values: Any) -> Message:
    """Call the evaluator in the middle of a request, and wait for its answer."""
    channel.send({"call": name, **values}, arrays)
    return channel.receive(ANY, ANY)


def serve(served: Served) -> None:
    """Answer requests until the evaluator closes the connection. Whatever a model raises is an answer, too."""
    while True:
        try:
            message = served.channel.receive(ANY, ANY)
        except ClosedError:
            return
        _set_quiet(message.values["quiet"])
        try:
            answer = REQUESTS[message.values["request"]](served, message)
            values, arrays = answer if isinstance(answer, tuple) else (answer, [])
            served.channel.send({"answer": values}, arrays)
        except (ClosedError, StoppedError):
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit of a model, too
            if os.environ.get("BENCH_TRACE"):
                traceback.print_exception(error)
            served.channel.send({"failed": told_of(error)})


def _set_quiet(quiet: bool) -> None:
    if quiet:
        os.environ["BENCH_QUIET"] = "1"
    else:
        os.environ.pop("BENCH_QUIET", None)


def _free() -> None:
    """Give memory back to the device, which the evaluator needs next."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # raised once: what closes files on the way out is not broken off
    raise StoppedError


def _end_with(parent: int) -> None:
    """End this process, and all that it started, within a second of the evaluator: even if that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def main(channel: int, crashes: int, parent: int) -> None:
    """Serve the evaluator, and end when the process `parent`, which has started this one, does.

    Args:
        channel: descriptor of this end of the connection.
        crashes: descriptor of the file that a crash of native code is described in.
        parent: process number.
    """
    faulthandler.enable(crashes)
    os.environ["PYTHONPATH"] = os.environ.pop("BENCH_PYTHONPATH")  # what the model starts has the user's own
    if os.environ.get("BENCH_TRACE"):
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)
    code = 0
    with suppress(StoppedError):  # the signal may also arrive when this ends for another reason
        try:
            serve(Served(Channel(socket.socket(fileno=channel))))
        except (ClosedError, StoppedError):
            code = 128 + signal.SIGTERM
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending
    sys.exit(code)
