"""`bench metrics show ID`: every score that is listed is defined in docs/metrics.md, once."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.cli.metrics import listed
from benchmark.core.errors import MachineError, UsageError
from benchmark.records import definitions as module
from benchmark.records.definitions import define, definitions

TEXT = """# Title
| `no.row` | not below a heading of its own |

## Chapter
| id | is | better | without | fails when | source |
|---|---|---|---|---|---|
| `a.one[x]`, `.two` | both | lower | 0 | never | ours |

| id (`p.` or `q.`) | is | better | fails when | source |
|---|---|---|---|---|
| `three` | other | higher | | theirs |
"""


def test_rows_are_read_with_their_families() -> None:
    first, second = definitions(TEXT.partition("\n\n")[2])
    assert first == module.Definition(("a.one", "a.two"), "both", "lower", "0", "never", "ours", "Chapter")
    assert second == module.Definition(("p.three", "q.three"), "other", "higher", "", "", "theirs", "Chapter")


@pytest.mark.parametrize("name", [name for name, _ in listed() if not name.startswith("rule.NAME")])
def test_every_listed_score_is_defined(name: str) -> None:
    assert define(name).meaning


def test_a_row_can_be_read_alone() -> None:
    rows = definitions()
    assert len(rows) > 40
    cells = [cell for row in rows for cell in (row.meaning, row.neutral, row.fails, row.source)]
    assert [cell for cell in cells if cell.startswith(("as above", "the same"))] == []
    twice = [name for name, count in Counter(name for row in rows for name in row.ids).items() if count > 1]
    assert twice == []


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("neighbours.c_t_null[copy]", "neighbours.c_t"),
        ("quality.frechet_floor[random-conv]", "quality.frechet"),
        ("quality.recall[random-conv]", "quality.precision"),
        ("copies.null[pixels:residual=true]", "copies.null"),
        ("detector.recall.rotate15[copy]", "detector.recall.NAME"),
        ("detector.recall_headline.flip[copy]", "detector.recall_headline.NAME"),
        ("detector.recall.autoencoder[copy]", "detector.recall.autoencoder"),
        ("rule.akbar2025.q95[copy]", "published.akbar2025.mean"),
        ("attack.loss.tpr_at_1_fpr", "attack.loss.auc"),
    ],
)
def test_an_id_of_a_record_leads_to_its_row(name: str, first: str) -> None:
    assert define(name).ids[0] == first


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        define("members.aucs[copy]")
    assert str(error.value) == (
        "there is no score 'members.aucs[copy]'\n  hint: did you mean 'members.auc'? `bench metrics` lists all"
    )


def test_a_missing_document_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(module, "PLACES", (module.Path("/nowhere/metrics.md"),))
    with pytest.raises(MachineError) as error:
        define("members.auc")
    assert str(error.value) == (
        "the definitions of the scores are missing: no /nowhere/metrics.md\n"
        "  hint: install memobench again, from its wheel"
    )


def test_the_command_prints_a_row() -> None:
    done = CliRunner().invoke(app, ["metrics", "show", "members.auc[copy]"])
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "members.auc[copy]"
    assert lines[1:] == [
        "is training against held-out images by S(x; synthetic)",
        "better lower",
        "without copying 0.5; 0.01",
        "fails when few samples: most of train is not drawn",
        "source of the formula Carlini et al. 2022",
        "defined with members.auc, members.tpr_at_1_fpr",
        "chapter Exposure, for each detector (docs/metrics.md)",
    ]
    shown = json.loads(CliRunner().invoke(app, ["metrics", "show", "members.auc", "--json"]).stdout)
    assert (shown["better"], shown["ids"]) == ("lower", ["members.auc", "members.tpr_at_1_fpr"])
