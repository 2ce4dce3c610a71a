"""The private report of `bench prompts`: the top prompts with their words and images, and what was measured of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from benchmark import __version__
from benchmark.core.errors import BadDataError
from benchmark.core.files import read_json
from benchmark.core.public_text import HIDDEN
from benchmark.core.sealed import require_unchanged
from benchmark.evaluation.report.encode import data_uri, encode_all
from benchmark.evaluation.report.page import REPORT, render
from benchmark.pages import svg
from benchmark.pages.render import write_html
from benchmark.text2image import summary as summaries
from benchmark.text2image import tokens as token_summaries
from benchmark.text2image.detect import FURTHER
from benchmark.text2image.prompts import SCORES, SUMMARY, TEXTS, constant_note
from benchmark.text2image.top_images import read_top_images

if TYPE_CHECKING:
    from benchmark.core.types import Array

CARDS = 20
"""Prompts that are shown one by one: the most of `--shown` that a reader looks through."""
LISTED = 200
"""Prompts in the table."""
LETTERS = 300
"""Letters of a prompt in the table; whole reports are in the cards."""
WORDS = 5
"""Words of a prompt that are named by how far d_mem falls without them."""
IMAGE_BYTES = 9_000_000
"""Size of all images of the page, before base64 adds a third."""
DOTS = 1_500
"""Points of a figure: all of a shorter list, else the top ones and every so many of the others."""
FURTHER_COLUMNS = ("score", "median", "1 % to 99 % of prompts", "rank correlation with d_mem")
WIDTH, HEIGHT = 560, 310
NAMES = {
    "d_mem": "d_mem",
    "adjusted": "d_mem, adjusted for length",
    "first": "d_mem of the first step",
    "entropy_first": "attention entropy, first step",
    "entropy_last": "attention entropy, last steps",
    "anisotropy": "anisotropy",
    "seeds": "likeness of the seeds' images",
}
"""Scores of a prompt in words; all are higher for prompts that are more likely memorised."""
Strings = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Table:
    """Rows of text below a title."""

    title: str
    columns: tuple[str, ...]
    rows: Strings


@dataclass(frozen=True)
class Card:
    """One prompt."""

    rank: int
    text: Markup
    """The prompt, its markers in `<mark>`."""
    count: int
    marked: bool
    outlier: bool
    positive: bool | None
    """What the list says; nothing where it says nothing."""
    scores: tuple[tuple[str, str], ...]
    """Name and value of each score, with the share of prompts below it."""
    words: tuple[tuple[str, str], ...]
    """Words and the change of d_mem without them, the greatest fall first; none without --tokens."""
    images: tuple[str, ...]
    """Data URIs, one per seed."""


def _checked(path: Path) -> Path:
    return require_unchanged(path, "score the list again: bench prompts")


def is_prompts_folder(folder: Path) -> bool:
    """Tell whether a folder is one that `bench prompts` wrote."""
    return all((folder / name).exists() for name in (TEXTS, SCORES, SUMMARY))


def write_prompts_report(folder: Path, out: Path) -> Path:
    """Write report.html of a folder of `bench prompts`, and return its path. It shows prompts and images: private.

    Raises BadDataError where the tables of the folder do not belong together.
    """
    summary, scores = read_json(_checked(folder / SUMMARY), dict), _scores(folder)
    page = render(
        "prompts.html",
        look="unsure",
        date=date.today().isoformat(),
        version=f"memobench {__version__}",
        summary=summary,
        cards=_cards(folder, scores, summary),
        tables=_tables(folder, summary),
        figures=_figures(scores),
        listed=_listed(scores),
        note=constant_note(summary),
        facts=_facts(summary),
    )
    write_html(out / REPORT, page)
    return out / REPORT


def _scores(folder: Path) -> pd.DataFrame:
    """Return scores with the text of each prompt, the highest d_mem first."""
    texts, scores = (pd.read_parquet(_checked(folder / name)) for name in (TEXTS, SCORES))
    joined = scores.merge(texts[["sha", "prompt"]], on="sha", how="left")
    if joined["prompt"].isna().any() or not len(joined):
        raise BadDataError(
            f"{folder / SCORES} and {folder / TEXTS} are not of the same list", "score the list again: bench prompts"
        )
    return joined


def _cards(folder: Path, scores: pd.DataFrame, summary: Mapping[str, Any]) -> list[Card]:
    images = {sha: drawn for sha, drawn in read_top_images(folder).items() if sha in set(scores["sha"])}
    words = _words(folder)
    limit = IMAGE_BYTES // max(1, min(CARDS, len(images)))
    shown = scores.head(max(5, min(CARDS, len(images))))
    return [
        Card(
            rank=place + 1,
            text=_highlighted(row["prompt"], summary["rule"]["marker"]),
            count=int(row["count"]),
            marked=bool(row["marked"]),
            outlier=bool(row["d_mem_outlier"]),
            positive=bool(row["positive"]) if "positive" in row else None,
            scores=tuple(_placed(scores, name, row[name]) for name in NAMES if name in scores),
            words=words.get(row["sha"], ()),
            images=_uris(images[row["sha"]], limit) if row["sha"] in images else (),
        )
        for place, row in enumerate(shown.to_dict("records"))
    ]


def _highlighted(prompt: str, marker: str) -> Markup:
    """Return a prompt as HTML, its de-identification markers in `<mark>`.

    A marker of the user's own is known by its digest only, and not highlighted.
    """
    if HIDDEN.fullmatch(marker):
        return escape(prompt)
    parts, place = [], 0
    for match in re.finditer(marker, prompt):
        parts += [escape(prompt[place : match.start()]), Markup("<mark>{}</mark>").format(match.group())]
        place = match.end()
    return Markup("").join([*parts, escape(prompt[place:])])


def _placed(scores: pd.DataFrame, name: str, value: float) -> tuple[str, str]:
    """Return a score in words with how many prompts are below it."""
    below = float((scores[name] < value).mean())
    return NAMES[name], f"{value:.4g} (above {100 * below:.0f} % of the prompts)"


def _words(folder: Path) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the words of each prompt by how far d_mem falls without them; nothing without --tokens."""
    path = folder / "words.parquet"
    if not path.exists():
        return {}
    table = pd.read_parquet(_checked(path)).sort_values("change", kind="stable")
    falls = table[table["change"] < 0]
    return {
        str(sha): tuple((row["word"], f"{100 * row['change']:.0f} %") for row in own.head(WORDS).to_dict("records"))
        for sha, own in falls.groupby("sha", sort=False)
    }


def _uris(images: Array, limit: int) -> tuple[str, ...]:
    """Return images (seeds, C, height, width), uint8, as data URIs; the first channel of others than 1 or 3."""
    planes = [image.transpose(1, 2, 0) if len(image) == 3 else image[0] for image in images]
    return tuple(data_uri(file) for file in encode_all(planes, limit)[0])


def _tables(folder: Path, summary: dict[str, Any]) -> list[Table]:
    made = [Table("The list as a whole", ("", "d_mem", "length-adjusted"), summaries.rows(summary))]
    if "further" in summary:
        made.append(Table("What --further found", FURTHER_COLUMNS, summaries.further_rows(summary)))
    if "separation" in summary:
        rows = summaries.separation_rows(summary)
        made.append(Table("Prompts that the list calls memorised", ("score", "AUC", "TPR at 1 % FPR"), rows))
    for name, title in (("tokens.json", "Words"), ("tokens-faithful.json", "Words, gradients as published")):
        if (folder / name).exists():
            by_word = token_summaries.rows(read_json(_checked(folder / name), dict))
            made.append(Table(title, ("", "mean over prompts [95 % interval]"), by_word))
    if (folder / "mitigations.json").exists():
        made.append(_mitigations(read_json(_checked(folder / "mitigations.json"), dict)))
    return made


def _mitigations(kept: dict[str, Any]) -> Table:
    from benchmark.text2image.mitigate import COLUMNS, Effect, rows

    effects = {name: Effect(**values) for name, values in kept["effects"].items()}
    return Table(f"Mitigations, {kept['prompts']} prompts", COLUMNS, rows(effects))


def _listed(scores: pd.DataFrame) -> Table:
    names = [name for name in NAMES if name in scores]
    rows = [
        (str(place + 1), _short(row["prompt"]), *(f"{row[name]:.4g}" for name in names), "yes" if row["marked"] else "")
        for place, row in enumerate(scores.head(LISTED).to_dict("records"))
    ]
    return Table("", ("rank", "prompt", *(NAMES[name] for name in names), "marker"), rows)


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= LETTERS else f"{prompt[:LETTERS]} ..."


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    sampling, rule = summary["pass"], summary["rule"]
    outliers = f"{rule['z']:g} standard deviations" if rule["z"] else f"{rule['percentile']:g}th percentile"
    return {
        "pipeline": str(summary["pipeline"]),
        "different prompts": str(summary["prompts"]),
        "sampling": f"{sampling['steps']} steps, {sampling['seeds']} seeds, guidance {sampling['guidance']:g}, "
        f"{sampling['precision']}{', the first step only' if sampling['first'] else ''}",
        "outliers are above": outliers,
    }


def _figures(scores: pd.DataFrame) -> list[Markup]:
    """Draw each further score against d_mem; without them the score adjusted for length."""
    names = [name for name in (*FURTHER, "seeds") if name in scores] or ["adjusted"]
    every = max(1, -(-len(scores) // DOTS))
    # Of a long list the top stays whole: it is what the figure is about.
    drawn = scores.iloc[np.unique(np.r_[: min(100, len(scores)), 0 : len(scores) : every])]
    figures = [_scatter(drawn, name) for name in names]
    return [figure for figure in figures if figure is not None]


def _scatter(scores: pd.DataFrame, name: str) -> Markup | None:
    x, y = scores["d_mem"].to_numpy(float), scores[name].to_numpy(float)
    if not (np.isfinite(y).all() and np.ptp(x) and np.ptp(y)):
        return None
    frame = svg.Frame(62, 34, WIDTH - 82, HEIGHT - 90, _widened(x), _widened(y))
    dots = [
        svg.tag("circle", cx=frame.px(one), cy=frame.py(other), r=4 if outlier else 2.5, class_=look)
        for one, other, outlier in zip(x, y, scores["d_mem_outlier"], strict=True)
        for look in ("dot outlier" if outlier else "dot faint",)
    ]
    axes = svg.axes(
        frame, svg.ticks(*frame.x, most=5), svg.ticks(*frame.y, most=5), x_text=lambda value: f"{value:g}",
        y_text=lambda value: f"{value:g}", x_label="d_mem", y_label=NAMES[name],
    )  # fmt: skip
    described = f"{len(scores)} prompts; {int(scores['d_mem_outlier'].sum())} outliers by d_mem are drawn larger."
    return svg.figure(WIDTH, HEIGHT, f"{NAMES[name]} by d_mem", described, axes, *reversed(dots), name=f"by-{name}")


def _widened(values: Array) -> tuple[float, float]:
    margin = 0.04 * float(np.ptp(values))
    return float(values.min()) - margin, float(values.max()) + margin
