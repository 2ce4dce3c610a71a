"""Training and held-out images in two folders: one data set whose split its owner has made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cohorts.assemble import assemble
from benchmark.cohorts.audit_wording import audit_words, in_audit
from benchmark.cohorts.dicom_datasets import SCOUTS, SKIPPED
from benchmark.cohorts.duplicates import find_duplicates, units
from benchmark.cohorts.guarded import joined_sources, remarks_of, sources_of
from benchmark.cohorts.patient_table import ABSENT, SITES
from benchmark.cohorts.splits import FRACTIONS, NAMES
from benchmark.core.errors import UsageError
from benchmark.core.files import absolute, content_key
from benchmark.core.types import Cohort, Dataset, HasRemarks, Items, JoinsPatients, Source, Split
from benchmark.images.readers.companions import with_companions

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.cohorts.store import Stored

TRAIN, HELDOUT = "train", "heldout"
MORE_IMAGES = 1.05
"""Ratio of the mean numbers of images per patient up to which both sides count as alike."""
RIGHTLY_SKIPPED = (f"{TRAIN}: skipped, segmentations", f"{TRAIN}: skipped, second names of one file")
SKIPPED_PLANES = (SKIPPED, SCOUTS)
SITES_APART = "sites of training images alone or of held-out images alone, which makes the comparison unfair"
SHOWN = 3
"""Names of a message."""


@dataclass(frozen=True, kw_only=True)
class GivenSplit:
    """Two folders that one data set reads. Names of items begin with the side that they are on."""

    dataset: Dataset
    train: Path
    heldout: Path | None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the data set."""
        return self.dataset.channels

    @property
    def root(self) -> Path:
        """The innermost folder that holds both."""
        return Path(os.path.commonpath([folder.resolve() for folder in self._folders.values()]))

    def sources(self, root: Path) -> Sequence[Source]:
        """List the sources of both sides. Raises as the data set does, and UsageError for a patient on both sides."""
        # Where each file is of another patient, files of equal names on both sides are, too: 0001.png and 0001.png.
        own = "{}/" if getattr(self.dataset, "group_pattern", "") == "none" else ""
        with audit_words():
            listed = [
                replace(source, subject=own.format(side) + source.subject, name=f"{side}/{source.name}", group=side)
                for side, folder in self._folders.items()
                for source in with_distinct_names(sources_of(self._name, self.dataset, folder))
            ]
            if isinstance(self.dataset, JoinsPatients):
                listed = joined_sources(self._name, self.dataset, listed, list(self._folders.values()))
        require_apart({side: {one.subject for one in listed if one.group == side} for side in (TRAIN, HELDOUT)})
        return listed

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Return what the data set says of each side."""
        if not isinstance(self.dataset, HasRemarks):
            return {}
        told = {side: remarks_of(self._name, self.dataset, folder) for side, folder in self._folders.items()}
        # One table lists both folders: a file is missing only where neither has it.
        absent = set.intersection(*(set(remarks.pop(ABSENT, ())) for remarks in told.values()))
        both = {ABSENT: sorted(absent)} if absent else {}
        both |= {
            f"{side}: {in_audit(what)}": list(names)
            for side, remarks in told.items()
            for what, names in remarks.items()
        }
        apart = sites_apart(both) if self.heldout else []
        return {**both, **({SITES_APART: apart} if apart else {})}

    def read(self, source: Source) -> Items:
        """Read one source as the data set does."""
        return self.dataset.read(source)

    @property
    def _name(self) -> str:
        return type(self.dataset).__name__

    @property
    def _folders(self) -> dict[str, Path]:
        return {TRAIN: self.train} | ({HELDOUT: self.heldout} if self.heldout else {})


@dataclass(frozen=True, kw_only=True)
class WithoutPatients:
    """A data set of synthetic images: each is on its own."""

    dataset: Dataset

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the data set."""
        return self.dataset.channels

    def sources(self, root: Path) -> Sequence[Source]:
        """List the sources, each by its own name."""
        sources = with_distinct_names(sources_of(type(self.dataset).__name__, self.dataset, root))
        return [replace(source, subject=source.name, label=None, group="") for source in sources]

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Return what the data set says of files, not of patients."""
        told = remarks_of(type(self.dataset).__name__, self.dataset, root)
        return {what: names for what, names in told.items() if "patient" not in what}

    def read(self, source: Source) -> Items:
        """Read one source as the data set does."""
        return self.dataset.read(source)


def with_distinct_names(sources: Sequence[Source]) -> list[Source]:
    """Return sources of which `0.png` and `0.jpg` in one folder are not both named `0`, but by their whole names."""
    counts = Counter(source.name for source in sources)
    return [
        replace(source, name=source.name + Path(source.files[0]).suffix) if counts[source.name] > 1 else source
        for source in sources
    ]


def at_present(stored: Stored, sources: Sequence[Source]) -> Stored:
    """Return prepared images whose files are where they are now: a cache stays valid where a folder was moved."""
    present = {(source.name, Path(file).name): file for source in sources for file in with_companions(source.files)}
    pairs = zip(stored.files["source"], stored.files["file"], strict=True)
    return replace(stored, files=stored.files.assign(file=[present.get((name, Path(f).name), f) for name, f in pairs]))


def sites_apart(remarks: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the sites of which only training images, or only held-out images, are listed, sorted."""
    listed = [remarks.get(f"{side}: {SITES}", ()) for side in (TRAIN, HELDOUT)]
    train, heldout = ({name.rpartition(" ")[0] for name in names} for names in listed)
    return sorted(train ^ heldout)


def require_apart(patients: Mapping[str, set[str]]) -> None:
    """Raise UsageError where a patient is on both sides: held-out images of a training patient are no control."""
    shared = sorted(patients[TRAIN] & patients[HELDOUT])
    if shared:
        who = "patient is" if len(shared) == 1 else "patients are"
        raise UsageError(
            f"{len(shared)} {who} in the folder of training images and in that of held-out images: "
            f"{', '.join(shared[:SHOWN])}{' ...' if len(shared) > SHOWN else ''}",
            "hold out patients of whom no image was trained on; if these names are no patients, say how patients are "
            "recognised: --patients",
        )


def cohort_of(name: str, given: GivenSplit, stored: Stored) -> Cohort:
    """Return the cohort with the given split; held-out patients are divided into calibration and test by seed.

    Raises UsageError for images that are in both folders, and for fewer than two held-out patients.
    """
    _require_no_shared_image(stored)
    patients = stored.table.loc[stored.table["group"] == HELDOUT, "subject"].nunique()
    if patients < 2:
        raise UsageError(
            f"the held-out images are of {patients} patient, and nothing tells copies from chance with fewer than 2",
            "give images of more patients that the model has not seen",
        )
    return assemble(
        name, given, stored, split_seed=0, fractions=FRACTIONS, train_items=None, split="official",
        exclude=surplus_heldout(stored.table),
    )  # fmt: skip


def surplus_heldout(table: pd.DataFrame) -> frozenset[str]:
    """Return held-out items to leave out, so that held-out patients have no more images each than training patients.

    The protocol compares patients by their most similar image. Held-out patients with more images each come closer to
    any synthetic image by chance, which hides copies. Where their mean number is larger by MORE_IMAGES, each keeps at
    most as many images as a training patient drawn at random has: the counts are then nowhere larger in distribution.
    """
    counts = {side: rows.groupby("subject").size() for side, rows in table.groupby("group")}
    if counts[HELDOUT].mean() <= MORE_IMAGES * counts[TRAIN].mean():
        return frozenset()
    rng = np.random.default_rng(0)
    surplus: list[str] = []
    for _, rows in table[table["group"] == HELDOUT].groupby("subject"):
        kept = int(rng.choice(counts[TRAIN].to_numpy()))
        surplus += list(rng.permutation(rows["item"].to_numpy())[kept:])
    return frozenset(surplus)


def missing_training(stored: Stored) -> int:
    """Return how many training images were left out, because they cannot be read or no table lists them."""
    by_side = [names for what, names in stored.remarks.items() if what.startswith(f"{TRAIN}: left out")]
    named = [name for what, names in stored.remarks.items() if what.startswith("left out") for name in names]
    return sum(map(len, by_side)) + sum(name.startswith(f"{TRAIN}/") for name in named)


def rightly_skipped(stored: Stored, train: Path) -> list[str]:
    """Return the training files that lack nothing: segmentations, and second names of one file."""
    skipped = [names for what, names in stored.remarks.items() if what.startswith(RIGHTLY_SKIPPED)]
    return [str(train / name) for names in skipped for name in names]


def skipped_planes(stored: Stored, folder: Path) -> list[Path]:
    """Return the DICOM files (or, of series too short to be a volume, the folders) of which no item was made, sorted.

    They are in the folder of a series of which items were made, so that `not_compared` does not find them.
    """
    skipped = [name for what, names in stored.remarks.items() if what.startswith(SKIPPED_PLANES) for name in names]
    return sorted({absolute(folder / name) for name in skipped})


def training_alone(name: str, stored: Stored) -> Cohort:
    """Return a cohort whose items are all training items: there is nobody to compare with."""
    train = replace(every_item("train", stored), units=tuple(_units(stored)))
    nobody = [train.part([]) for _ in range(2)]
    calibration, test = (replace(part, name=side) for part, side in zip(nobody, NAMES[1:], strict=True))
    return Cohort(
        name=name,
        key=content_key(*stored.table["sha"], *stored.table["subject"]),
        files_key=content_key(sorted(stored.files["sha256"])),
        spacing_mm=stored.spacing_mm,
        train=train,
        calibration=calibration,
        test=test,
    )


def _units(stored: Stored) -> list[str]:
    """Return the unit of each item: patients that share an image are one."""
    table = stored.table
    together = {name: " = ".join(unit) for unit in units(table, find_duplicates(table)) for name in unit}
    return [together[name] for name in table["subject"]]


def _require_no_shared_image(stored: Stored) -> None:
    sides = stored.table.groupby("sha")["group"].nunique()
    shared = stored.table[stored.table["sha"].isin(sides.index[sides > 1])]
    if len(shared):
        count = shared["sha"].nunique()
        names = list(shared.drop_duplicates(["sha", "group"])["item"][:2])
        what = "image is" if count == 1 else "images are"
        raise UsageError(
            f"{count} {what} in the folder of training images and in that of held-out images, "
            f"for example {' and '.join(names)}",
            "take out of the held-out folder what the model has seen",
        )


def every_item(name: str, stored: Stored) -> Split:
    """Return all stored items as one split, such as the synthetic images."""
    table = stored.table
    return Split(
        name=name,
        pixels=stored.pixels,
        rows=np.arange(len(table), dtype=np.int64),
        subjects=tuple(table["subject"]),
        items=tuple(table["item"]),
        channels=stored.channels,
    )
