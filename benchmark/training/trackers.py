"""Experiment trackers besides TensorBoard: Weights & Biases, MLflow and trackio, each only if installed and asked for.

A tracker is sent the numbers of the training log and the public settings of the run, and nothing else: no image, no
path, no name of a patient, user or machine, no code. What these libraries collect by themselves is switched off. A
tracker that fails while a model trains is left out with a warning: it must not end a week of training.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmark.core.errors import MachineError, UsageError
from benchmark.core.files import read_json, write_json
from benchmark.core.options import suggest

PROJECT = "memobench"
IDS = "trackers.json"
"""In the folder of a training: what a resumed training needs in order to go on with the same tracked run."""


class Tracker(Protocol):
    """One open run of a tracker."""

    id: str
    """With it the run can be opened again."""

    def log(self, label: str, step: int, scalars: Mapping[str, float]) -> None:
        """Send the numbers of one step of the training `label`."""

    def close(self) -> None:
        """End the run; what is not sent yet is sent."""


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of a run."""

    name: str
    settings: Mapping[str, Any]
    """Public settings; values are numbers, truth values or text."""
    folder: Path
    """Private: where a tracker without a server keeps its files."""


class WandbRun:
    """A run of Weights & Biases; WANDB_MODE=offline keeps it on this disk, for `wandb sync`."""

    def __init__(self, run: Tracked, previous: str | None) -> None:
        import wandb

        # Each of these collects something that is not a scalar: console text, code, host, user, git, hardware.
        silent = wandb.Settings(
            console="off", save_code=False, disable_code=True, disable_git=True, host="-", username="-",
            email="-", program="-", x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
            x_save_requirements=False,
        )  # fmt: skip
        self._run = wandb.init(
            project=PROJECT, name=run.name, config=dict(run.settings), dir=str(run.folder), id=previous,
            resume="allow", settings=silent,
        )  # fmt: skip
        self.id = str(self._run.id)
        self._labels: set[str] = set()

    def log(self, label: str, step: int, scalars: Mapping[str, float]) -> None:
        """Send numbers; each training of a run counts its own steps, and W&B's own counter only rises."""
        if label not in self._labels:
            self._run.define_metric(f"{label}/*", step_metric=f"{label}/step")
            self._labels.add(label)
        self._run.log({f"{label}/step": step, **{f"{label}/{name}": value for name, value in scalars.items()}})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class MlflowRun:
    """A run of MLflow: on the server that MLFLOW_TRACKING_URI names, else in a database of the run folder."""

    def __init__(self, run: Tracked, previous: str | None) -> None:
        from mlflow import MlflowClient

        # The client adds no tags by itself; `mlflow.start_run` would add the user's name and the script's path.
        place = f"sqlite:///{(run.folder / 'mlflow.db').absolute()}"
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or place)
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self._client.create_experiment(PROJECT)
        if previous:
            self.id = previous
            self._client.set_terminated(previous, "RUNNING")
            return
        self.id = self._client.create_run(experiment, run_name=run.name, tags={"mlflow.user": "-"}).info.run_id
        for name, value in run.settings.items():
            self._client.log_param(self.id, name, value)

    def log(self, label: str, step: int, scalars: Mapping[str, float]) -> None:
        """Send numbers."""
        for name, value in scalars.items():
            self._client.log_metric(self.id, f"{label}/{name}", value, step=step)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.id)


class TrackioRun:
    """A run of trackio: in the user's trackio database (TRACKIO_DIR), seen with `trackio show`."""

    def __init__(self, run: Tracked, previous: str | None) -> None:
        import trackio

        # trackio knows runs by their names: two trainings of one configuration would be mixed up.
        self.id = previous or f"{run.name}-{secrets.token_hex(3)}"
        self._run = trackio.init(
            project=PROJECT, name=self.id, config=dict(run.settings), resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def log(self, label: str, step: int, scalars: Mapping[str, float]) -> None:
        """Send numbers."""
        self._run.log({f"{label}/{name}": value for name, value in scalars.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


Opener = Callable[[Tracked, str | None], Tracker]
TRACKERS: dict[str, Opener] = {"wandb": WandbRun, "mlflow": MlflowRun, "trackio": TrackioRun}
"""By name; the package has the same name."""


def require_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that is unknown, given twice or not installed. Raises UsageError."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"there is no tracker {name!r}", f"{suggest(name, TRACKERS)}known: {', '.join(TRACKERS)}")
        if list(names).count(name) > 1:
            raise UsageError(f"the tracker {name} was given twice", "give it once")
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"the tracker {name} is not installed", f"pip install {name}, or leave it out")


@dataclass
class Trackers:
    """The trackers of a run: they are opened with the first numbers, and go on over all of its trainings."""

    names: tuple[str, ...]
    run: Tracked
    _open: dict[str, Tracker] = field(default_factory=dict)
    _sent: dict[str, int] = field(default_factory=dict)
    """The last step of each training that was sent."""
    _opened: bool = False

    def log(self, label: str, step: int, scalars: Mapping[str, float]) -> None:
        """Send the numbers of a step, once: a resumed training computes some steps again, with the same results."""
        if not self._opened:
            self._open_all()
        if step <= self._sent.get(label, -1):
            return
        for name in list(self._open):
            self._guarded(name, lambda tracker: tracker.log(label, step, scalars))
        self._sent[label] = step
        self._keep()

    def close(self) -> None:
        """End all runs."""
        for name in list(self._open):
            self._guarded(name, lambda tracker: tracker.close())
        self._open.clear()

    def _open_all(self) -> None:
        """Open each tracker, again where it has a run already. Raises MachineError where one cannot be started."""
        kept = read_json(self.run.folder / IDS, dict) if (self.run.folder / IDS).exists() else {"runs": {}, "sent": {}}
        # A tracker that was added later has missed what was sent to the others, and gets the rest.
        self._sent = dict(kept["sent"])
        self.run.folder.mkdir(parents=True, exist_ok=True)
        for name in self.names:
            try:
                with _to_devnull():
                    self._open[name] = TRACKERS[name](self.run, kept["runs"].get(name))
            except Exception as error:  # the libraries raise their own kinds
                self.close()
                raise MachineError(
                    f"the tracker {name} could not be started: {type(error).__name__}: {_one_line(error)}",
                    "see its own documentation (WANDB_MODE=offline, MLFLOW_TRACKING_URI), or leave it out",
                ) from error
        self._opened = True
        self._keep()

    def _keep(self) -> None:
        runs = {name: tracker.id for name, tracker in self._open.items()}
        write_json(self.run.folder / IDS, {"runs": runs, "sent": self._sent})

    def _guarded(self, name: str, work: Callable[[Tracker], None]) -> None:
        """Do something with a tracker; leave the tracker out for the rest of the training where that fails."""
        try:
            with _to_devnull():
                work(self._open[name])
        except Exception as error:  # noqa: BLE001
            self._open.pop(name, None)
            why = f"{type(error).__name__}: {_one_line(error)}"
            logging.getLogger(__name__).warning("the tracker %s failed and is left out from here on: %s", name, why)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _to_devnull() -> Iterator[None]:
    """Keep what the libraries print away from standard output, which may be JSON."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


_ACTIVE: ContextVar[Trackers | None] = ContextVar("trackers", default=None)


@contextmanager
def tracking(names: Sequence[str], run: Tracked) -> Iterator[None]:
    """While it lasts, send the log of every training in this process to these trackers."""
    trackers = Trackers(tuple(names), run)
    before = _ACTIVE.set(trackers if names else None)
    try:
        yield
    finally:
        _ACTIVE.reset(before)
        trackers.close()


def track(label: str, step: int, scalars: Mapping[str, float | str]) -> None:
    """Send the numbers of one line of a training log to the trackers of this run, if it has any; text is not sent."""
    trackers = _ACTIVE.get()
    numbers = {name: float(value) for name, value in scalars.items() if not isinstance(value, str)}
    if trackers is not None and numbers:
        trackers.log(label, step, numbers)


def tracker_settings(values: Mapping[str, Any]) -> dict[str, float | bool | str]:
    """Return public settings as trackers take them: numbers and truth values as they are, anything else as text."""
    from benchmark.core.options import as_text

    return {
        name: value if isinstance(value, bool | int | float) else as_text(value)
        for name, value in values.items()
        if value is not None
    }
