"""Figures that papers report: shown apart from measured rows, each with the paper's version and citation."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files

from pydantic import BaseModel, ConfigDict


class Figure(BaseModel):
    """One published number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    """The data as the paper names it."""
    cohorts: tuple[str, ...] = ()
    """Our data sets of the same source: their boards show the number, too."""
    model: str
    value: str
    """As printed in the paper."""


class Source(BaseModel):
    """The numbers of one table or figure of a paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str
    citation: str
    address: str
    version: str
    """The version of the paper: numbers may differ between versions."""
    measure: str
    """What the numbers are."""
    reads: str
    """Why they cannot be put next to a row of a board."""
    figures: tuple[Figure, ...]


def sources() -> tuple[Source, ...]:
    """Return all sources of published.toml, in its order."""
    values = tomllib.loads(files("benchmark.site").joinpath("published.toml").read_text(encoding="utf-8"))
    return tuple(Source.model_validate(one) for one in values["source"])


def of_cohort(name: str, known: Sequence[Source]) -> tuple[Source, ...]:
    """Return what the papers report on the data of a cohort."""
    kept = [(one, tuple(figure for figure in one.figures if name in figure.cohorts)) for one in known]
    return tuple(one.model_copy(update={"figures": figures}) for one, figures in kept if figures)
