"""What an audit or a run answers: verdict, numbers, suspects, and pages for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.api import tables
from benchmark.api.temporary import TemporaryFolder
from benchmark.core.errors import MissingDataError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from benchmark.api.saved import SavedSet
    from benchmark.runs.audit import Audit


class Interval(NamedTuple):
    """A number with its 95 % interval; None where nobody can tell."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Verdict:
    """The answer in one sentence; `print` shows it."""

    kind: str
    """`hold`, `nothing found` or `cannot tell`."""
    sentence: str
    exit_code: int
    """As `bench audit` ends: 0 nothing found, and a share of `must_see` would have been seen; 10 copies found; 11
    cannot tell; 12 nothing found, but that share might have stayed unseen; 13 nothing found, but more than `fail_above`
    may be copies."""
    seen: float | None
    """The smallest share of copies that would have been seen with 95 % power."""
    suspects: int
    """Synthetic images to withhold."""

    def __str__(self) -> str:
        return f"{self.kind.upper()}: {self.sentence}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """The answer of an audit or of a run, without images."""

    summary: Mapping[str, Any]
    """Everything that may be published: verdict, counts, every score; no names, paths or images."""
    suspects: pd.DataFrame
    """One row per synthetic image to withhold, the most certain first. Private: it names patients."""
    notes: tuple[str, ...] = ()
    """What was said on the way. Private: it may hold names."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.verdict}>"

    @property
    def verdict(self) -> Verdict:
        """The answer."""
        return Verdict(**{**self.summary["verdict"], "sentence": tables.sentence(self.summary)})

    @property
    def exit_code(self) -> int:
        """The exit code of the verdict."""
        return self.verdict.exit_code

    @property
    def exposed(self) -> Interval:
        """The share of the synthetic images that are copies, of the detector with the largest lower end."""
        return self._worst("exposed.items")

    @property
    def exposed_patients(self) -> Interval:
        """The number of training patients of whom there are copies, of the same detector."""
        return self._worst("exposed.patients")

    @property
    def scores(self) -> pd.DataFrame:
        """Every number, one row per score: score, value, low, high, n, reason."""
        import pandas as pd

        rows = [{"score": name, **entry} for name, entry in self.summary["scores"].items()]
        return pd.DataFrame(rows, columns=["score", "value", "low", "high", "n", "reason"])

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the summary as JSON, and write it to `path` where one is given."""
        text = json.dumps(self.summary, indent=2)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_latex(self, path: str | Path | None = None) -> str:
        r"""Return a table for a paper (`\usepackage{booktabs}`), one row per detector; write it to a given path."""
        text = tables.latex(self.summary)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_html(self, path: str | Path) -> Path:
        """Write the report, one page that needs no network, and return its path. Private: it shows patients."""
        raise self._without_images("to_html")

    def show(self, count: int = 4) -> Figure:
        """Return a figure of the first suspects. Private: it shows patients."""
        raise self._without_images("show")

    def _repr_html_(self) -> str:
        return tables.html(self.summary, len(self.suspects))

    def _worst(self, score: str) -> Interval:
        entry = tables.worst(self.summary["scores"], score)
        return Interval(entry.get("value"), entry.get("low"), entry.get("high"))

    def _without_images(self, what: str) -> UsageError:
        return UsageError(f"{what}() needs the images, and this result has numbers only", "call audit or run again")


@dataclass(frozen=True, kw_only=True, repr=False)
class AuditResult(Result):
    """The answer of `audit`, with the images that it compared."""

    engine: Audit
    """Everything that the command line has, too. Private."""
    temporary: TemporaryFolder
    """Holds the files of images that were given in memory, and the cache where none was given."""
    not_compared: tuple[int | str, ...] = ()
    """Synthetic images that could not be compared: nobody knows what they show."""

    @classmethod
    def of(
        cls, audit: Audit, sets: Mapping[str, SavedSet], notes: Sequence[str], temporary: TemporaryFolder
    ) -> AuditResult:
        """Return the result of an audit of sets, with images by the names that the user knows."""
        from benchmark.runs.audit_files import summary

        listed = tables.listed(audit, sets)
        return cls(
            summary=summary(audit), suspects=listed.suspects, notes=tuple(notes), engine=audit, temporary=temporary,
            not_compared=listed.not_compared,
        )  # fmt: skip

    def show(self, count: int = 4) -> Figure:
        """Return a figure of the first suspects: synthetic, training image aligned to it, and their difference.

        Of volumes the middle slice is shown. Private: it shows patients.
        """
        from benchmark.api.figure import suspects_figure

        return suspects_figure(self.engine, count)

    def to_html(self, path: str | Path) -> Path:
        """Write the report of `bench audit`, one page that needs no network. Private: it shows patients."""
        folder = TemporaryFolder()
        try:
            return _copy(self.save(folder.path / "audit") / "report.html", path)
        finally:
            folder.remove()

    def save(self, folder: str | Path) -> Path:
        """Write what `bench audit` writes: reports, withhold.csv, summary.json and tables. `load` reads it.

        Raises UsageError where the folder holds something else than an earlier audit, which is replaced.
        """
        from benchmark.runs.audit_files import require_own, write_audit

        out = Path(folder)
        require_own(out)
        write_audit(self.engine, out)
        return out


@dataclass(frozen=True, kw_only=True, repr=False)
class SavedAudit(Result):
    """An audit that was written to a folder."""

    folder: Path

    def to_html(self, path: str | Path) -> Path:
        """Copy the report. Private: it shows patients."""
        return _copy(self.folder / "report.html", path)


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult(Result):
    """The answer of a run: a model that was trained or loaded, sampled and compared with its cohort."""

    folder: Path | None
    """The run folder; none where only a record was given."""

    def to_html(self, path: str | Path) -> Path:
        """Write the report of the run, as `bench report` does. Private: it shows patients."""
        from benchmark.runs.report import report_run

        if self.folder is None:
            raise self._without_images("to_html")
        folder = TemporaryFolder()
        try:
            return _copy(report_run(self.folder, folder.path), path)
        finally:
            folder.remove()


def _copy(page: Path, path: str | Path) -> Path:
    if not page.is_file():
        raise MissingDataError(f"{page} is not there", "run the audit again")
    place = Path(path)
    if place.is_dir():
        place = place / page.name
    shutil.copyfile(page, place)
    return place
