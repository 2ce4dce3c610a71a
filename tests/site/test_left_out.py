"""What the public front page says of records that are on no board, and what is known of those that are."""

from __future__ import annotations

from pathlib import Path

from made_records import declined, made

from benchmark.records.collecting import Refused
from benchmark.site.left_out import left_out
from benchmark.site.standing import Standing, key_of, standings_of


def test_no_folder_of_this_machine_is_named() -> None:
    run, other = Path("/home/anna/runs/clinic/seed-0/record.json"), Path("/home/anna/runs/clinic/seed-1/record.json")
    sent = Path("/home/anna/records/0123.json")
    refused = [
        Refused(run, f"it is of the same run as {other}, and has other scores"),
        Refused(sent, f"it is of the same run as {run}, and has other scores"),
        Refused(Path("/home/anna/audits/clinic/audit.json"), "is not a valid audit: cohort: Field required"),
    ]
    assert left_out(refused, [other]) == [
        ("a record of a run here", "it is of the same run as a record of a run here, and has other scores"),
        ("0123.json", "it is of the same run as a record of a run here, and has other scores"),
        ("an audit of detectors here", "is not a valid audit: cohort: Field required"),
    ]


def test_a_row_is_verified_by_its_receipt_or_retracted_with_the_reason() -> None:
    gone = made("vae").retracted("trained on test patients")
    assert standings_of([gone, declined(), made("ldm")]) == {
        key_of(gone): Standing(retracted="trained on test patients"),
        key_of(declined()): Standing(),
        key_of(made("ldm")): Standing(),
    }


def test_a_record_that_is_there_again_stands() -> None:
    """The history says that it is gone from the submitted ones; the run itself is still here."""
    assert standings_of([made("vae"), made("vae").retracted("gone")]) == {key_of(made("vae")): Standing()}
