"""What a part is given: the device, its time, a scratch folder, and where its results are written."""

from __future__ import annotations

import gc
import json
import math
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SkippedError(Exception):
    """Raised where a part, or one of its measurements, is not possible on this machine; the text says why."""


@dataclass(frozen=True)
class Check:
    """A running part. Each result is written at once as a line of JSON, so that a part that is killed loses none."""

    device: str
    """`cpu`, `cuda` or `cuda:N`."""
    tiny: bool
    """Sizes of a rehearsal."""
    folder: Path
    """Scratch files; it is removed afterwards."""
    lines: Path
    ends: float
    """When this part is stopped, by `time.monotonic`."""

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.ends - time.monotonic()

    def measure(self, name: str, value: float, unit: str = "", *, goal: str | None = None, detail: str = "") -> None:
        """Keep a number. One that is not finite is kept as None, which meets no goal."""
        number = float(value) if math.isfinite(value) else None
        self._write({"measure": name, "value": number, "unit": unit, "goal": goal, "detail": detail})

    def missed(self, name: str, unit: str, goal: str, detail: str) -> None:
        """Keep that a number could not be had because the thing failed: this misses the goal."""
        self.measure(name, math.nan, unit, goal=goal, detail=detail)

    def note(self, text: str) -> None:
        """Keep a sentence."""
        self._write({"note": text})

    def fact(self, name: str, value: object) -> None:
        """Keep what the machine or its software is."""
        self._write({"fact": name, "value": value})

    def enough(self, seconds: float, what: str) -> bool:
        """Return whether this many seconds are left; where not, keep that `what` was left out."""
        if self.left() >= seconds:
            return True
        self.note(f"left out: {what} ({max(0.0, self.left()):.0f} s left, {seconds:.0f} s needed)")
        return False

    @contextmanager
    def trying(self, what: str, *goals: str) -> Iterator[None]:
        """Let what goes wrong inside end this block alone: its stack trace goes to the log, one line to the findings.

        The goals that it would have been measured for are missed: they must not be met by what else went well. Not so
        KeyboardInterrupt and the like.
        """
        try:
            yield
        except SkippedError as reason:
            self.note(f"skipped: {what}: {reason}")
        except Exception as error:  # noqa: BLE001  the other measurements of these minutes must not be lost
            traceback.print_exc()
            sys.stderr.flush()
            self._write({"failed": f"{what}: {first_line(error)}"})
            for goal in goals:
                self.missed(what, "", goal, first_line(error))
        finally:
            _free(self.cuda)

    def _write(self, finding: dict[str, Any]) -> None:
        text = json.dumps(finding, allow_nan=False, default=str)
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text, flush=True)


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:300]


def _free(cuda: bool) -> None:
    """Give back what a failure may have left on the device."""
    gc.collect()
    if cuda and "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()
