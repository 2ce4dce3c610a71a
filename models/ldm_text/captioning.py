"""The captions of training images: report or class, changed by mitigations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.cohorts.csv_tables import read_csv, require_csv
from benchmark.core.csv_cells import restored
from benchmark.core.errors import UsageError
from benchmark.text2image.markers import MARKER

SURROGATES = 32
"""Number of versions of a caption with random words for markers; each draw in training takes one."""
SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "zu")


@dataclass(frozen=True)
class Captioning:
    """The mitigations that change captions (Somepalli et al. 2023, 2305.20086; Dutt 2025, 2502.07516)."""

    random_markers: bool
    variants: str
    recaptions: str

    def __post_init__(self) -> None:
        require_csv("variants", self.variants)
        require_csv("recaptions", self.recaptions)

    def alternatives(self, captions: Sequence[str], seed: int) -> list[tuple[str, ...]]:
        """Return the alternatives of each caption, of which training draws one each time.

        Raises as `read_csv`, and UsageError where a table has none of the captions: it would change nothing.
        """
        alternatives: list[tuple[str, ...]] = [(caption,) for caption in captions]
        if self.recaptions:
            table = _variants(Path(self.recaptions), captions)
            alternatives = [table.get(one_line(caption), (caption,)) for caption in captions]
        if self.variants:
            table = _variants(Path(self.variants), captions)
            alternatives = [
                (*texts, *table.get(one_line(caption), ()))
                for texts, caption in zip(alternatives, captions, strict=True)
            ]
        if self.random_markers:
            rng = np.random.default_rng([seed, 0x3A])
            alternatives = [tuple(_surrogates(texts, rng)) for texts in alternatives]
        return alternatives


def surrogate(rng: np.random.Generator) -> str:
    """Return a random word in place of a de-identification marker."""
    return "".join(SYLLABLES[number] for number in rng.integers(len(SYLLABLES), size=3))


def _surrogates(texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    if not any(re.search(MARKER, text) for text in texts):
        return list(texts)
    return [re.sub(MARKER, lambda _: surrogate(rng), text) for text in texts for _ in range(SURROGATES)]


def _variants(path: Path, captions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the variants of each caption of a table, both as one line, as captions of a cohort are."""
    table = read_csv(path, ("caption", "variant")).map(restored).map(one_line)
    variants = {str(caption): tuple(rows["variant"]) for caption, rows in table.groupby("caption", sort=False)}
    if captions and not set(variants) & set(map(one_line, captions)):
        raise UsageError(
            f"{path} has none of the {len(set(captions))} captions of the training images in column caption",
            "write the captions as the reports or classes of the data set have them",
        )
    return variants


def one_line(text: str) -> str:
    """Return a text with single spaces for line breaks and runs of spaces, in NFC."""
    return " ".join(unicodedata.normalize("NFC", text).split())
