"""The options of `bench run --watch`, checked before anything is read or trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmark.core.errors import UsageError
from benchmark.core.types import Watchable

if TYPE_CHECKING:
    from benchmark.runs.config import RunConfig

BUDGET = "10%"
STOPS = ("exposed",)


@dataclass(frozen=True)
class WatchOptions:
    """What `--watch`, `--watch-budget` and `--stop-when` say."""

    every: int | float
    """Steps (a whole number), or a share of the training (a fraction)."""
    budget: float
    """Share of the training time that sampling may take."""
    stop_when: Literal["", "exposed"]

    def steps(self, total: int) -> int:
        """Return the shortest interval for a training of so many steps, at least 1."""
        return self.every if isinstance(self.every, int) else max(1, math.ceil(self.every * total))


def watch_options(config: RunConfig) -> WatchOptions | None:
    """Read the options of a run; nothing where it is not watched. Raises UsageError."""
    if config.watch is None:
        for name, value in (("--watch-budget", config.watch_budget), ("--stop-when", config.stop_when)):
            if value is not None:
                raise UsageError(f"{name} {value} was given without --watch", "add --watch, such as --watch 5%")
        return None
    stop_when: Any = config.stop_when or ""
    if stop_when and stop_when not in STOPS:
        raise UsageError(f"--stop-when does not know {stop_when!r}", f"it knows: {', '.join(STOPS)}")
    return WatchOptions(_interval(config.watch), _share(config.watch_budget or BUDGET), stop_when)


def require_watchable(name: str, adapter: object) -> None:
    """Raise UsageError for a model that a watcher cannot look at."""
    if not isinstance(adapter, Watchable):
        raise UsageError(
            f"--watch does not work with {name}: it draws no samples while it trains",
            "leave it out; a training loop of your own can use memobench.watch (docs/watching.md)",
        )


def _interval(text: str) -> int | float:
    share = _percent(text)
    if share is not None and 0 < share <= 1:
        return share
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(
        f"--watch {text} is no interval", "give steps, such as 500, or a share of the training, such as 5%"
    )


def _share(text: str) -> float:
    share = _percent(text)
    if share is None or share <= 0:
        raise UsageError(f"--watch-budget {text} is no share of the training time", "give a percentage, such as 10%")
    return share


def _percent(text: str) -> float | None:
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else None
    except ValueError:
        return None
    return share if share is None or math.isfinite(share) else None
