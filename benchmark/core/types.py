"""The types that models, data sets, detectors and metrics share. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.float32]  # (N, C, *spatial), 2D or 3D, values in [-1, 1]
    Array = NDArray[Any]
else:
    Images = Array = Any  # so that an adapter may import the names; NumPy is not loaded for them

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Items of one part of a cohort. Pixels stay on disk until `images` reads them."""

    name: str
    """`train`, `calibration` or `test`."""
    pixels: Array
    """The whole cohort's items (M, C, *spatial), memory-mapped: uint8 grey levels, or float32 in [-1, 1]."""
    rows: NDArray[np.int64]
    """The rows of `pixels` that belong to this split, (N,)."""
    subjects: tuple[str, ...]
    """The subject (patient) of each item, N names."""
    items: tuple[str, ...]
    """The name of each item, unique in the cohort, N names."""
    channels: tuple[str, ...]
    """One name per channel."""
    labels: tuple[str, ...] | None = None
    """One class name per item, where the data set has classes."""
    units: tuple[str, ...] = ()
    """What the split deals out whole, N names: patients that share an image are one unit; empty: each
    patient is one."""
    captions: tuple[str, ...] | None = None
    """One report per item, where the data set has reports. Private: never in a record, a log or a message."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item: (C, *spatial)."""
        return tuple(self.pixels.shape[1:])

    @property
    def dealt(self) -> tuple[str, ...]:
        """The unit of each item, N names: its patient, or the patients that are kept together with it."""
        return self.units or self.subjects

    def images(self, index: slice | Sequence[int] | Array = slice(None)) -> Images:
        """Return the items at these positions of the split, (n, C, *spatial), float32 in [-1, 1]."""
        return to_images(self.pixels[self.rows[index]])

    def stored(self, index: slice | Sequence[int] | Array = slice(None)) -> Array:
        """Return the items as stored, (n, C, *spatial), uint8 or float32: without a copy where they are consecutive."""
        return self.pixels[consecutive(self.rows[index])]

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> Split:
        """Return the items at these positions (n,), in this order; a position may be given twice."""

        def some(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if values is None else tuple(values[position] for position in positions)

        return replace(
            self,
            rows=self.rows[positions],
            subjects=some(self.subjects) or (),
            items=some(self.items) or (),
            labels=some(self.labels),
            units=some(self.units or None) or (),
            captions=some(self.captions),
        )


def consecutive(rows: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return row numbers (N,) as a slice, which NumPy does not copy, where each is the one after its predecessor."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (rows[1:] - rows[:-1] == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def to_images(pixels: Array) -> Images:
    """Map stored pixels (N, C, *spatial) to float32 in [-1, 1]: uint8 grey levels v become v / 127.5 - 1."""
    images: Images = pixels.astype("float32", copy=False)
    if pixels.dtype == "uint8":
        images /= 127.5
        images -= 1
    return images


def to_pixels(images: Images, dtype: object) -> Array:
    """Map images (N, C, *spatial) in [-1, 1] to stored pixels: for uint8 to the nearest grey level, as a PNG would."""
    if dtype != "uint8":
        return images.astype("float32", copy=False)
    return ((images + 1) * 127.5).round().clip(0, 255).astype("uint8")


def join_splits(name: str, *splits: Split) -> Split:
    """Join splits of one cohort, in the order given."""
    import numpy as np

    first = splits[0]
    labels = [label for split in splits for label in split.labels or ()]
    captions = [caption for split in splits for caption in split.captions or ()]
    return Split(
        name=name,
        pixels=first.pixels,
        rows=np.concatenate([split.rows for split in splits]),
        subjects=sum((split.subjects for split in splits), ()),
        items=sum((split.items for split in splits), ()),
        channels=first.channels,
        labels=tuple(labels) if first.labels else None,
        units=sum((split.units for split in splits), ()),
        captions=tuple(captions) if first.captions else None,
    )


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """One data set, prepared on a common grid, in patient-disjoint splits."""

    name: str
    key: str
    """Digest of the pixels, the preparation and the split."""
    files_key: str = ""
    """Digest of the digests of all files that were read."""
    spacing_mm: tuple[float, ...] = ()
    """Millimetres between neighbouring pixels, one per spatial axis; empty where the files do not say."""
    train: Split
    calibration: Split
    test: Split
    notes: tuple[str, ...] = ()
    """Remarks for readers of the record: duplicates moved, files left out, few patients."""

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """The three splits in their fixed order: train, calibration, test."""
        return (self.train, self.calibration, self.test)

    @property
    def heldout(self) -> Split:
        """All items that no model is trained on: calibration, then test."""
        return join_splits("held-out", self.calibration, self.test)

    @property
    def real(self) -> Split:
        """All items: train, then calibration, then test."""
        return join_splits("real", *self.splits)


def captioned(cohort: Cohort, reports: Mapping[str, str]) -> Cohort:
    """Return the cohort with each item's report as one line, by the item's name; without a report it is empty."""

    def with_captions(split: Split) -> Split:
        return replace(split, captions=tuple(" ".join(reports.get(item, "").split()) for item in split.items))

    return replace(
        cohort,
        train=with_captions(cohort.train),
        calibration=with_captions(cohort.calibration),
        test=with_captions(cohort.test),
    )


@dataclass(frozen=True)
class Source:
    """The files of one subject (or of one image of a subject), listed but not yet read."""

    subject: str
    name: str
    """Unique in the data set; the prefix of its items' names."""
    files: tuple[str, ...]
    """Paths in the order that `Dataset.read` expects."""
    label: str | None = None
    group: str = ""
    """The published split it came from (`train`, `test` ...), where there is one."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items read from one source: n items on the cohort's grid."""

    pixels: Array
    """(n, C, *spatial), uint8 grey levels or float32 in [-1, 1]."""
    names: tuple[str, ...]
    """n names, unique within the source (slice `z077`, or empty for a single image)."""
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    """Orientation of the file, such as LPS, where it is given; the items themselves all have one orientation."""
    remarks: tuple[tuple[str, str], ...] = ()
    """Parts of the source that were left out or fixed, each with its name: for the user, never for a record."""


class Dataset(Protocol):
    """datasets/NAME/dataset.py: a dataclass whose fields are its options (`image_size`, `channels` ...)."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The name of each channel of the items that `read` returns."""

    def sources(self, root: Path) -> Sequence[Source]:
        """List the sources under root, from file names only. Raises MissingDataError, BadDataError."""

    def read(self, source: Source) -> Items:
        """Read one source. The same files give the same items. Raises BadDataError naming the file."""


@runtime_checkable
class Embedded(Protocol):
    """A data set that creates its own files (simulated patients)."""

    def create(self, root: Path) -> None:
        """Write the files that `sources` will find; a finished folder is left as it is."""


@runtime_checkable
class HasRemarks(Protocol):
    """A data set that leaves out or fixes some of the files under root, and reports it."""

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Map what was done (`left out, no seg`) to names of sources; records hold their number, never their names."""


@runtime_checkable
class JoinsPatients(Protocol):
    """A data set that knows patients by more than their names, such as by a tag of DICOM files."""

    def joined(self, sources: Sequence[Source], roots: Sequence[Path]) -> list[Source]:
        """Return the sources of several folders, where each patient has one name in all of them."""


@runtime_checkable
class HasReports(Protocol):
    """A data set whose images come with reports."""

    def reports(self, root: Path) -> dict[str, str]:
        """Return the text of each image's report, by the name of its source. Private: never in a record or a log."""


@dataclass(frozen=True)
class Budget:
    """Limits of `fit` besides its own hyper-parameters; the first limit reached ends training."""

    seconds: float | None = None


class Sampler(Protocol):
    """What images are drawn from: a model, or its stand-in."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield images in batches (n, C, *spatial)."""


class ModelAdapter(Protocol):
    """models/NAME/adapter.py: a dataclass whose fields are its hyper-parameters; unknown names are refused."""

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train on this split only, leaving checkpoints in folder and resuming exactly from them."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, *spatial) in [-1, 1]; the same seed gives the same images."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs, and nothing else."""

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore an adapter that samples exactly as the saved one."""


@runtime_checkable
class HasPrompts(Protocol):
    """Ability `prompts`: a text-to-image model. `bench run` asks it with captions of training and held-out patients."""

    @property
    def prompted(self) -> bool:
        """Whether this one, once fitted or loaded, takes prompts."""

    @property
    def pipeline(self) -> Any:
        """A pipeline of Stable Diffusion's kind: tokenizer, text encoder, unet, scheduler, vae."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield one image per prompt in batches (n, C, H, W), as ModelAdapter."""


@runtime_checkable
class TakesPrompts(Protocol):
    """What `HasPrompts` and its stand-in in the evaluator have in common."""

    @property
    def prompted(self) -> bool:
        """Whether this one takes prompts."""


@runtime_checkable
class InOtherProcess(Protocol):
    """A stand-in for a model that is in another process, where its random generators and its pipeline are."""

    def seed_all(self, seed: int) -> None:
        """Draw the random numbers of the next `reconstruct` from this seed."""

    def of_pipeline(self, module: str, function: str, *values: Any) -> Any:
        """Return what a function of this package says of the model's pipeline: an array, or values of JSON."""


@runtime_checkable
class HasParts(Protocol):
    """A text-to-image model that was trained elsewhere: `bench prompts` uses it without a cohort."""

    def assemble(self, device: str) -> Any:
        """Load the pipeline, whatever the size of its images. Raises BenchError."""


def takes_prompts(adapter: object) -> bool:
    """Return whether an adapter, fitted or loaded, is a text-to-image model."""
    return isinstance(adapter, TakesPrompts) and adapter.prompted


@runtime_checkable
class HasLoss(Protocol):
    """Ability `loss`: the training loss of single images, for membership inference."""

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return one loss per image, (N,); images (N, C, *spatial)."""


@runtime_checkable
class HasReconstruction(Protocol):
    """Ability `reconstruct`: the autoencoder's reconstruction of an image."""

    def reconstruct(self, images: Images) -> Images:
        """Map images (N, C, *spatial) to images of the same shape."""


@runtime_checkable
class HasFiles(Protocol):
    """A model stored in files that may change between two calls."""

    def fingerprint(self) -> str:
        """Return a digest that changes with the files: a stage that finished with other files runs again."""


@runtime_checkable
class HasFoundSettings(Protocol):
    """A model that finds in its files what the user did not say, such as a variant of the weights."""

    def found_settings(self) -> dict[str, str]:
        """Return settings that were found, for the record; no paths."""


@runtime_checkable
class TrainedElsewhere(Protocol):
    """A model that may have been trained elsewhere: whose images it has seen, only its owner can tell."""

    @property
    def trained_elsewhere(self) -> bool:
        """Whether this one was."""


@runtime_checkable
class HasNumberedImages(Protocol):
    """A model whose images exist already: each is used once."""

    def available(self) -> int:
        """Return the number of images."""

    def numbered(self, part: slice) -> Iterator[Images]:
        """Yield the images with these numbers, in batches (n, C, *spatial) in [-1, 1]."""


class Watcher(Protocol):
    """Decides when to look at a training, and judges the samples."""

    @property
    def may_stop(self) -> bool:
        """Whether it may end the training: then the network of the last look without a finding is kept."""

    @property
    def clean(self) -> bool:
        """Whether the last look found nobody exposed."""

    @property
    def should_stop(self) -> bool:
        """Whether the training is to end now."""

    def start(self, done: int, steps: int) -> None:
        """Take note that a training of so many steps begins, or resumes after `done`: later looks are forgotten."""

    def wanted(self, step: int, seconds: float) -> int:
        """Return how many samples to draw after this step and so many seconds of training; 0 for none."""

    def update(self, step: int, samples: Images, *, sampling_seconds: float) -> Mapping[str, float]:
        """Judge samples (n, C, *spatial) and return what to log; empty where they only showed what sampling costs."""


@runtime_checkable
class Watchable(Protocol):
    """A model whose `fit` lets a watcher look at the network in training."""

    def watched_by(self, watcher: Watcher) -> None:
        """Use this watcher in the next `fit`."""


class Similarity(Protocol):
    """The comparison of two embedded items: `benchmark.search.COSINE` for unit rows, `PEARSON` for pixels."""

    def block(self, queries: Array, others: Array, device: str) -> Array:
        """Compare (n, D) with (m, D), float32, in -1 to 1: (n, m), float32."""

    def exact(self, row: Array, others: Array) -> Array:
        """Compare (D,) with (k, D), float32, to (k,) in float64; an exact copy reads 1."""

    def error(self, dimension: int) -> float:
        """Bound the difference between an element of `block` and `exact`."""


class Detector(Protocol):
    """A similarity between two items: an embedding, and a comparison of embeddings."""

    @property
    def invariances(self) -> tuple[str, ...]:
        """The planted transformations after which it claims to find a copy."""

    @property
    def similarity(self) -> Similarity:
        """Compares rows that `embed` made."""

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to rows (N, D), float32 or uint8, independent of the batch size."""


@runtime_checkable
class ReadsPixels(Protocol):
    """A detector whose rows are the stored pixels themselves, where these are uint8 grey levels."""

    @property
    def reads_pixels(self) -> bool:
        """Whether the rows of this one are stored pixels."""


@runtime_checkable
class HasViews(Protocol):
    """A detector that compares several views of a query: its similarity is that of the best view."""

    @property
    def views(self) -> Sequence[Callable[[Images], Images]]:
        """Return the functions that make the views, besides the item itself: (N, C, *spatial) to the same shape."""


class DetectorOptions(Protocol):
    """A detector that is not fitted yet: a dataclass whose fields are its options."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Detector:
        """Make the detector for a cohort; a training, where there is one, resumes from folder.

        Args:
            real: the items of all three splits. A detector that has seen training items only would find these more
                alike than held-out ones, and so read memorisation where there is none.
            folder: for checkpoints.
            key: digest of cohort, options and code: a checkpoint of another one is refused.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
        """


@dataclass(frozen=True, kw_only=True)
class Score:
    """A number with its interval and its n, or no number and the reason."""

    value: float | None
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    n: int | None = None
    """Number of items behind the value."""
    direction: Direction = "none"
    """Which direction is better, for patients and for quality."""
    reason: str = ""
    """Why there is no value, or what weakens the value that there is."""


def patient_codes(subjects: Sequence[str]) -> Array:
    """Number the subjects of N items from 0, in order of first appearance, (N,) int64."""
    import numpy as np

    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(subject, len(numbers)) for subject in subjects], dtype=np.int64)


def chunks(total: int, size: int) -> Iterable[slice]:
    """Cut range(total) into slices of at most `size`."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


@dataclass(frozen=True, kw_only=True)
class Match:
    """The search's answer for N queries against a bank of M items."""

    index: NDArray[np.int64]
    """(N,) position in the bank of the nearest item; ties go to the lowest."""
    similarity: NDArray[np.float64]
    """(N,) its similarity, computed in float64."""
