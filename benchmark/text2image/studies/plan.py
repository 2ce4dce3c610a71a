"""The cohort of the study with ground truth: repetition, markers and uniqueness of captions are varied separately."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.cohorts.captions import captions_of
from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.text_files import PUBLISHED
from benchmark.core.errors import BadDataError
from benchmark.core.types import Cohort, Split
from benchmark.text2image.markers import MARKER

REPORTS, SECTIONS = "indiana_reports.csv", ("findings", "impression")
MARKER_INSERTED = "___"
WORDS = range(4, 13)
"""Number of words of a sentence that becomes a caption."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Number of captions of each kind, in pairs: without and with de-identification markers."""

    repeated: tuple[int, int] = (3, 9)
    """Captions of one image, both repeated."""
    once: tuple[int, int] = (120, 30)
    """Captions of one image, seen once per epoch."""
    shared: tuple[int, int] = (6, 2)
    """Captions of many images each: frequent, but not tied to one image."""
    unseen: tuple[int, int] = (16, 16)
    """Captions that are not trained on."""
    repeats: int = 30
    """Copies of an image with a repeated caption."""
    sharing: int = 38
    """Images of a shared caption."""
    marks: int = 2
    """De-identification markers in a caption with markers."""

    @property
    def images(self) -> int:
        """Number of different images that are trained on."""
        return sum(self.repeated) + sum(self.once) + self.sharing * sum(self.shared)


@dataclass(frozen=True)
class Study:
    """The training images with captions, held-out images, and the kind of each prompt."""

    train: Split
    heldout: Split
    """As many images of other patients."""
    prompts: pd.DataFrame
    """prompt, group, marked (bool), repeats, row (of its own image, or -1). Private."""


def read_sentences(root: Path, rng: np.random.Generator) -> dict[bool, list[str]]:
    """Return different short sentences of Open-i's reports without markers, by whether the report has a finding.

    They are in random order. Raises MissingDataError, BadDataError.
    """
    table = read_csv(root / REPORTS, ("Problems", *SECTIONS), advice=PUBLISHED)
    sentences: dict[bool, dict[str, None]] = {False: {}, True: {}}
    for problems, *sections in table.itertuples(index=False):
        for sentence in re.split(r"(?<=[.])\s+", " ".join(sections).strip()):
            if len(sentence.split()) in WORDS and not re.search(MARKER, sentence):
                sentences[problems != "normal"][sentence] = None
    kept = {True: list(sentences[True]), False: [text for text in sentences[False] if text not in sentences[True]]}
    return {ill: [texts[i] for i in rng.permutation(len(texts))] for ill, texts in kept.items()}


def plan_study(cohort: Cohort, reports: Path, design: Design, *, seed: int) -> Study:
    """Caption training images of a cohort with Open-i's sentences, by the design.

    A caption is the image's class and a sentence of a report, with a finding exactly if the class has one. Markers are
    inserted between random words.

    Raises BadDataError where the cohort has too few images or the reports too few sentences.
    """
    rng = np.random.default_rng([seed, 0xD17])
    if len(cohort.train) < design.images:
        raise BadDataError(
            f"{cohort.name} has {len(cohort.train)} training images, the study needs {design.images}",
            "give the whole data set",
        )
    chosen = rng.permutation(len(cohort.train))[: design.images]
    captions = _Captions(cohort.train, read_sentences(reports, rng), design, rng)
    positions, texts, rows = iter(chosen.tolist()), [], []
    for group, repeats, images in (("repeated", design.repeats, 1), ("once", 1, 1), ("shared", 1, design.sharing)):
        for marked, count in enumerate(getattr(design, group)):
            for _ in range(count):
                own = [next(positions) for _ in range(images)]
                text = captions.make(own[0], bool(marked))
                texts += [(position, text) for position in own for _ in range(repeats)]
                rows.append((text, group, bool(marked), repeats, own[0] if images == 1 else -1))
    for marked, count in enumerate(design.unseen):
        rows += [
            (captions.make(int(rng.choice(chosen)), bool(marked)), "unseen", bool(marked), 0, -1) for _ in range(count)
        ]
    return Study(
        _captioned(cohort.train, texts),
        _others(cohort, design.images, rng),
        pd.DataFrame(rows, columns=["prompt", "group", "marked", "repeats", "row"]),
    )


class _Captions:
    """Makes captions; no sentence is used twice."""

    def __init__(
        self, split: Split, sentences: dict[bool, list[str]], design: Design, rng: np.random.Generator
    ) -> None:
        self.classes = captions_of(split)
        self.sentences: dict[bool, Iterator[str]] = {ill: iter(texts) for ill, texts in sentences.items()}
        self.design, self.rng = design, rng

    def make(self, position: int, marked: bool) -> str:
        ill = self.classes[position] != "normal"
        sentence = next(self.sentences[ill], None)
        if sentence is None:
            raise BadDataError("the reports have too few different sentences", "give all reports of Open-i")
        words = f"{self.classes[position]}. {sentence}".split()
        for _ in range(self.design.marks if marked else 0):
            words.insert(int(self.rng.integers(1, len(words) + 1)), MARKER_INSERTED)
        return " ".join(words)


def _captioned(train: Split, texts: Sequence[tuple[int, str]]) -> Split:
    from dataclasses import replace

    split = train.part([position for position, _ in texts])
    return replace(split, captions=tuple(text for _, text in texts))


def _others(cohort: Cohort, count: int, rng: np.random.Generator) -> Split:
    heldout = cohort.heldout
    return heldout.part(np.sort(rng.permutation(len(heldout))[:count]))
