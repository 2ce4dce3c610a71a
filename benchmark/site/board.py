"""The rows of one cohort under one protocol, in the groups in which their page shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.core.files import content_key
from benchmark.core.percent import percent
from benchmark.records.leaderboard import POSSIBLE, boards, notes_of, subtitle_of
from benchmark.records.record import CohortFacts, Record
from benchmark.site.entry import CONTROL, Entry, entries_of

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.site.standing import Standing


@dataclass(frozen=True)
class Board:
    """One page."""

    name: str
    """The cohort's."""
    key: str
    """The cohort's digest."""
    rules: str
    """The protocol, or what is there in its place."""
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """The name of its files: a digest, never a name from a record."""
        return content_key(self.name, self.key, self.rules)

    @property
    def cohort(self) -> CohortFacts:
        """Sizes and grid."""
        return self.entries[0].record.cohort

    @property
    def title(self) -> str:
        """Cohort and protocol."""
        return f"{self.name}, protocol {self.rules}"

    @property
    def subtitle(self) -> str:
        """Protocol, digest, grid and sizes."""
        return subtitle_of(self.entries[0].record, self.key, self.rules)

    @cached_property
    def models(self) -> list[Entry]:
        """The rows of the main table: models with scores, whether or not they have a rank."""
        return [one for one in self.entries if one.is_done and not one.is_control and not one.standing.retracted]

    @cached_property
    def controls(self) -> list[Entry]:
        """Rows that check the board."""
        return [one for one in self.entries if one.is_control and one.is_done and not one.standing.retracted]

    @cached_property
    def absent(self) -> list[Entry]:
        """Runs that failed or were declined."""
        return [one for one in self.entries if not one.is_done and not one.standing.retracted]

    @cached_property
    def withdrawn(self) -> list[Entry]:
        """Rows that were retracted: they stay, with the reason, and have no rank."""
        return [one for one in self.entries if one.standing.retracted]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The same rows as text, for Markdown and CSV."""
        import pandas as pd

        return pd.DataFrame([{"rank": one.rank, POSSIBLE: one.possible, **one.cells} for one in self.entries]).fillna(
            ""
        )

    @cached_property
    def tied(self) -> Counter[int | str]:
        """How many models share each rank."""
        return Counter(one.rank for one in self.models if one.is_ranked)

    @property
    def blind(self) -> bool:
        """Whether a positive control is there and none of its copies were shown: then no row is an all-clear."""
        positive = [one for one in self.controls if one.model == "copycat"]
        return bool(positive) and not any(one.answer.look == "hold" for one in positive)

    def counted(self, look: str) -> int:
        """Return how many models of the main table have this answer."""
        return sum(one.answer.look == look for one in self.models)

    @cached_property
    def heldout(self) -> tuple[str, str, int, int] | None:
        """Value and interval of held-out patients as if synthetic, where it holds 0, and in how many rows.

        The first row that has it is shown: rows of one cohort have nearly the same, for the real images are the same.
        """
        scores = [(one, score) for one in self.entries if (score := one.score(CONTROL)) and score.value is not None]
        if not scores:
            return None
        holds = sum(score.low is not None and score.low <= 0 for _, score in scores)
        first = scores[0][1]
        ends = "" if first.low is None or first.high is None else f"{percent(first.low)} to {percent(first.high)}"
        return percent(first.value or 0.0), ends, holds, len(scores)

    @property
    def least(self) -> float | None:
        """The smallest exposed share that any row of this board could have shown."""
        shares = [one.detectable for one in self.entries if one.detectable is not None]
        return min(shares) if shares else None


def boards_of(
    records: Sequence[Record], standings: Mapping[str, Standing], audits: Mapping[str, Sequence[str]]
) -> list[Board]:
    """Return one board per cohort and protocol, in the order of their names."""
    made = []
    for (name, key, rules), group in boards(records).items():
        notes = (*notes_of(group), *audits.get(key, ()))
        made.append(Board(name, key, rules, tuple(entries_of((name, key, rules), group, standings)), notes))
    return made
