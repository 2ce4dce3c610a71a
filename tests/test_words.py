"""Phrases that came back often and that readers had to guess at: none of them is in the code or in the documents.

Each has its replacement. Between the words of a phrase there may be any white space, underscore or comment sign, so
that neither a line break nor an identifier hides it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("benchmark", "memobench", "models", "datasets", "scripts")
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "leaderboards/RULES.md")


@dataclass(frozen=True)
class Tic:
    """A pattern of words, what to write instead, a sentence that has it, and one that has not."""

    pattern: str
    instead: str
    bad: str
    good: str

    @property
    def regex(self) -> re.Pattern[str]:
        """The pattern between letters' ends, with any gap between its words."""
        gap = r"(?:[\s_]|\n\s*#)+"
        return re.compile(rf"(?<![A-Za-z])(?:{self.pattern.replace(' ', gap)})(?![A-Za-z])")


UNIT = (
    r"(?:\d (?:s|ms|min|h|[KMG]i?B)|seconds?|minutes?|bytes|pixels|voxels|images|items|patients|slices|samples|steps"
    "|noises)"
)
PER = (
    "(?:row|file|line|page|number|value|image|name|column|figure|cell|entry|process|thread|seed|item|loss|score|folder"
    "|subject|array)"
)
OF = "(?:prompt|step|side|split|patient|case|second|plane|row|query|item|class|volume|run|model|sample|image|pair|core)"

TICS = (
    Tic("by heart", "memorised", "prompts that it knows by heart", "prompts that it has memorised"),
    Tic("like nothing", "zero variance", "a constant item is like nothing", "a constant item has zero variance"),
    Tic("goes on|went on", "resumes", "the same command goes on from here", "callers would go on using it"),
    Tic("(?:known|the|against) truth|truth is (?!not)", "ground truth", "against truth", "against the ground truth"),
    Tic("brought", "external, pretrained", "models brought along", "external models"),
    Tic("mend(?:s|ed|ing)?", "fix", "what was mended", "we recommend amended files"),
    Tic("stripes?", "tiles", "in stripes of 64 rows", "in tiles of 64 rows, striped or not"),
    Tic("rests|rested on", "residuals; depends on", "codes of the rests", "residuals, the rest on a disk, restarts"),
    Tic("turned|turning|quarter turns?", "rotated, converted", "volumes turned to RAS", "returned, rotated, in turn"),
    Tic("turns? (?:the|an?|them|items|images|each)", "converts", "turn the split into", "whose turn it is, in turn"),
    Tic(
        "(?:words|tokens?) of (?:a|the|its) codebook|words? an item|(?:images|split) into words",
        "tokens, codebook indices", "images become words of a codebook", "the words of a prompt",
    ),
    Tic("pictures?", "images, figures", "the picture of all pairs", "the figure of all pairs"),
    Tic("anew", "again, rebuilt", "the index is made anew", "a new index, renewed"),
    Tic(f"one {PER} an? [a-z]+", "one ... per ...", "Return one row a file", "one row per file; one file and a table"),
    Tic(f"{UNIT} an? {OF}", "per", "takes 0.4 s a step", "takes 0.4 s per step; two images and a step; it's a step"),
    Tic("at hand|(?:is|are|was) had|had of|ask(?:s|ed)? of", "available, taken from", "of the sets at hand", "by hand"),
    Tic("beside (?:it|them|that|this|one another)|stands? beside", "with, next to", "its null beside it", "besides"),
    Tic(
        "lies? (?:here|there|beside|about|under)|where (?:it|they) lies?",
        "is in", "what lies under root", "lies between 0 and 1",
    ),
    Tic("passed over", "skipped", "radiographs are passed over", "they passed, over 5 %"),
    Tic(r"design \d(?:\.\d+)?", "say the thing itself", "are treated alike (design 6.5)", "by design, 6 items"),
    Tic("search_gib|SearchGib", "search_memory", "memory=request.search_gib", "request.search_memory"),
    Tic(
        "(?:training|learning) recipes?|recipe of (?:the )?training|(?:denoiser|stage|phase)'s recipe",
        "configuration", "Return the denoiser's recipe", "the recipe of the data set's card",
    ),
)  # fmt: skip

FRAGMENT = re.compile(r"(?<=[\"`])Of (?!course)[^.\"]*(?=[.\"])|^Of (?:the|an?|this|each)\b[^.]*:", re.MULTILINE)
"""A help text, docstring or line that begins with "Of": a sentence without a verb."""

OLD_NAMES = re.compile(
    r"\b(?:class (?:Sample|Part|Pass|Rule|Extras|Opened|Truth|Recipe|Brought|Cut)|def (?:word|replacing|turned|kin)"
    r"|nothing_like|code_rests|moved_by"
    r"|benchmark\.(?:contracts|storage|options|progress|seeding|workers|machine|energy|environment|registry|checkouts"
    r"|catalogue|readers|augment|planted|calibration|twin|shares|neighbours|training\.recipe|networks|brought|normal"
    r"|samples|trials|text|assess|evaluate|secondary|searching|audit|request|run|cli_options|terminal))\b"
)
"""Symbols and modules of the flat layout, which no file of the present one has."""

VAGUE = ("how", "ask", "say", "found")
"""Names of variables and parameters that do not tell what they hold."""


def read(path: Path) -> str:
    """Return a file's text, without the output of a named commit that docs/performance.md quotes."""
    text = path.read_text(encoding="utf-8")
    return text.partition("## Every run")[0] if path.name == "performance.md" else text


def files(place: str) -> list[Path]:
    found = [path for ending in ("py", "md", "toml", "html") for path in (ROOT / place).rglob(f"*.{ending}")]
    return sorted(found)


def packages() -> Iterator[tuple[str, list[Path]]]:
    """Each package, and each other place, with its files."""
    for place in sorted(path for path in (ROOT / "benchmark").iterdir() if path.is_dir() and path.name[0] != "_"):
        yield f"benchmark/{place.name}", files(f"benchmark/{place.name}")
    for place_name in (*CODE[1:], "docs"):
        yield place_name, files(place_name)
    yield "texts", [ROOT / name for name in TEXTS]


PLACES = dict(packages())


def hits(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, words and replacement of every tic of a text."""
    for tic in TICS:
        for match in tic.regex.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), tic.instead
    for match in FRAGMENT.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), "a sentence with a verb"


def vague_names(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of every variable and parameter that does not tell what it holds."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.arg) and node.arg in VAGUE:
            yield node.lineno, node.arg
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE:
            yield node.lineno, node.id


@pytest.mark.parametrize("place", PLACES)
def test_no_tic(place: str) -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {words!r}: {instead}"
        for path in PLACES[place]
        for line, words, instead in hits(read(path))
    ]
    assert lines == [], "\n".join([f"{len(lines)} phrases to replace", *lines])


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("docs", "texts")])
def test_names_tell_what_they_hold(place: str) -> None:
    paths = [path for path in PLACES[place] if path.suffix == ".py"]
    lines = [f"{path.relative_to(ROOT)}:{line}: {name}" for path in paths for line, name in vague_names(read(path))]
    assert lines == [], "\n".join([f"{len(lines)} names to replace", *lines])


@pytest.mark.parametrize("place", PLACES)
def test_old_names_are_gone(place: str) -> None:
    names = {
        f"{path.relative_to(ROOT)}: {match[0]}" for path in PLACES[place] for match in OLD_NAMES.finditer(read(path))
    }
    assert names == set()


def test_old_names_are_seen() -> None:
    text = "from benchmark.storage import replacing\nclass Brought:\n    def turned(): ...\nbenchmark.training.recipe"
    assert [match[0] for match in OLD_NAMES.finditer(text)] == [
        "benchmark.storage", "class Brought", "def turned", "benchmark.training.recipe",
    ]  # fmt: skip
    assert not OLD_NAMES.search("benchmark.core.options benchmark.cli.run def turned_by class Samples benchmark.runs")


@pytest.mark.parametrize("tic", TICS, ids=lambda tic: tic.bad)
def test_the_patterns_catch_the_tics_and_nothing_else(tic: Tic) -> None:
    assert tic.regex.search(tic.bad)
    assert tic.regex.search(tic.bad.replace(" ", "\n    # "))
    assert not any(other.regex.search(tic.good) for other in TICS)


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ('help="Of the patient split."', True),
        ('"""Of as many other words at random."""', True),
        ("\nOf the split: patients.", True),
        ('"""Return what is left. Of 65 slices, 3 are kept."""', False),
        ('help="Seed of the patient split."', False),
        ("\nOf course it is: yes.", False),
    ],
)
def test_fragments(text: str, caught: bool) -> None:
    assert bool(FRAGMENT.search(text)) == caught


def test_vague_names_are_seen() -> None:
    text = "def f(how, what):\n    found = [say for say in what]\n    return found\nx.found = 1\nask: int = 2\n"
    assert sorted(vague_names(text)) == [(1, "how"), (2, "found"), (2, "say"), (5, "ask")]


def test_every_place_has_files() -> None:
    assert {"benchmark/search", "benchmark/cli", "models", "scripts", "docs"} <= set(PLACES)
    assert all(PLACES.values())
