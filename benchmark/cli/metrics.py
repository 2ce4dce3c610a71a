"""`bench metrics`: the scores of a record."""

from __future__ import annotations


def metrics_command() -> None:
    """List the scores of a record: what each means, and which way is better."""
    from benchmark.cli.tables import print_table
    from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY

    rows = [(f"{line.id}[DETECTOR]", line.meaning) for line in (*LINES, *FURTHER)]
    rows.append(("detector.recall.NAME[DETECTOR]", "share of planted copies found above tau, by transformation"))
    rows.append(("detector.recall_headline.NAME[DETECTOR]", "the same above the threshold of the headline"))
    rows.append(("rule.NAME[DETECTOR]", "the rule published.NAME with a detector that the paper did not use"))
    print_table(
        "scores",
        ("id", "meaning"),
        [*rows, *((line.id, line.meaning) for line in (*QUALITY, *FURTHER_QUALITY, *PROMPTS))],
    )
