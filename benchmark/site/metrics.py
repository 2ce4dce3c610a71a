"""Pages of metrics, from the tables of docs/metrics.md alone: nothing is written twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup, escape

from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY, UNLIKE
from benchmark.records.definitions import Definition, definitions, look_up

INLINE = re.compile(r"`(?P<code>[^`]+)`|\[(?P<label>[^\]]+)\]\([^)]*\)")
SHORT = {
    line.id.partition("[")[0]: line.meaning for line in (*LINES, *QUALITY, *PROMPTS, *FURTHER, *FURTHER_QUALITY, UNLIKE)
}
"""One line for each score of `bench metrics`."""


@dataclass(frozen=True, eq=False)
class Metric:
    """One row of the document, and the name of its page."""

    definition: Definition
    page: str
    """Made of its first id, which is ours."""

    @property
    def title(self) -> str:
        """Its ids."""
        return ", ".join(self.definition.ids)

    @cached_property
    def neutral(self) -> Markup:
        """The value for a generator that copies nobody, as HTML; empty where it is not known in advance."""
        return inline(self.definition.neutral)

    @property
    def short(self) -> str:
        """The line of `bench metrics`, where there is one."""
        return next((SHORT[one] for one in self.definition.ids if one in SHORT), "")


class Glossary:
    """The metrics of the document, and which of them a score of a record is."""

    def __init__(self) -> None:
        self.metrics = [Metric(row, _page(row)) for row in definitions() if row.ids]
        self._by_id = {one: metric for metric in self.metrics for one in metric.definition.ids}
        self._rows = {one: metric.definition for one, metric in self._by_id.items()}
        self._found: dict[str, Metric | None] = {}

    def find(self, score: str) -> Metric | None:
        """Return the metric of a score's id, such as `copies.null[copy]`; nothing for one that no table has."""
        if score not in self._found:
            row = look_up(score, self._rows)
            self._found[score] = self._by_id[row.ids[0]] if row else None
        return self._found[score]

    @cached_property
    def sections(self) -> dict[str, list[Metric]]:
        """The metrics by the heading above their table."""
        groups: dict[str, list[Metric]] = {}
        for metric in self.metrics:
            groups.setdefault(metric.definition.section, []).append(metric)
        return groups


def _page(row: Definition) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row.ids[0].lower()).strip("-")


def inline(text: str) -> Markup:
    """Return a line of Markdown as HTML: code in backticks, the label of a link, and everything else as text.

    Links are not followed: the other documents are not part of the site.
    """
    parts, place = [], 0
    for match in INLINE.finditer(text):
        parts.append(escape(text[place : match.start()]))
        code = match["code"]
        parts.append(Markup("<code>{}</code>").format(code) if code else escape(match["label"]))
        place = match.end()
    return Markup("").join([*parts, escape(text[place:])])
