"""What a report says: numbers and names, without images. Frozen, and JSON can hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Score
from benchmark.evaluation.verdict import Verdict

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.images.registration import Placement


@dataclass(frozen=True, kw_only=True)
class Group:
    """One of the sets of images that were compared."""

    name: str
    """`training`, `held-out` or `synthetic`."""
    images: int
    patients: int | None = None
    """Nothing for synthetic images."""
    digest: str = ""
    """Digest of the pixels that were compared; empty where nobody computed it."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How similar the images of one set are to their nearest image of another."""

    name: str
    """`synthetic-to-train`, `test-to-train` or `synthetic-to-heldout`."""
    low: float
    high: float
    """The counts are of bins of equal width from `low` to `high`."""
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The copied training patients above one similarity."""

    threshold: float | None
    """Nothing: all samples."""
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What one detector measured."""

    name: str
    scores: Mapping[str, Score]
    """By id without the detector, such as `exposed.items`."""
    histograms: tuple[Histogram, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    engine: str = ""
    """What searched."""


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One synthetic image that looks like a particular training patient."""

    file: str
    train_file: str
    patient: str
    heldout_file: str
    """The held-out image nearest to it: what chance can do; empty where there are no held-out images."""
    detector: str
    similarity: float
    heldout_similarity: float
    full_size: float | None
    """Correlation at full size, once aligned; nothing where it was not computed."""
    reason: str
    """`verbatim` or `nearest`."""
    confidence: str
    """`near-certain` or `review`."""
    synthetic: int
    """Its position among the synthetic images."""
    train_row: int
    heldout_row: int
    """Positions among all real images, train first; -1 where there are no held-out images."""


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """Everything that a report says.

    Raises UsageError where no detector was scored, and BadDataError where the verdict contradicts the scores: a report
    must never look like an all-clear that nobody measured.
    """

    title: str
    date: str
    """YYYY-MM-DD."""
    version: str
    """The program and its protocol."""
    verdict: Verdict
    groups: tuple[Group, ...]
    detectors: tuple[Detector, ...]
    possible: Mapping[str, Score]
    """`detectable.patients` and `detectable.share`."""
    suspects: tuple[Suspect, ...] = ()
    """The worst first."""
    dimensions: int = 2
    """Axes of an image: 2, or 3 for volumes."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else was compared, and with what: label to text. Shown in the summary, too: no names in it."""
    not_compared: tuple[str, ...] = ()
    """Synthetic files that could not be read: nobody knows what they show."""
    notes: tuple[str, ...] = ()
    """Remarks about the files. Private: they may hold names."""

    def __post_init__(self) -> None:
        if not self.detectors or not any("exposed.items" in one.scores for one in self.detectors):
            raise UsageError("there is nothing to report: no detector was scored", "run the audit again")
        if self.verdict.kind == "nothing found":
            _require_scored(self)

    def group(self, name: str) -> Group | None:
        """Return one of the sets by its name."""
        return next((group for group in self.groups if group.name == name), None)


def _require_scored(report: ReportInput) -> None:
    """A verdict of nothing found needs a number of every detector for every file, and the list that it was made of."""
    refused = [one.name for one in report.detectors if one.scores["exposed.items"].value is None]
    if refused:
        raise BadDataError(
            f"the verdict is 'nothing found', but {refused[0]} was not scored",
            "judge again: a detector that was refused makes it 'cannot tell'",
        )
    if report.not_compared:
        raise BadDataError(
            f"the verdict is 'nothing found', but {len(report.not_compared)} synthetic files were not compared",
            "judge again: a file that nobody could read makes it 'cannot tell'",
        )
    if report.verdict.suspects != len(report.suspects):
        raise BadDataError(
            f"the verdict counts {report.verdict.suspects} suspects, and the list holds {len(report.suspects)}",
            "give the list that the verdict was made of",
        )


@dataclass(frozen=True, kw_only=True)
class ReportImages:
    """Opens the images of a report, at the size of their files: (rows, columns), or (x, y, z) in RAS+.

    With several `channels` both functions take the position of a channel as a second argument, 0 if it is not given.
    """

    synthetic: Callable[..., Array]
    real: Callable[..., Array]
    """By position among all real images, train first."""
    channels: tuple[str, ...] = ()
    """Names of the channels, where there are several; `red`, `green`, `blue` are also shown in colour."""
    placement: Callable[[int, int], Placement] | None = None
    """How a real image is moved onto a synthetic one, by the position of the synthetic and of the real one; searched
    where nothing is given."""
    spacing_mm: Callable[[int], tuple[float, ...]] | None = None
    """Spacing of a synthetic image, one number per axis or none; without it voxels are drawn as cubes."""
    beside: Callable[[int], tuple[int, int]] | None = None
    """Positions of the slices before and after a real image, -1 where there is none; only for slices of volumes."""
    planted: Mapping[str, Array] = field(default_factory=dict)
    """An example of each planted copy, uint8 (rows, columns), by its name."""


def write_input(report: ReportInput, path: Path) -> None:
    """Write what a report says as JSON."""
    from pydantic import TypeAdapter

    from benchmark.core.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_bytes(TypeAdapter(ReportInput).dump_json(report, indent=2))


def read_input(path: Path) -> ReportInput:
    """Read what `write_input` wrote. Raises BadDataError for a file of another form."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(ReportInput).validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadDataError(
            f"{path} is no report of this version: {error.errors()[0]['msg']}", "write the report again"
        ) from error
