"""What `bench run` says when it cannot: the whole message, the exit code, and nothing taken for finished."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Bench
from filelock import FileLock

from benchmark.records.record import Record

TOYS = Path(__file__).parent / "toy_models.py"
HOSTILE = Path(__file__).parents[1] / "adapters" / "hostile_adapters.py"


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The error message, without the lines of progress before it."""
    assert "Traceback" not in done.stderr
    return done.stderr[done.stderr.index("error: ") :].rstrip("\n")


def test_missing_data_says_how_to_get_it(bench: Bench) -> None:
    done = bench("run", "--model", "copycat", "--data", "brats20")
    assert done.returncode == 3
    assert told(done) == (
        "error: brats20 is not on this disk: looked in data/brats20\n"
        "  hint: Register at https://www.med.upenn.edu/cbica/brats2020/registration.html, download "
        "MICCAI_BraTS2020_TrainingData.zip and unpack it.\n"
        "  licence: free for research with citation; no redistribution; cite: Menze et al., IEEE TMI 34(10), 2015; "
        "Bakas et al., Sci Data 4:170117, 2017; Bakas et al., arXiv:1811.02629, 2018\n"
        "  layout: MICCAI_BraTS2020_TrainingData/BraTS20_Training_001/BraTS20_Training_001_{t1,t2,flair,t1ce,seg}"
        ".nii.gz (or .nii); "
        "any folder of case folders can be read, also with the names of BraTS 2021 and 2023\n"
        "  then give the folder with --root, or put it at data/brats20 or $MEMOBENCH_DATA/brats20\n"
        "  without any download: bench run --model ldm --data phantom-mr"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--set", "contaminaton=0.1"),
            2,
            (
                "error: model copycat has no option 'contaminaton'\n"
                "  hint: did you mean 'contamination'? it has: contamination, transform"
            ),
        ),
        (
            ("--set", "contamination"),
            2,
            "error: --set contamination is not name=value\n  hint: write --set steps=500",
        ),
        (("--preset", "huge"), 2, "error: copycat has no preset 'huge'\n  hint: it has: smoke, small, paper"),
        (
            ("--search-memory", "0"),
            2,
            "error: --search-memory 0 GiB is none\n  hint: give a number above 0, such as 2",
        ),
        (
            ("--search-transforms", "flips,turns"),
            2,
            "error: there is no transform 'turns' of queries\n  hint: choose from flips, rotations, shifts, scales",
        ),
        (
            ("--samples", "1"),
            2,
            "error: 1 samples were asked for\n  hint: at least 2 are needed; a share of 1 % needs some hundreds",
        ),
        (("--split", "random"), 2, "error: there is no split 'random'\n  hint: choose patients, official or images"),
        (
            ("--set", "transform=twist"),
            2,
            (
                "error: copycat has no transform 'twist'\n  hint: choose one of exact, flip, rotate5, rotate15, shift, "
                "crop, contrast, blur, noise, resample, deform, recode"
            ),
        ),
    ],
)
def test_wrong_options(run: Bench, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)
    assert told(done) == message
    assert done.returncode == code


def test_one_training_patient_shows_nothing_and_is_told_before_training(run: Bench, tmp_path: Path) -> None:
    done = run("--train-items", 1, "--samples", 20)
    assert done.returncode == 0, done.stderr
    reason = (
        "1 training patient and 30 held-out: even if everybody in training were copied, 3 % of splits would look so by "
        "chance alone; it takes 49 held-out patients for a first claim"
    )
    assert f"this cohort cannot show copies: {reason}" in done.stderr.splitlines()
    (path,) = tmp_path.rglob("record.json")
    score = Record.read(path).scores["exposed.items[pixels]"]
    assert (score.value, score.reason) == (None, f"cannot tell: {reason}")


def test_a_gpu_that_is_not_there(run: Bench) -> None:
    done = run("--device", "cuda:7", "--samples", "20", "--set", "autoencoder=linear", model="ldm")
    assert done.returncode == 6
    assert told(done).startswith("error: device cuda:7 was asked for, but this machine has ")


def test_samples_that_are_not_finite(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 20, model=f"{TOYS}:NotFinite")
    assert told(done) == (
        "error: notfinite: sample 3 is not finite\n"
        "  hint: the model diverged (train it with a lower learning rate, or in fp32), or its autoencoder overflows in "
        "fp16 (use its weights in fp32)"
    )
    assert done.returncode == 5
    assert not list(tmp_path.rglob("record.json"))
    assert not list(tmp_path.rglob("chunk-*.npy"))


def test_a_model_that_crashes(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 20, model=f"{TOYS}:Crashes")
    (log,) = tmp_path.rglob("model.log")
    assert told(done) == (
        "error: crashes failed in fit: ZeroDivisionError: the learning rate was 0\n"
        f"  hint: the stack trace is in {log.relative_to(tmp_path)}"
    )
    assert 'raise ZeroDivisionError("the learning rate was 0")' in log.read_text()
    assert done.returncode == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Exits", "exits called sys.exit(0) in sample"),
        ("ExitsAtOnce", "exitsatonce ended its process in sample, with exit code 0"),
    ],
)
def test_a_model_that_ends_its_process(run: Bench, tmp_path: Path, name: str, message: str) -> None:
    done = run("--samples", 20, "--set", "where=sample", model=f"{HOSTILE}:{name}")
    assert told(done) == f"error: {message}\n  hint: a model returns or raises an error: it must not end its process"
    assert done.returncode == 5
    assert not list(tmp_path.rglob("record.json"))


def test_a_full_disk(run: Bench) -> None:
    done = run("--samples", 20, model=f"{TOYS}:Diskful")
    assert told(done).startswith("error: the disk is full: ")
    assert done.returncode == 6


def test_a_run_that_another_process_holds(run: Bench, tmp_path: Path) -> None:
    first = run("--samples", 20, model=f"{TOYS}:Crashes")
    assert first.returncode == 5
    (folder,) = (path.parent for path in tmp_path.rglob("run.toml"))
    with FileLock(folder / ".lock"):
        done = run("--samples", 20, model=f"{TOYS}:Crashes")
    assert told(done) == (
        f"error: another process is working on {folder.relative_to(tmp_path)}\n"
        "  hint: wait for it, or choose another --seed or --runs"
    )
    assert done.returncode == 6


def test_black_images_are_no_all_clear(run: Bench, tmp_path: Path) -> None:
    done = run("--samples", 40, model=f"{TOYS}:Collapsed")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("record.json")
    scores = Record.read(path).scores
    assert scores["copies.rate[pixels]"].value == 0
    reason = (
        "cannot tell: 40 of 40 samples are constant, one grey value everywhere (more than 1.3 %), and what the model "
        "would draw in their place is unknown; look at the samples: a safety checker, or an autoencoder that overflows "
        "in fp16 (use its weights in fp32), gives black images"
    )
    for name in ("exposed.patients", "exposed.items", "privacy.epsilon", "growth.times10"):
        for detector in ("copy", "pixels"):
            score = scores[f"{name}[{detector}]"]
            assert (score.value, score.reason) == (None, reason)
    constant = "40 of 40 samples are constant, one grey value everywhere"
    assert (scores["samples.constant"].value, scores["samples.constant"].reason) == (
        40, f"{constant}: they copy nobody"
    )  # fmt: skip
    assert f"\n{constant}: they copy nobody\n" in done.stderr


def test_evaluate_needs_a_run(bench: Bench) -> None:
    done = bench("evaluate", "nowhere")
    assert told(done) == (
        "error: nowhere is not a run folder: it has no run.toml\n  hint: give the folder that `bench run` printed"
    )
    assert done.returncode == 2


def test_a_model_that_cannot_run_here_leaves_a_declined_cell(
    run: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STYLEGAN2_ADA_DIR", raising=False)
    done = run(model="stylegan2-ada")
    assert done.returncode == 3
    assert told(done) == (
        "error: stylegan2-ada needs NVIDIA's repository, and there is no checkout at "
        f"{tmp_path / 'home' / 'checkouts' / 'stylegan2-ada'}\n"
        "  hint: `bench models install stylegan2-ada` fetches it, or give --set checkout=DIR, or set STYLEGAN2_ADA_DIR"
    )
    (path,) = (tmp_path / "runs").rglob("record.json")
    record = Record.read(path)
    assert (record.status, record.reason, record.scores) == ("declined", "no checkout", {})
