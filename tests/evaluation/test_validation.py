"""What a maintainer's check finds in a record that would be accepted as a file."""

from __future__ import annotations

from typing import Any

import pytest
from record_values import put, values

from benchmark.evaluation.validation import faults
from benchmark.records.record import Record

ENTRY = {"value": 0.1, "low": 0.05, "high": 0.15, "n": 25}


def faults_of(*changes: tuple[str, Any]) -> list[str]:
    given = values()
    for place, value in changes:
        put(given, place, value)
    return list(faults(Record.model_validate(given).sealed()))


def test_a_record_without_receipts_nulls_and_digests_is_refused_with_all_reasons() -> None:
    found = faults_of()
    assert found[0] == "it has receipts of no detector, and scores by copy"
    assert "no scores by pixels" in found
    assert {"exposed.control[copy] is not in the record", "copies.null[copy] is not in the record"} <= set(found)
    assert {"hashes.adapter_source is not in the record", "hashes.core_source is not in the record"} <= set(found)
    assert "hashes.cohort is not in the record, and cohort.key 0123456789abcdef" in found


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("protocol", "p3", "the protocol p3 is not known: p2 or custom"),
        ("scores/exposed.new[copy]", ENTRY, "exposed.new[copy] is no score that this version knows"),
        ("spec/settings/checkpoint", "/home/anna/x", "spec.settings.checkpoint is a path"),
        ("spec/data_options/table", "anna.csv", "spec.data_options.table is a path"),
        ("hashes/cohort", "ffff", "hashes.cohort is ffff, and cohort.key 0123456789abcdef"),
        (
            "scores/exposed.control[copy]",
            {**ENTRY, "low": 0.06},
            "exposed.control[copy] is 0.06 at least: images of test patients seem to be copies",
        ),
        (
            "scores/detector.recall.exact[copy]",
            {**ENTRY, "value": 0.9, "high": 1.0},
            "detector.recall.exact[copy] is 0.9: a detector that misses exact copies is blind",
        ),
        (
            "scores/copies.null[copy]",
            {"value": 0.1, "low": 0.1, "high": 0.1},
            "copies.null[copy] has an interval of no width",
        ),
        ("scores/copies.rate[copy]", {"value": 0.1, "n": 100}, "copies.rate[copy] has no interval"),
        ("scores/copies.rate[copy]", {**ENTRY, "n": 99}, "copies.rate[copy] has the n 99, and there are 100"),
        ("scores/exposed.control[copy]", {**ENTRY, "n": 24}, "exposed.control[copy] has the n 24, and there are 25"),
        ("cost", {}, "cost.fit_seconds is not in the record"),
    ],
)
def test_each_fault_is_named(place: str, value: Any, fault: str) -> None:
    assert fault not in faults_of()
    assert fault in faults_of((place, value))


def test_a_declined_run_needs_no_receipt() -> None:
    hashes = {"cohort": "0123456789abcdef", "files": "f", "adapter_source": "a", "core_source": "c"}
    declined = [("status", "declined"), ("reason", "no checkout"), ("scores", {}), ("replicates", {})]
    assert faults_of(*declined, ("hashes", hashes)) == []
