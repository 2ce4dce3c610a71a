"""Bytes that change in the cache or in a run folder: the numbers stay, or the file is named; never another number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core.sealed import seal, seals, write_sealed_json
from benchmark.core.stages import Stages
from benchmark.records.record import Record

from .conftest import Bench


@pytest.fixture
def again(bench: Bench, xrays: Path, tmp_path: Path) -> Bench:
    """A run of 60 samples with a cache of its own; call it again after damaging something."""

    def call(*arguments: object) -> Any:
        options = ("--model", "copycat", "--set", "contamination=0.3", "--data", "cxr-pneumonia", "--root", xrays)
        return bench("run", *options, "--image-size", 32, "--samples", 60, "--cache", tmp_path / "cache", *arguments)

    return call


def scores(tmp_path: Path) -> dict[str, Any]:
    (path,) = tmp_path.glob("runs/**/record.json")
    return {name: entry.model_dump() for name, entry in Record.read(path).scores.items()}


def flip(path: Path) -> None:
    """Flip bits of twenty bytes in the last third of a file."""
    content = bytearray(path.read_bytes())
    for place in np.linspace(len(content) * 2 / 3, len(content) - 1, 20).astype(int):
        content[place] ^= 0x55
    path.write_bytes(bytes(content))


TOGETHER = (
    ("cache/cohorts/*/pixels.npy",), ("cache/cohorts/*/items.parquet", "cache/detectors/*/real.npy"),
    ("cache/detectors/*/training.pt",), ("runs/**/fit/model/*.npz", "runs/**/samples/chunk-00000.npy"),
    ("runs/**/evaluation.json", "runs/**/members.parquet"),
    ("runs/**/matches.parquet", "runs/**/environment.json", "runs/**/status.json"),
)  # fmt: skip
"""Files that are damaged at once."""


def test_flipped_bytes_change_no_number(again: Bench, tmp_path: Path) -> None:
    assert again().returncode == 0
    expected = scores(tmp_path)
    assert (expected["exposed.items[pixels]"]["low"] or 0) > 0
    for patterns in TOGETHER:
        for pattern in patterns:
            places = sorted(tmp_path.glob(pattern))
            assert places, pattern
            for path in places:
                flip(path)
        if patterns[0].startswith("cache"):  # so that the evaluation reads the cache again
            next(tmp_path.glob("runs/**/evaluation.json")).unlink()
        done = again()
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), f"{patterns}: {done.stderr}"
        assert scores(tmp_path) == expected, patterns


def test_an_evaluation_names_the_samples_that_changed(again: Bench, bench: Bench, tmp_path: Path) -> None:
    assert again().returncode == 0
    (folder,) = (path.parent for path in tmp_path.glob("runs/**/record.json"))
    before = (folder / "record.json").read_bytes()
    chunk = folder / "samples" / "chunk-00000.npy"
    whole = chunk.read_bytes()
    flip(chunk)
    done = bench("evaluate", folder)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines()[-2:] == [
        f"error: {chunk} has changed since it was written", "  hint: run it again: bench run",
    ]  # fmt: skip
    chunk.write_bytes(whole)
    shutil.copy(chunk, folder / "samples" / "chunk-0000.npy")  # a stray file of the same kind
    assert bench("evaluate", folder).returncode == 0
    assert (folder / "record.json").read_bytes() != b""
    assert Record.read(folder / "record.json").scores == Record.model_validate_json(before).scores


def test_an_edited_configuration_is_refused(again: Bench, bench: Bench, tmp_path: Path) -> None:
    assert again().returncode == 0
    (config,) = tmp_path.glob("runs/**/run.toml")
    config.write_text(config.read_text().replace("samples = 60", "samples = 10"))
    done = bench("evaluate", config.parent)
    assert done.returncode == 4
    assert done.stderr == (
        f"error: {config} has changed since it was written\n"
        f"  hint: run it again with the options that you want: bench run --config {config}\n"
    )
    # As another program of ours would edit it: with the digest that belongs to the new content.
    seal(config)
    done = bench("evaluate", config.parent)
    assert done.stderr == (
        f"error: {config} is not what its run wrote: status.json has another digest of it\n"
        f"  hint: run it again with the options that you want: bench run --config {config}\n"
    )
    Stages(config.parent, lambda text: None).enter("configuration", "run.toml")
    done = bench("evaluate", config.parent)
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (4, [
        f"error: {config}, or a default of copycat, is not that with which the samples were drawn",
        f"  hint: run it again with the options that you want: bench run --config {config}",
    ])  # fmt: skip


def test_a_number_of_samples_is_that_of_the_samples(again: Bench, bench: Bench, tmp_path: Path) -> None:
    """JSON files that were edited, and their digests with them, change no fact that a record publishes."""
    assert again("--samples", 300).returncode == 0
    (folder,) = (path.parent for path in tmp_path.glob("runs/**/record.json"))
    status = json.loads((folder / "status.json").read_text())
    results = json.loads((folder / "evaluation.json").read_text())
    write_sealed_json(folder / "status.json", status | {"sample": status["sample"] | {"count": 250}})
    done = bench("evaluate", folder)
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (4, [
        f"error: {folder / 'samples'} holds more than 250 samples (chunk-00001.npy), and 250 were drawn",
        "  hint: run it again: bench run",
    ])  # fmt: skip
    write_sealed_json(folder / "evaluation.json", results | {"compared": results["compared"] | {"samples": 250}})
    status["evaluate"]["outputs"]["evaluation.json"] = seals(folder / "evaluation.json")[-1]
    status["fit"]["parameters"] = 7
    write_sealed_json(folder / "status.json", status)
    done = again("--samples", 300)
    place = (folder / "evaluation.json").relative_to(tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (4, [
        f"error: {place} is of 250 samples, the configuration of 300, or of another cohort",
        "  hint: delete that file, and run it again: bench run",
    ])  # fmt: skip
