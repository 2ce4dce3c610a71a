"""Every file of a run folder and of a cache is compared with its digest; what is not as it was written is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.cohorts.sealed_pixels import item_digest
from benchmark.cohorts.store import PIXELS, finish
from benchmark.core.sealed import sealed_write, write_sealed_json
from benchmark.core.stages import Stages, exclusive
from benchmark.runs import verify
from benchmark.runs.run_folders import MODEL_LOG
from benchmark.runs.sweeps.work import LOG
from benchmark.runs.verify import Verified, verify_cache, verify_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a trained model, samples, a record, a figure, and a log of the training."""
    folder = tmp_path / "runs" / "toy" / "copycat-smoke-1" / "seed-0"
    with exclusive(folder):
        stages = Stages(folder, lambda text: None)
        with sealed_write(folder / "run.toml") as part:
            part.write_text(f'cache = "{tmp_path / "cache"}"\nmodel = "copycat"\ndata = "phantom-mr"\n')
        stages.enter("configuration", "run.toml")

        def fit() -> dict[str, int]:
            with sealed_write(folder / "fit" / "model") as part:
                part.mkdir(parents=True)
                (part / "copycat.npz").write_bytes(b"weights")
            return {}

        def sample() -> dict[str, int]:
            with sealed_write(folder / "samples" / "chunk-00000.npy") as part:
                part.write_bytes(b"samples")
            return {"count": 60}

        stages.run("fit", "f", fit, owns="fit", outputs=("fit/model",))
        stages.run("sample", "s", sample, owns="samples", outputs=("samples/*",))
        write_sealed_json(folder / "record.json", {"spec": 1})
        stages.enter("record", "record.json")
    for name in ("fit/training/adapters-own.bin", "figures/nearest.png", "PRIVATE.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one prepared cohort, a detector, and remembered digests."""
    folder = tmp_path / "cache" / "cohorts" / "toy-1"
    folder.mkdir(parents=True)
    pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 1, 8, 8)
    np.save(folder / PIXELS, pixels)
    table = pd.DataFrame({"item": list("abcd"), "source": list("abcd"), "subject": list("abcd"), "label": None})
    files = pd.DataFrame({"source": list("abcd"), "file": list("abcd"), "sha256": list("abcd"), "beside": False})
    finish(
        folder, table.assign(group="", sha=[item_digest(item) for item in pixels]), files, channels=("grey",),
        spacing_mm=(), remarks={},
    )  # fmt: skip
    with sealed_write(tmp_path / "cache" / "detectors" / "toy-copy-1" / "training.pt") as part:
        part.write_bytes(b"network")
    write_sealed_json(tmp_path / "cache" / "digests" / "1.json", {})
    return tmp_path / "cache"


def found(verified: Verified, folder: Path) -> set[tuple[str, str]]:
    return {(path.path.relative_to(folder).as_posix(), path.kind) for path in verified.findings}


def in_cache(cache: Path) -> set[tuple[str, str]]:
    return set().union(*(found(verified, cache) for _, verified in verify_cache(cache)))


def flip(path: Path) -> None:
    """Change one bit, and set the times of before."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_untouched_run_is_intact(run: Path) -> None:
    verified = verify_run(run)
    assert verified.findings == ()
    # run.toml, status.json, record.json, the two marks of stages, the model and the samples.
    assert verified.files == 7


def test_what_a_run_and_a_sweep_print_is_no_stranger(run: Path) -> None:
    for name in (LOG, MODEL_LOG):
        (run / name).write_text("epoch 1\n")
    assert verify_run(run).findings == ()


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("run.toml", "run.toml"), ("status.json", "status.json"), ("record.json", "record.json"),
        ("fit/model/copycat.npz", "fit/model"), ("samples/chunk-00000.npy", "samples/chunk-00000.npy"),
        ("fit/.stage", "fit/.stage"), ("fit/.model.seal", "fit/model"),
    ],
)  # fmt: skip
def test_a_changed_bit_is_named(run: Path, name: str, reported: str) -> None:
    flip(run / name)
    # Nothing says what the record was, where the status cannot be believed.
    also = {("record.json", "changed")} if name == "status.json" else set()
    assert found(verify_run(run), run) == {(reported, "changed")} | also


def test_a_file_with_a_new_digest_is_not_what_its_stage_wrote(run: Path) -> None:
    with sealed_write(run / "samples" / "chunk-00000.npy") as part:
        part.write_bytes(b"others")
    assert found(verify_run(run), run) == {("samples/chunk-00000.npy", "changed")}


@pytest.mark.parametrize("name", ["record.json", "run.toml"])
def test_a_public_file_with_a_new_digest_is_not_what_its_run_wrote(run: Path, name: str) -> None:
    write_sealed_json(run / name, {"spec": 2})
    assert found(verify_run(run), run) == {(name, "changed")}


def test_a_record_that_its_run_has_not_written_is_named(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    del status["record"]
    write_sealed_json(run / "status.json", status)
    (finding,) = verify_run(run).findings
    assert (finding.path, finding.kind) == (run / "record.json", "changed")
    assert finding.advice == f"do not publish it; evaluate the run again: bench evaluate {run}"


def test_a_summary_is_compared_with_the_digest_that_its_run_has(run: Path) -> None:
    page = run / "summary.html"
    page.write_text("0.30")
    assert verify_run(run).findings == (), "nobody knows who wrote it"
    Stages(run, lambda text: None).enter("report", "summary.html")
    assert (verify_run(run).findings, verify_run(run).files) == ((), 8)
    page.write_text("0.00")
    (finding,) = verify_run(run).findings
    assert (finding.path, finding.kind) == (page, "changed")
    assert finding.advice == f"do not publish it; write it again: bench report {run}"
    page.unlink()
    assert verify_run(run).findings == (), "a page may be deleted"


def test_what_is_missing_and_what_is_not_known_are_named(run: Path) -> None:
    (run / "samples" / "chunk-00000.npy").unlink()
    shutil.copy(run / "status.json", run / "samples" / "chunk-0000.npy")
    (run / "fit" / "model" / "more.npz").touch()
    (run / "notes").touch()
    assert found(verify_run(run), run) == {
        ("samples/chunk-00000.npy", "missing"), ("samples/chunk-0000.npy", "not known"), ("fit/model", "changed"),
        ("notes", "not known"),
    }  # fmt: skip


def test_a_file_that_may_not_be_read_hides_no_other(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(place: Path) -> str:  # permissions mean nothing to root, which may run this
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    flip(run / "record.json")
    chunk = run / "samples" / "chunk-00000.npy"
    original = verify.digest
    monkeypatch.setattr(verify, "digest", lambda place: refused(place) if place == chunk else original(place))
    assert found(verify_run(run), run) == {
        ("record.json", "changed"), ("samples/chunk-00000.npy", "not readable"),
    }  # fmt: skip


def test_a_run_in_progress_is_not_judged(run: Path) -> None:
    with exclusive(run):
        assert found(verify_run(run), run) == {(".", "in use")}


def test_an_untouched_cache_is_intact(cache: Path) -> None:
    assert in_cache(cache) == set()


@pytest.mark.parametrize(
    "name",
    ["pixels.npy", "items.parquet", "files.parquet", "finished.json"],
)
def test_changed_prepared_images_are_named(cache: Path, name: str) -> None:
    path = cache / "cohorts" / "toy-1" / name
    flip(path)
    before = sorted(path.parent.iterdir())
    assert in_cache(cache) == {(f"cohorts/toy-1/{name}", "changed")}
    assert sorted(path.parent.iterdir()) == before, "checking removes nothing"


def test_other_parts_of_a_cache_are_checked(cache: Path) -> None:
    flip(cache / "detectors" / "toy-copy-1" / "training.pt")
    (cache / "cohorts" / "toy-1" / "pixels.npy").unlink()
    (cache / "cohorts" / "toy-1" / "notes").touch()
    (cache / "cohorts" / ".toy-2.00000000-1-00000000.part").mkdir()
    assert in_cache(cache) == {
        ("detectors/toy-copy-1/training.pt", "changed"), ("cohorts/toy-1/pixels.npy", "missing"),
        ("cohorts/toy-1/notes", "not known"), ("cohorts/.toy-2.00000000-1-00000000.part", "not known"),
    }  # fmt: skip


def test_the_command_says_what_to_do(run: Path, cache: Path, tmp_path: Path) -> None:
    runner, arguments = CliRunner(), ["runs", "verify", "--all", "--cache", "--runs", str(tmp_path / "runs")]
    done = runner.invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (
        0, "13 files are as they were written; 4 without a digest decide no result\n",
    )  # fmt: skip
    flip(run / "record.json")
    (run / "notes").touch()
    done = runner.invoke(app, arguments)
    assert done.exit_code == 4
    assert done.stdout == (
        f"{run / 'record.json'}: changed; do not publish it; evaluate the run again: bench evaluate {run}\n"
        f"{run / 'notes'}: not known; memobench has not written it: move it elsewhere, or delete it\n"
        "12 files are as they were written; 4 without a digest decide no result\n"
    )
    told = json.loads(runner.invoke(app, ["runs", "verify", str(run), "--json"]).stdout)
    assert (told["intact"], told["files"], [one["kind"] for one in told["findings"]]) == (
        False, 6, ["changed", "not known"],
    )  # fmt: skip
    assert runner.invoke(app, ["runs", "verify"]).exit_code != 0
