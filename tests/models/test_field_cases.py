"""Model files as they are found in the field: what is in them is named, and no code of theirs runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_monai_bundle import bundle, opened
from test_stylegan2_ada import generator, snapshot  # noqa: F401  # a fixture
from tiny_pipeline import save_tiny

from benchmark.core.errors import BenchError
from benchmark.models.stylegan2_ada.pickles import read_generator
from benchmark.text2image.loading import open_model

TOUCH = "open('was-run', 'w').close()\n"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whatever a file brings along, it is not run: the marker would be in the working folder."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "was-run").exists()


def refusal(call: Any) -> str:
    with pytest.raises(BenchError) as error:
        call()
    return str(error.value)


def test_a_bundle_with_paths_of_another_machine_and_expressions(tmp_path: Path) -> None:
    """Project-MONAI/MONAI#7123: paths are not used, expressions are not run, and the networks are built."""
    folder = bundle(
        tmp_path / "b", bundle_root="/home/x/bundle", ckpt_dir="$@bundle_root + '/models'",
        load_autoencoder_path="/home/x/autoencoder.pt", run=[f"$exec({TOUCH!r})"],
    )  # fmt: skip
    images = next(iter(opened(folder).sample(2, seed=0)))
    assert images.shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({"img_channels": 3}, (1, 16, 16), "generates 3 channels, 16 pixels per side; the cohort has 1 and 16"),
        ({"c_dim": 5}, (1, 16, 16), "the network has classes, or latents of two sizes"),
    ],
)
def test_a_stylegan_of_colours_or_classes_for_a_grey_cohort(
    tmp_path: Path,
    snapshot: Any,  # noqa: F811
    changes: dict[str, int],
    shape: tuple[int, ...],
    message: str,
) -> None:
    """NVlabs/stylegan3#635."""
    path, digest = snapshot({"G_ema": generator(torch.zeros(8, 8), **changes)})
    said = refusal(lambda: read_generator(path, digest, shape, tmp_path / "weights"))
    assert said.partition("\n")[0].removeprefix(f"{path} ") == message
    assert "\n  hint: " in said


def test_a_scheduler_of_its_own_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["my_scheduler", "MyScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    for place in (folder, folder / "scheduler"):
        (place / "my_scheduler.py").write_text(TOUCH + "class MyScheduler: pass\n")
    said = refusal(lambda: open_model(str(folder), "cpu"))
    assert said == (
        f"{folder} needs my_scheduler.MyScheduler for its scheduler, which is neither of diffusers nor of transformers"
        ": its code is never run\n  hint: give a pipeline whose parts are of diffusers and transformers"
    )
