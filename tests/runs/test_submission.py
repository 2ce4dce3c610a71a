"""A run's record from submission to verification; and what becomes of it when anything in it is changed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from bench_calls import BenchServer
from canaries import leaks
from conftest import PATIENTS, films
from pixels import pixel_leaks, pixels_of

import memobench
from benchmark.core.errors import DamagedError
from benchmark.evaluation.verification import first_difference
from benchmark.records.record import Record
from benchmark.runs.submission import file_of, validate
from benchmark.runs.verify import verify_run

Values = dict[str, Any]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def honest(server: BenchServer, xrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a model that copies a tenth of its samples."""
    folder, cache = tmp_path_factory.mktemp("honest"), tmp_path_factory.getbasetemp() / "cache"
    arguments = ["run", "--model", "copycat", "--data", "cxr-pneumonia", "--root", str(xrays), "--image-size", "32"]
    arguments += ["--cache", str(cache), "--samples", "200", "--set", "contamination=0.1"]
    done = server.call(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return next(folder.rglob("record.json")).parent


@pytest.fixture(scope="session")
def record(honest: Path) -> Record:
    return Record.read(honest / "record.json")


def test_a_run_is_submitted_verified_validated_and_retracted(
    bench: Any, honest: Path, record: Record, tmp_path: Path
) -> None:
    done = bench("leaderboard", "submit", honest)
    assert done.returncode == 0, done.stderr
    path = Path("leaderboards", "records", file_of(record))
    assert done.stdout.strip() == str(path)
    assert done.stderr == (
        "submit: publish this record or the synthetic images of its run, not both: whoever has both and an image of a "
        "patient can guess whether the patient was in training, the better the fewer patients the cohort has and the "
        "more of its runs are published (docs/protocol.md, Receipts)\n"
    )
    assert (tmp_path / path).read_bytes() == (honest / "record.json").read_bytes()
    assert list((tmp_path / path).parent.iterdir()) == [tmp_path / path]
    verified = bench("leaderboard", "verify", path, "--among", path.parent)
    assert (verified.returncode, verified.stdout) == (0, f"{path}: MATCH, no rank\n")  # it is a control
    valid = bench("leaderboard", "validate")
    assert (valid.returncode, valid.stdout) == (0, "1 of 1 records are valid\n")
    assert bench("leaderboard", "build", "--runs", "none").returncode == 0
    (row,) = (tmp_path / "leaderboards" / "site" / "rows").glob("*.html")
    assert "Receipt verified" in row.read_text()
    require_no_patient([honest / "summary.html", *(tmp_path / "leaderboards").rglob("*")])
    retracted = bench("leaderboard", "retract", path, "--reason", "trained on test patients")
    assert retracted.returncode == 0, retracted.stderr
    assert bench("leaderboard", "validate").returncode == 0
    board = next(Path(line) for line in bench("leaderboard", "build", "--runs", "none").stdout.splitlines())
    assert "retracted: trained on test patients" in (tmp_path / board).read_text()
    rows = [page.read_text() for page in (tmp_path / "leaderboards" / "site" / "rows").glob("*.html")]
    assert ["trained on test patients" in row for row in rows] == [True]


def require_no_patient(public: list[Path]) -> None:
    """No pixel of a patient, file name or folder is in what is public of a model that replays training images."""
    known = pixels_of([film for patient in range(PATIENTS) for film in films(patient)])
    files = [path for path in public if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert leaks(path.read_bytes(), ("IM-00", "_virus_", "chest_xray", ".jpeg", "xrays0", "honest0")) == set(), path
        assert pixel_leaks(path.read_bytes(), known) == set(), path


def test_a_submitted_record_is_tabled_exported_and_published(bench: Any, honest: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load((ROOT / "leaderboards" / "github" / "board.yml").read_text(encoding="utf-8"))
    lines = [line for step in workflow["jobs"]["check"]["steps"] for line in step.get("run", "").splitlines()]
    bench("leaderboard", "submit", honest)
    for line in lines:
        if line.startswith("bench "):
            done = bench(*line.split()[1:])
            assert done.returncode == 0, done.stderr
    table = bench("leaderboard", "table", "--columns", "rank,model,answer,exposed.items:low", "--format", "csv")
    assert table.returncode == 0, table.stderr
    (row,) = csv.DictReader(table.stdout.splitlines())
    assert (row["rank"], row["model"], row["answer"]) == ("control", "copycat", "copies shown")
    assert float(row["exposed share: low"]) > 0.02
    (path,) = (tmp_path / "leaderboards" / "records").glob("*.json")
    card = bench("leaderboard", "export", path, "--format", "huggingface")
    assert card.returncode == 0, card.stderr
    (index,) = yaml.safe_load(card.stdout)["model-index"]
    assert index["name"].startswith("copycat, ")
    assert index["results"][0]["metrics"][0]["value"] > 0.02
    written = bench("leaderboard", "export", path, "--format", "every-eval-ever", "--out", "eee.json")
    assert (written.returncode, written.stdout) == (0, "eee.json\n")
    answer, *scores = json.loads((tmp_path / "eee.json").read_text())["evaluation_results"]
    assert answer["score_details"]["score"] == 1
    assert scores[0]["score_details"]["score"] == index["results"][0]["metrics"][0]["value"]


def test_an_edited_record_is_refused_by_the_commands(bench: Any, record: Record, tmp_path: Path) -> None:
    values = record.model_dump(mode="json", by_alias=True)
    values["scores"]["exposed.items[copy]"]["value"] += 0.001
    (tmp_path / "edited.json").write_text(json.dumps(values))
    (tmp_path / "lost.json").write_text("{")
    verified = bench("leaderboard", "verify", "edited.json")
    assert (verified.returncode, verified.stdout) == (
        4, "edited.json: the record was changed after its digest was written\n"
    )  # fmt: skip
    exported = bench("leaderboard", "export", "edited.json", "--format", "huggingface")
    assert (exported.returncode, exported.stdout) == (4, "")
    assert exported.stderr.splitlines()[0] == (
        "error: edited.json cannot be used: the record was changed after its digest was written"
    )
    valid = bench("leaderboard", "validate", ".")
    assert (valid.returncode, valid.stdout) == (4, "0 of 2 records are valid\n")
    assert valid.stderr.splitlines()[0] == "refused: edited.json: the record was changed after its digest was written"
    assert valid.stderr.splitlines()[1].startswith("refused: lost.json: is not readable JSON")


def test_a_record_that_was_replaced_with_its_digests_is_refused_by_name(
    bench: Any, honest: Path, record: Record, tmp_path: Path
) -> None:
    """By a process that has outlived the run, or by anybody who knows the code: as honest numbers, digests included."""
    folder = tmp_path / "runs" / "toy" / "copycat" / "seed-0"
    shutil.copytree(honest, folder)
    values = record.model_dump(mode="json", by_alias=True)
    place = folder / "record.json"
    assert Record.read(place) == record
    Record.model_validate(put(values, ("cost", "fit_seconds"), 9.0)).sealed().write(place)
    why = f"{place.relative_to(tmp_path)} is not what its run wrote: status.json has another digest of it"
    hint = f"  hint: evaluate the run again: bench evaluate {place.parent.relative_to(tmp_path)}"
    submitted = bench("leaderboard", "submit", place.parent.relative_to(tmp_path))
    assert (submitted.returncode, submitted.stderr.splitlines()) == (4, [f"error: {why}", hint])
    built = bench("leaderboard", "build", "--runs", "runs")
    assert (built.returncode, built.stderr.splitlines()) == (
        4, [f"left out: {why.replace(' is not', ': is not', 1)}"]
    )  # fmt: skip
    assert {one.path for one in verify_run(folder).findings} == {place}
    with pytest.raises(DamagedError):
        memobench.load(folder)


def test_the_record_of_a_run_folder_is_not_retracted(bench: Any, honest: Path) -> None:
    done = bench("leaderboard", "retract", honest / "record.json", "--reason", "wrong")
    assert (done.returncode, done.stderr.splitlines()) == (2, [
        f"error: {honest / 'record.json'} is the record of a run folder, which holds what the run has measured",
        "  hint: name the copy that was submitted: leaderboards/records/KEY.json",
    ])  # fmt: skip


def test_no_second_formula(record: Record) -> None:
    assert first_difference(record) == ""
    assert set(record.receipts) == {"copy", "pixels"}
    assert record.scores["exposed.items[pixels]"].value is not None


# Edits: one value at a time


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every number, text and truth value of a record with its place; of long lists the ends."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*place, name))
    elif isinstance(value, list):
        for number in sorted({0, len(value) - 1}) if value else ():
            yield from leaves(value[number], (*place, number))
    elif value is not None:
        yield place, value


def changed(value: Any) -> Any:
    """Return another value of the same type, as an editor with an aim would write it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.97 + 0.00071
    return f"{value}x" if value not in ("lower", "higher", "none") else {"lower": "higher"}.get(value, "lower")


def put(values: Values, place: tuple[Any, ...], value: Any) -> Values:
    edited = json.loads(json.dumps(values))
    target = edited
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = value
    return edited


def test_every_number_name_and_digest_that_is_changed_is_refused_by_name(record: Record, tmp_path: Path) -> None:
    """Each value in turn, with the old digest: no edit is small enough. 100 of them are files, all others in memory."""
    values = record.model_dump(mode="json", by_alias=True)
    edits = [put(values, place, changed(value)) for place, value in leaves(values)]
    assert len(edits) > 500
    assert all(map(edited_in_memory, edits))
    chosen = edits[:: len(edits) // 100]
    for number, edit in enumerate(chosen):
        (tmp_path / f"{number:03d}.json").write_text(json.dumps(edit))
    accepted, refused = validate(tmp_path)
    assert accepted == 0
    assert [one.path.name for one in refused] == [f"{number:03d}.json" for number in range(len(chosen))]


def edited_in_memory(values: Values) -> bool:
    """Return whether values are no record, or not one with this digest."""
    try:
        record = Record.model_validate(values)
    except ValueError:
        return True
    return record.digest != record.content_digest


HEADLINE = (
    "exposed.patients", "exposed.items", "exposed.threshold", "exposed.verbatim", "withheld.items",
    "withheld.false_items", "withheld.false_patients", "split.p", "heldout.exposed", "privacy.epsilon",
    "growth.times10", "growth.times100",
)  # fmt: skip


DECIDING = (
    ("order", "train"), ("order", "heldout"), ("order", "samples"), ("order", "training", 0), ("order", "groups", 0),
    ("threshold",), ("verbatim", 0), ("verbatim_beyond",), ("hits", 0), ("split", "p_value"), ("different",),
)  # fmt: skip
"""Parts of a receipt of which each change changes a number; ties far down the order, for one, change none."""


def resealed(values: Values) -> Record | None:
    """Return the record with a new digest, as who knows the code would write it; none where it is no record."""
    try:
        return Record.model_validate(values).sealed()
    except ValueError:
        return None


@pytest.mark.parametrize("detector", ["copy", "pixels"])
@pytest.mark.parametrize("name", HEADLINE)
def test_a_new_digest_does_not_hide_a_changed_headline(record: Record, name: str, detector: str) -> None:
    values = record.model_dump(mode="json", by_alias=True)
    score = f"{name}[{detector}]"
    for place, value in leaves(values["scores"][score], ("scores", score)):
        if place[-1] == "reason":
            continue  # a sentence; the digest alone keeps it
        edited = resealed(put(values, place, changed(value)))
        assert edited is None or first_difference(edited).startswith(score), place


def test_a_new_digest_does_not_hide_a_changed_replicate_or_receipt(record: Record) -> None:
    values = record.model_dump(mode="json", by_alias=True)
    name = "exposed.items[copy]"
    edited = resealed(put(values, ("replicates", name, 7), values["replicates"][name][7] - 0.01))
    assert edited is not None
    assert first_difference(edited).startswith(f"replicates of {name}: number 8 is ")
    for place, value in leaves(values["receipts"]["copy"], ("receipts", "copy")):
        if place[2:] in DECIDING:
            edited = resealed(put(values, place, changed(value)))
            assert edited is None or first_difference(edited), place


def test_what_is_left_out_is_missed(record: Record) -> None:
    values = record.model_dump(mode="json", by_alias=True)
    for path in (
        ("receipts", "copy"),
        ("replicates", "exposed.items[pixels]"),
        *(("scores", f"{name}[copy]") for name in HEADLINE),
    ):
        edited = json.loads(json.dumps(values))
        del edited[path[0]][path[1]]
        one = resealed(edited)
        assert one is None or first_difference(one), path


def test_two_edited_copies_of_one_run_are_both_refused(record: Record, tmp_path: Path) -> None:
    record.write(tmp_path / "a.json")
    values = record.model_dump(mode="json", by_alias=True)
    edited = resealed(
        put(values, ("scores", "copies.rate[copy]", "value"), values["scores"]["copies.rate[copy]"]["low"])
    )
    assert edited is not None
    edited.write(tmp_path / "b.json")
    accepted, refused = validate(tmp_path)
    assert accepted == 0
    assert [str(one) for one in refused] == [
        f"{tmp_path / mine}: it is of the same run as {tmp_path / other}, and has other scores"
        for mine, other in (("a.json", "b.json"), ("b.json", "a.json"))
    ]
