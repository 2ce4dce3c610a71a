"""The study with ground truth: its plan, its oracle, and a small one from end to end on real X-rays and reports."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_pipeline import CAPTIONS, save_tiny
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import BadDataError, BenchError, UsageError
from benchmark.core.types import Cohort, Split
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.studies import plan
from benchmark.text2image.studies.plan import Design, plan_study, read_sentences
from benchmark.text2image.studies.reproduce import Plan
from benchmark.text2image.studies.verdict import summarise

REPORTS = "reports_openi_iu"
SMALL = Design(repeated=(1, 2), once=(6, 3), shared=(1, 1), unseen=(2, 2), repeats=5, sharing=3)


def cohort(train: int = 60, heldout: int = 20) -> Cohort:
    pixels = np.random.default_rng(0).integers(0, 256, (train + heldout, 1, 16, 16)).astype(np.uint8)

    def part(name: str, start: int, stop: int) -> Split:
        names = tuple(f"{name}{number}" for number in range(start, stop))
        return Split(
            name=name, pixels=pixels, rows=np.arange(start, stop), subjects=names, items=names, channels=("x",),
            labels=tuple("NORMAL" if number % 2 else "PNEUMONIA" for number in range(start, stop)),
        )  # fmt: skip

    middle = train + heldout // 2
    parts = {"train": part("train", 0, train), "calibration": part("calibration", train, middle)}
    return Cohort(name="films", key="k", **parts, test=part("test", middle, train + heldout))


def test_the_plan_varies_markers_repeats_and_uniqueness(real_data: Callable[[str], Path]) -> None:
    study = plan_study(cohort(), real_data(REPORTS), SMALL, seed=0)
    table = study.prompts
    sizes = table.groupby(["group", "marked"]).size().to_dict()
    assert sizes == {
        ("repeated", False): 1, ("repeated", True): 2, ("once", False): 6, ("once", True): 3, ("shared", False): 1,
        ("shared", True): 1, ("unseen", False): 2, ("unseen", True): 2,
    }  # fmt: skip
    assert table["prompt"].is_unique
    captions = pd.Series(study.train.captions)
    counts = captions.value_counts()
    rows = pd.Series(study.train.rows)
    for prompt, group, marked, _, _ in table.itertuples(index=False):
        assert prompt.split().count("___") == (2 if marked else 0)
        assert counts.get(prompt, 0) == {"repeated": 5, "once": 1, "shared": 3, "unseen": 0}[group]
        if group != "unseen":
            assert rows[captions == prompt].nunique() == (3 if group == "shared" else 1)
    assert len(set(study.train.rows)) == SMALL.images == 18
    assert len(study.heldout) == 18
    assert not set(study.heldout.subjects) & set(study.train.subjects)
    labels = np.array(study.train.labels)
    own = captions.str.split(".").str[0].to_numpy()
    single = captions.map(table.set_index("prompt")["group"]).to_numpy() != "shared"
    assert (np.char.lower(labels[single].astype(str)) == own[single]).all()


def test_sentences_are_real_short_and_unmarked(real_data: Callable[[str], Path]) -> None:
    found = read_sentences(real_data(REPORTS), np.random.default_rng(0))
    assert len(found[True]) > 1000
    assert len(found[False]) > 300
    assert not set(found[True]) & set(found[False])
    assert all(4 <= len(text.split()) <= 12 and "XXXX" not in text for text in [*found[True], *found[False]])


def test_too_few_images_or_sentences(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    def refusal(call: Callable[[], object]) -> str:
        with pytest.raises(BenchError) as caught:
            call()
        assert isinstance(caught.value, BadDataError)
        return str(caught.value)

    assert refusal(lambda: plan_study(cohort(), real_data(REPORTS), Design(), seed=0)) == (
        "films has 60 training images, the study needs 466\n  hint: give the whole data set"
    )
    (tmp_path / plan.REPORTS).write_text("Problems,findings,impression\nnormal,The heart is of normal size.,\n")
    assert refusal(lambda: plan_study(cohort(), tmp_path, SMALL, seed=0)) == (
        "the reports have too few different sentences\n  hint: give all reports of Open-i"
    )


def test_oracle_finds_copies_and_spares_other_images() -> None:
    whole = cohort(train=40, heldout=40)
    heldout = Split(**{**vars(whole.calibration), "rows": np.arange(40, 80), "subjects": tuple(map(str, range(40))),
                       "items": tuple(map(str, range(40))), "labels": None})  # fmt: skip
    oracle = CopyOracle.of(whole.train.part([0, 0, *range(40)]), heldout)
    assert len(oracle.train) == len(oracle.heldout) == 40
    rng = np.random.default_rng(1)
    fresh = rng.uniform(-1, 1, (200, 1, 16, 16)).astype(np.float32)
    copies = np.clip(whole.train.images(slice(0, 20)) + 0.1 * rng.standard_normal((20, 1, 16, 16)), -1, 1)
    everything = np.concatenate([fresh, copies.astype(np.float32)])
    threshold = oracle.threshold(everything)
    copied = oracle.copied(everything, threshold)
    assert copied[200:].all()
    assert copied[:200].mean() <= 0.05
    np.testing.assert_array_equal(oracle.nearest_image(everything[205:206]), whole.train.images([5])[0])
    assert oracle.scorer(threshold)(everything[200:])[1] == 1.0


def test_a_verdict_reads_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    names = ["d_mem", "first", "adjusted", "entropy_first", "entropy_last", "anisotropy", "seeds"]
    table = pd.DataFrame({name: rng.random(200) for name in names})
    table["group"] = ["repeated"] * 10 + ["once"] * 190
    table["marked"] = [True] * 10 + [False] * 190
    table["repeats"] = [20] * 10 + [1] * 190
    table["copied"] = [1.0] * 10 + [0.0] * 190
    table["length"] = rng.integers(4, 20, 200)
    table.loc[:9, "d_mem"] += 5
    found = summarise(table, 0.7)
    auc = found["detectors"]["d_mem"]["auc"]
    assert (auc["value"], auc["low"], auc["high"]) == (1.0, 1.0, 1.0)
    assert 0.2 < found["detectors"]["seeds"]["auc"]["value"] < 0.8
    assert found["enrichment"]["d_mem"]["ratio"]["low"] > 3
    assert [cell["memorised"] for cell in found["cells"]] == [10, 0]
    nothing = summarise(table.assign(copied=0.0), 0.7)
    assert nothing["detectors"]["d_mem"]["auc"]["reason"] == "all prompts are on one side"


def test_the_study_from_end_to_end_without_a_word_in_public(
    real_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real X-rays and sentences, a toy model: the mechanics, and that no sentence leaves the private files."""
    root = films(real_data("cxr_kermany_224"), tmp_path / "films")
    monkeypatch.setenv("BENCH_PROCESSES", "1")
    monkeypatch.setattr(plan, "Design", lambda: SMALL)
    monkeypatch.setattr("benchmark.text2image.studies.verdict.MEMORISED", 0.0)
    monkeypatch.setattr("benchmark.text2image.studies.reproduce.MEMORISED", 0.0)
    monkeypatch.setattr("benchmark.text2image.studies.reproduce.Plan", small_plan)
    command = ["reproduce", "dutt2025", "--root", str(root), "--reports", str(real_data(REPORTS)), "--seeds", "2",
               "--steps", "5", "--set", "steps=6", "--set", "vae_steps=6", "--out", str(tmp_path / "out"),
               "--cache", str(tmp_path / "cache"), "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    for shown in ("detector", "captions by kind", "mitigations in sampling", "mitigations in training"):
        assert shown in done.output
    (where,) = (tmp_path / "out").glob("*/")
    public = done.output + (where / "dutt2025.json").read_text()
    prompts = pd.read_parquet(where / "prompts.parquet")["prompt"]
    for prompt in prompts:
        for words in re.findall(r"\w+ \w+ \w+", prompt.partition(".")[2]):
            assert words not in public
    found = json.loads((where / "dutt2025.json").read_text())
    assert list(found["training"]) == [
        "none", "markers randomised", "caption variants", "recaptioned", "deduplicated", "noise on embeddings",
    ]  # fmt: skip
    assert len(found["mitigations"]) == 10
    assert (where / "grid.png").stat().st_size > 1000


def test_images_of_colours_are_compared_with_grey_ones(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    """A pipeline of three colours, whose autoencoder's config tells another size, against real X-rays."""
    root = films(real_data("cxr_kermany_224"), tmp_path / "films")
    folder = save_tiny(tmp_path / "colours", channels=3)
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 64}))
    (tmp_path / "list.csv").write_text("report\n" + "\n".join(CAPTIONS))
    command = ["prompts", str(folder), "--prompts", str(tmp_path / "list.csv"), "--column", "report", "--steps", "2",
               "--seeds", "1", "--mitigate", "1", "--images", "2", "--data", "cxr-pneumonia", "--root", str(root),
               "--batch", "100", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"),
               "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    (where,) = (tmp_path / "out").glob("*/")
    found = json.loads((where / "mitigations.json").read_text())
    assert found["compared"]
    assert -1 <= found["effects"]["none"]["likeness"] <= 1
    assert 0 <= found["effects"]["none"]["copied"] <= 1


def test_oracle_takes_images_of_its_shape_or_their_colours() -> None:
    whole = cohort(train=40, heldout=20)
    oracle = CopyOracle.of(whole.train, whole.calibration)
    grey = whole.train.images([3])
    assert oracle.similarity(np.repeat(grey, 3, axis=1)) == pytest.approx(oracle.similarity(grey))
    with pytest.raises(UsageError) as caught:
        oracle.similarity(np.zeros((1, 1, 8, 8), np.float32))
    assert str(caught.value) == (
        "the pipeline generates images of shape (1, 8, 8), the items of train are (1, 16, 16)\n"
        "  hint: give the data set that the pipeline was trained on"
    )


def small_plan(**given: object) -> Plan:
    return Plan(**{**given, "protected": 1, "images": 2})  # type: ignore[arg-type]


def films(source: Path, root: Path) -> Path:
    """Unpack 90 patients of the real X-rays into the published folders."""
    rows = list(csv.DictReader((source / "index.csv").open()))
    with zipfile.ZipFile(source / "cxr_kermany_224.zip") as archive:
        for row in rows[:60] + rows[-60:]:
            name = f"{row['label']}/{row['file']}"
            target = root / "chest_xray" / "train" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    return root


def test_other_studies_and_missing_reports() -> None:
    for arguments, message in (
        (["reproduce", "else"], "there is no study 'else'\n  hint: choose dutt2025"),
        (
            ["reproduce", "dutt2025"],
            "dutt2025 takes its sentences from Open-i's reports\n  hint: give --reports FOLDER",
        ),
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, UsageError)
        assert str(result.exception) == message
