"""`bench run --watch`: the watcher that a run gives to its model, and the curve in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.percent import percent
from benchmark.core.progress import Log
from benchmark.evaluation.watch import IN_A_ROW, Watch, open_watch
from benchmark.evaluation.watch_curve import read_curve, write_curve
from benchmark.evaluation.watch_plan import LEAST, PROBE, Allowance, Schedule

if TYPE_CHECKING:
    from benchmark.core.types import Cohort, Images
    from benchmark.runs.watch_options import WatchOptions

CURVE = "curve.parquet"
"""In the run folder: one row per look. Numbers only, no names."""


@dataclass
class RunWatcher:
    """A `training.watching.Watcher` for one run: it holds the held-out images, which the model never gets."""

    options: WatchOptions
    open: Callable[[], Watch]
    """Prepares the real images; called when the training begins, not before the first stage of a model."""
    path: Path
    """Where the curve is."""
    log: Log
    watch: Watch | None = None
    allowance: Allowance = field(default_factory=lambda: Allowance(1.0, 1))
    probed: float = 0.0
    """Seconds of the probe, which are counted with the first look."""
    training: float = 0.0
    """Seconds of training at the last question for samples."""
    steps: int = 1
    """Steps of the whole training."""

    @property
    def may_stop(self) -> bool:
        """Whether it may end the training."""
        return bool(self.options.stop_when)

    @property
    def clean(self) -> bool:
        """Whether the last look found nobody exposed."""
        return self.watch is not None and bool(self.watch.looks) and not self.watch.looks[-1].exposed

    @property
    def should_stop(self) -> bool:
        """Whether the training is to end now."""
        return self.may_stop and self.watch is not None and self.watch.should_stop

    def start(self, done: int, steps: int) -> None:
        """Prepare the real images, and read the looks up to the step from which the training resumes."""
        self.watch, self.steps = self.watch or self.open(), steps
        self.watch.schedule = Schedule(self.options.steps(steps))
        self.watch.looks = [look for look in read_curve(self.path) if look.step <= done]
        self.allowance = Allowance(self.options.budget, self.watch.samples)
        for look in self.watch.looks:
            self.allowance.note(look.samples, look.sampling_seconds or 0.0, look.search_seconds or 0.0)
        self.log(
            f"watch: next look at step {self.watch.next_step} of {steps}; copies of "
            f"{self.watch.needed(len(self.watch.looks) + 1)} patients among its {self.watch.samples} samples are "
            "certain to be seen"
        )

    def wanted(self, step: int, seconds: float) -> int:
        """Return how many samples to draw now: none before the next look is due and can be afforded."""
        if self.watch is None or self.should_stop or not self.watch.due(step):
            return 0
        self.training = seconds
        return self.allowance.affordable(seconds)

    def update(self, step: int, samples: Images, *, sampling_seconds: float) -> Mapping[str, float]:
        """Look at samples (n, C, *spatial), add a row to the curve, and return the numbers to log."""
        assert self.watch is not None
        if self.allowance.per_sample is None and len(samples) == PROBE:
            self.allowance.note(PROBE, sampling_seconds, 0.0)
            self.probed = sampling_seconds
            self._tell_short_budget(sampling_seconds / PROBE, self.training / step * self.steps)
            return {}
        look = self.watch.update(step, samples, sampling_seconds=sampling_seconds)
        self.allowance.note(len(samples), sampling_seconds, look.search_seconds or 0.0)
        if self.probed:
            look = self.watch.looks[-1] = replace(look, sampling_seconds=sampling_seconds + self.probed)
            self.probed = 0.0
        write_curve(self.path, self.watch.looks)
        self.log(f"watch, {look.sentence()}")
        return look.numbers()

    def _tell_short_budget(self, per_sample: float, total: float) -> None:
        """Say at once where the time allows for fewer than two looks in a training of about `total` seconds."""
        share, full = self.options.budget, self.allowance.samples * per_sample
        if share * total < IN_A_ROW * LEAST * full:
            self.log(
                f"watch: a sample takes {per_sample:.2g} s, so that fewer than {IN_A_ROW} looks fit into "
                f"--watch-budget {share:.0%} of about {total:.0f} s; one full look takes "
                f"{percent(full / total, 0)}"
            )


def few_looks(path: Path) -> str:
    """Say so where a run has no curve, or too few looks for an onset to be seen; else nothing."""
    count = len(read_curve(path))
    if count >= IN_A_ROW:
        return ""
    if not count:
        return "watch: no look was made, since the model was trained before, or --watch-budget was too small"
    return "watch: one look only, and an onset takes two: raise --watch-budget, or lower the interval"


def watcher_of(options: WatchOptions, cohort: Cohort, folder: Path, log: Log) -> RunWatcher:
    """Return the watcher of a run."""

    def prepare() -> Watch:
        return open_watch(cohort.train, cohort.heldout, every=1)

    return RunWatcher(options, prepare, folder / CURVE, log)
