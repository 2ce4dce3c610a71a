"""Tables and page of a sweep: no cell is lost, no mean hides a missing seed, no reason holds a path."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_outcomes import DETECTORS, Plan, record, sizes_and_seeds

from benchmark.cli.sweep_tables import outcome_json, print_outcome
from benchmark.core.errors import BadDataError, DamagedError, UsageError
from benchmark.core.sealed import seal
from benchmark.runs.sweeps.folder import write_all
from benchmark.runs.sweeps.outcome import Written, read_outcome, write_outcome
from benchmark.runs.sweeps.readings import PRIVATE_REASON
from benchmark.runs.sweeps.tables import escape_latex

REFUSED = "refused: training and held-out patients are not alike"


def mixed(folder: Path) -> Plan:
    """Two sizes, three seeds: one seed failed, one was declined, one was refused."""
    plan = Plan(folder)
    for seed in range(3):
        plan.done(record(0.4 + 0.01 * seed, items=16, seed=seed), train_items=16, seed=seed)
    plan.done(record(0.1, items=64, seed=0), train_items=64, seed=0)
    plan.absent("failed", "ldm failed in fit: no loss; see /home/dr_smith/log.txt", train_items=64, seed=1)
    plan.absent("declined", "too few images", train_items=64, seed=2)
    plan.done(record(0.0, items=256, seed=0), train_items=256, seed=0)
    plan.done(record(None, items=256, seed=1, reason=REFUSED), state="cached", train_items=256, seed=1)
    plan.absent("skipped", train_items=256, seed=2)
    return plan


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("sweep")
    return write_outcome(folder / "out", mixed(folder / "runs").outcomes)


def test_every_cell_keeps_one_row_per_detector(written: Written) -> None:
    table = pd.read_parquet(written.table)
    assert len(table) == 9 * len(DETECTORS)
    assert table["detector"].tolist() == list(DETECTORS) * 9
    assert table.drop_duplicates("cell")["state"].tolist() == [
        "done", "done", "done", "done", "failed", "declined", "done", "cached", "skipped",
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first.train_items, first.seed, first.detector) == (16, 0, "copy")
    ends = first[["exposed_share_low", "exposed_share", "exposed_share_high"]].tolist()
    assert ends == pytest.approx([0.37, 0.4, 0.43])
    assert (first.n_train_patients, first.n_heldout_patients, first.fit_seconds, first.seconds) == (16, 100, 10, 15)
    assert first.planted_recall == 0.75
    assert first.verdict == "HOLD"


def test_cells_without_numbers_have_reasons_and_never_zeros(written: Written) -> None:
    table = pd.read_parquet(written.table).set_index("cell")
    scores = [name for name in table.columns if name.startswith(("exposed", "memorised", "copy_rate", "quality"))]
    assert table.loc[[4, 5, 8], scores].isna().all(axis=None)
    assert table.loc[7, ["exposed_share", "exposed_patients"]].isna().all(axis=None)
    assert table["reason"][4].tolist() == 2 * [PRIVATE_REASON]
    assert table["reason"][5].tolist() == 2 * [PRIVATE_REASON]
    assert table["reason"][7].tolist() == 2 * [REFUSED]
    assert table["reason"][8].tolist() == 2 * ["the sweep stopped before it"]


def test_means_say_which_seeds_they_leave_out(written: Written) -> None:
    means = pd.read_parquet(written.means).query("detector == 'copy'").set_index("train_items")
    assert means["seeds"].to_dict() == {
        16: "3 of 3", 64: "1 of 3, 1 failed, 1 declined", 256: "1 of 3, 1 skipped, 1 refused",
    }  # fmt: skip
    assert means["incomplete"].to_dict() == {16: False, 64: True, 256: True}
    assert means["exposed_share"][16] == pytest.approx(0.41)
    assert means["exposed_share"][64] == pytest.approx(0.1)
    assert means["reason"][64] == PRIVATE_REASON


def test_no_mean_where_a_seed_was_refused(written: Written) -> None:
    means = pd.read_parquet(written.means).query("train_items == 256")
    assert means[["exposed_share", "exposed_patients"]].isna().all(axis=None)
    assert means["reason"].unique().tolist() == ["refused: 1 of 2 seeds"]


def test_tables_for_papers_mark_incomplete_means(written: Written) -> None:
    text = written.means.with_suffix(".tex").read_text()
    assert r"train\_items" in text
    assert "0.100 [0.070, 0.130] *" in text
    assert "0.410 [0.371, 0.449] &" in text
    csv = pd.read_csv(written.table.with_suffix(".csv"))
    assert len(csv) == len(pd.read_parquet(written.table))


def test_the_page_shows_missing_cells_and_makes_no_request(written: Written) -> None:
    page = written.page.read_text()
    assert "4 done" not in page
    assert "9 cells: 5 done, 1 failed, 1 declined, 1 cached, 1 skipped" in page
    assert PRIVATE_REASON in page
    assert "too few images" not in page
    assert REFUSED in page
    assert "dr_smith" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "<script" not in page
    assert "bench run --model ldm --preset smoke --data cxr-pneumonia --train-items 16 --seed 0" in page
    assert page.count("<figure>") == len(written.curves) == 4 + 3 + 2


def test_markup_in_reasons_and_axes_is_shown_as_text(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    plan.absent("failed", "<script>alert(1)</script> & more", variant="<b>bold</b>", seed=0)
    plan.done(record(0.1, items=16), variant="plain", seed=0)
    page = write_outcome(tmp_path / "out", plan.outcomes).page.read_text()
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert "bold" not in page.partition("<body")[2]
    assert re.search("variant=text-[0-9a-f]{8}", page)


def test_a_record_that_cannot_be_read_is_a_failed_cell(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, (0.4, 0.1), 1, sizes=(16, 64))
    (tmp_path / "run-1" / "record.json").write_text("{")
    (tmp_path / "run-0" / "record.json").unlink()
    table = pd.read_parquet(write_outcome(tmp_path / "out", plan.outcomes).table).query("detector == 'copy'")
    assert table["state"].tolist() == ["failed", "failed"]
    assert table["reason"].unique().tolist() == ["its record cannot be read"]
    assert not table["reason"].str.contains(str(tmp_path)).any()


def test_samples_that_look_like_no_training_image_are_noted(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    plan.done(record(0.0, items=16, note="half of the samples are brighter than any training image"), seed=0)
    out = write_outcome(tmp_path / "out", plan.outcomes)
    note = "half of the samples are brighter than any training image"
    assert pd.read_parquet(out.table)["note"].unique().tolist() == [note]
    assert note in out.page.read_text()


def test_nothing_finished_is_an_outcome_too(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    plan.absent("failed", "no disk", train_items=16, seed=0)
    plan.absent("planned", train_items=64, seed=0)
    out = write_outcome(tmp_path / "out", plan.outcomes)
    assert out.curves == ()
    assert pd.read_parquet(out.means)["seeds"].unique().tolist() == ["0 of 1, 1 failed", "0 of 1, 1 planned"]
    assert "No finished cells" in out.page.read_text()


def test_axes_of_mixed_values_and_names_of_columns(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for items, value in ((16, 16), (500, "all")):
        plan.done(record(0.1, items=items), train_items=value, detector="ssim")
    table = pd.read_parquet(write_outcome(tmp_path / "out", plan.outcomes).table)
    assert table["train_items"].unique().tolist() == ["16", "all"]
    assert table["detector (axis)"].unique().tolist() == ["ssim"]
    assert table["detector"].unique().tolist() == list(DETECTORS)


def test_equal_numbers_give_equal_files(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, (0.4, 0.1), 2, sizes=(16, 64))
    texts = []
    for name in ("first", "second"):
        out = write_outcome(tmp_path / name, plan.outcomes)
        texts.append([path.read_bytes() for path in (*out.curves, out.table, out.means, out.trends, out.page)])
    assert texts[0] == texts[1]


def test_a_sweep_without_cells(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        write_outcome(tmp_path, [])
    assert str(error.value) == "this sweep has no cells\n  hint: give at least one value to each axis"


def test_the_terminal_shows_what_the_files_hold(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written.page.parent
    print_outcome(folder)
    shown = capsys.readouterr().out
    assert "is there a trend?" in shown
    assert "cells without numbers" in shown
    assert PRIVATE_REASON in " ".join(shown.split())
    assert "1 of 3, 1 failed" in shown
    assert shown.splitlines()[-1] == f"page: {folder / 'index.html'}"
    print_outcome(folder, as_json=True)
    assert json.loads(capsys.readouterr().out) == outcome_json(read_outcome(folder), folder)


def test_the_terminal_alone_shows_the_messages_of_failed_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = mixed(tmp_path / "runs")
    write_outcome(tmp_path / "out", plan.outcomes)
    write_all(tmp_path / "out", plan.outcomes)
    print_outcome(tmp_path / "out")
    assert "no loss; see /home/dr_smith/log.txt" in " ".join(capsys.readouterr().out.split())
    print_outcome(tmp_path / "out", as_json=True)
    assert "dr_smith" not in capsys.readouterr().out


def test_text_that_is_typed_for_an_axis_is_a_digest(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for number, (path, model) in enumerate((("anna", "./anna.py:Anna"), ("4711", "ldm:widths=8,16"))):
        plan.done(record(0.1 * number, items=16), model=model, path=path, steps=100 * number)
    table = pd.read_parquet(write_outcome(tmp_path / "out", plan.outcomes).table)
    assert table["steps"].unique().tolist() == [0, 100]
    assert table["model"].str.fullmatch(r"own-[0-9a-f]{8}|ldm:widths=8,16").all()
    assert table["path"].str.fullmatch("text-[0-9a-f]{8}").all()
    assert table["path"].nunique() == table["model"].nunique() == 2


def test_a_terminal_has_no_column_for_what_is_the_same_in_all_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (sizes_and_seeds(tmp_path / name, (0.4, 0.1), 2, sizes=(16, 64), model=name) for name in ("ldm", "vae"))
    write_outcome(tmp_path / "one", one.outcomes)
    print_outcome(tmp_path / "one")
    shown = capsys.readouterr().out
    assert "in all cells: model=ldm\n" in shown
    assert shown.count("ldm") == 1
    both = [
        replace(outcome, cell=replace(outcome.cell, index=number))
        for number, outcome in enumerate([*one.outcomes, *two.outcomes])
    ]
    write_outcome(tmp_path / "both", both)
    print_outcome(tmp_path / "both")
    shown = capsys.readouterr().out
    assert "in all cells" not in shown
    assert shown.count("ldm") == shown.count("vae") > 4


def test_a_terminal_shows_the_claim_that_decided_the_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = sizes_and_seeds(tmp_path / "runs", (0.4, 0.1), 2, sizes=(16, 64), model="ldm").outcomes
    heads = []
    for claims in ({}, {"train_items": "falls"}):
        write_outcome(tmp_path / str(len(claims)), outcomes, claims=claims)  # type: ignore[arg-type]
        print_outcome(tmp_path / str(len(claims)))
        lines = capsys.readouterr().out.partition("is there a trend?")[2].splitlines()
        heads.append(lines[2].split())
    assert heads == [["axis", "score", "levels", "answer"], ["axis", "score", "levels", "claim", "answer"]]
    claimed = [line for line in lines if "memorised_share" in line]
    assert len(claimed) == len(DETECTORS)
    assert all("16 < 64   falls   " in line for line in claimed)


def test_a_folder_without_an_outcome(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        print_outcome(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds no outcome of a sweep: table.parquet is missing\n  hint: give the folder of a sweep"
    )


def test_an_outcome_that_was_cut_off(written: Written, tmp_path: Path) -> None:
    for name in ("table", "means", "trends"):
        (tmp_path / f"{name}.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedError, match=f"^{tmp_path}/table.parquet has no digest next to it"):
        read_outcome(tmp_path)
    for name in ("table", "means", "trends"):  # as another program of ours would have written them
        seal(tmp_path / f"{name}.parquet")
    with pytest.raises(BadDataError, match=f"^the tables in {tmp_path} cannot be read"):
        read_outcome(tmp_path)


def test_latex_escapes() -> None:
    assert escape_latex(r"a_b 5% {x} \y ~") == r"a\_b 5\% \{x\} \textbackslash{}y \textasciitilde{}"
