"""Detector `frozen`: encoders from files, checked before they are opened."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.core.errors import AdapterError, BadDataError, BenchError, MissingDataError, UsageError
from benchmark.core.public_text import hidden
from benchmark.core.types import Split
from benchmark.detectors import frozen, script_process
from benchmark.detectors.frozen import Frozen, Options, _planes
from benchmark.detectors.registry import choose

torch.set_num_threads(1)
COMMIT = "a" * 40


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, *shape)).astype(np.float32)


def real(*shape: int) -> Split:
    given = images(4, *shape)
    names = ("a", "b", "c", "d")
    return Split(
        name="real", pixels=given, rows=np.arange(4), subjects=names, items=names, channels=("x",) * len(given[0])
    )


def fit(options: Options, folder: Path, *shape: int) -> Frozen:
    return options.fit(real(*(shape or (1, 16, 16))), folder=folder, key="k", device="cpu")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 64, 6))
    path = tmp_path / "encoder.pt"
    torch.jit.script(network).save(str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A DINOv2 with random weights, as transformers saves it."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    return tmp_path / "dino"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(kind: type[BenchError], options: Options, folder: Path) -> str:
    with pytest.raises(kind) as error:
        fit(options, folder)
    return str(error.value)


@pytest.mark.parametrize(("shape", "planes"), [((1, 20, 20), 1), ((2, 16, 24), 2), ((2, 12, 16, 16), 6)])
def test_torchscript(script: Path, tmp_path: Path, shape: tuple[int, ...], planes: int) -> None:
    detector = fit(Options(source=str(script), tag="toy", size=32, sha256=digest(script)), tmp_path, *shape)
    given = images(5, *shape)
    rows = detector.embed(given)
    assert rows.shape == (5, 6 * planes)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    alone = np.concatenate([detector.embed(given[[k]]) for k in range(5)])
    np.testing.assert_allclose(alone, rows, atol=1e-6)


def test_colours_are_normalised_as_asked(script: Path, tmp_path: Path) -> None:
    options = Options(
        source=str(script), sha256=digest(script), tag="toy", size=32, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)
    )
    given = images(2, 1, 32, 32)
    grey = torch.from_numpy(given + 1) / 2
    colours = (grey.expand(-1, 3, -1, -1) - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor(
        [0.5, 1.0, 2.0]
    ).view(3, 1, 1)
    with torch.inference_mode():
        expected = nn.functional.normalize(torch.jit.load(str(script)).eval()(colours), dim=1).numpy()
    np.testing.assert_allclose(fit(options, tmp_path).embed(given), expected, atol=1e-5)


def test_a_transformers_folder(model: Path, tmp_path: Path) -> None:
    options = Options(source=str(model), tag="dino", size=28, sha256=digest(model / "model.safetensors"))
    detector = fit(options, tmp_path)
    given = images(3, 1, 16, 16)
    rows = detector.embed(given)
    assert rows.shape == (3, 16)
    assert np.array_equal(rows, fit(options, tmp_path).embed(given))
    assert rows @ rows.T == pytest.approx(np.ones((3, 3)), abs=0.5)


def test_planes_of_a_volume() -> None:
    volume = np.arange(8, dtype=np.float32)[None, None, :, None, None] * np.ones((1, 1, 8, 4, 4), np.float32)
    assert _planes(volume)[0, :, 0, 0].tolist() == [2, 4, 6]


def test_names_hold_no_path(script: Path) -> None:
    choice = choose(f"frozen:source={script}:tag=toy:size=32:sha256={digest(script)}")
    assert choice.name == "frozen-toy:size=32"
    assert choice.public["source"] == hidden(str(script))


def test_another_configuration_in_its_folder_is_another_detector(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    choice = choose(f"frozen:source={folder}:tag=toy")
    before = choice.identity(tmp_path / "cache")
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text('{"layer_norm_eps": 0.1}')
        after = choice.identity(tmp_path / "cache")
        assert after != before, name
        before = after


def test_another_file_at_the_same_place_is_another_detector(script: Path) -> None:
    text = f"frozen:source={script}:tag=toy:sha256={digest(script)}"
    cache = script.parent / "cache"
    before = choose(text).identity(cache)
    assert choose(text).identity(cache) == before
    torch.jit.script(nn.Flatten()).save(str(script))
    assert choose(text).identity(cache) != before


def test_refusals(script: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        Options(source="x.pt", tag="a/b")
    assert str(error.value) == (
        "tag 'a/b' does not fit a score's name\n  hint: use letters, digits, points and hyphens"
    )
    right = digest(script)
    assert refusal(BadDataError, Options(source=str(script), tag="t", sha256="0" * 64), tmp_path) == (
        f"{script} has SHA-256 {right}, not {'0' * 64}\n  hint: download it again, or correct the digest"
    )
    missing = tmp_path / "none.pt"
    assert refusal(MissingDataError, Options(source=str(missing), tag="t", sha256="0" * 64), tmp_path) == (
        f"there are no weights at {missing}\n  hint: give the path of a file that is there"
    )
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"not a network")
    options = Options(source=str(broken), tag="t", sha256=digest(broken))
    assert refusal(BadDataError, options, tmp_path).startswith(f"{broken} is not a TorchScript file: ")
    assert refusal(MissingDataError, Options(source="./nowhere/at/all", tag="t"), tmp_path) == (
        "there is no encoder at ./nowhere/at/all\n  hint: give a .pt file, a folder, or a hub name OWNER/NAME"
    )
    assert refusal(UsageError, Options(source="microsoft/rad-dino", tag="t", revision="main"), tmp_path) == (
        "microsoft/rad-dino is not pinned: revision 'main', sha256 ''\n"
        "  hint: give the commit (40 hexadecimal digits) and the SHA-256 of model.safetensors: names move"
    )


def test_a_pinned_name_is_downloaded_and_checked(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def download(name: str, **options: Any) -> str:
        asked.append((name, options["revision"]))
        return str(model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    weights = digest(model / "model.safetensors")
    options = Options(source="some/encoder", tag="t", revision=COMMIT, sha256=weights, size=28)
    assert fit(options, tmp_path).embed(images(1, 1, 8, 8)).shape == (1, 16)
    assert asked == [("some/encoder", COMMIT)]
    other = Options(source="some/encoder", tag="t", revision=COMMIT, sha256="1" * 64)
    assert "has SHA-256" in refusal(BadDataError, other, tmp_path)


def test_no_network(tmp_path: Path) -> None:
    options = Options(source="some/encoder", tag="t", revision=COMMIT, sha256="1" * 64)
    message = refusal(MissingDataError, options, tmp_path)
    assert message.startswith("some/encoder could not be downloaded: ")
    assert message.endswith("\n  hint: check the network and the name, or download it elsewhere and give the folder")


def test_without_transformers(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_transformers(name: str, *rest: Any, **options: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return real_import(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_transformers)
    assert refusal(AdapterError, Options(source=str(model), tag="t"), tmp_path) == (
        "frozen needs transformers for this encoder\n  hint: install it: pip install 'memobench[text]'"
    )


def test_an_output_that_is_no_tensor() -> None:
    with pytest.raises(AdapterError) as error:
        frozen.vectors_of(["a list"])
    assert str(error.value) == (
        "the frozen encoder returns list, not a tensor\n  hint: wrap it so that it returns (N, D)"
    )


def test_torchscript_without_a_digest_is_refused_before_anything_runs(script: Path) -> None:
    with pytest.raises(UsageError) as error:
        Options(source=str(script), tag="t")
    assert str(error.value) == (
        f"{script} is TorchScript, which is code, and no sha256 says which code it should be"
        "\n  hint: give sha256=... as whoever published the file states it"
    )


class Failing(nn.Module):
    """Gives what is no vector, by the brightness of the first pixel."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        if bool(planes[0, 0, 0, 0] > 2):
            raise ValueError("too bright")
        return planes.mean(dim=(2, 3)) / (planes[0, 0, 0, 0] - planes[0, 0, 0, 0])


def test_torchscript_that_fails_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "failing.pt"
    torch.jit.script(Failing()).save(str(path))
    detector = fit(Options(source=str(path), tag="t", sha256=digest(path), size=8), tmp_path)
    with pytest.raises(AdapterError) as error:
        detector.embed(np.zeros((2, 1, 8, 8), np.float32))
    assert str(error.value) == f"{path} gave vectors that are not finite\n  hint: give another encoder"
    with pytest.raises(AdapterError) as error:
        detector.embed(np.ones((2, 1, 8, 8), np.float32))
    assert str(error.value).startswith(f"{path} failed on 2 images: ")
    assert str(error.value).endswith("\n  hint: give another encoder")


def test_torchscript_whose_process_ends_is_an_error(script: Path, tmp_path: Path) -> None:
    detector = fit(Options(source=str(script), tag="t", sha256=digest(script), size=32), tmp_path)
    process = detector.network._process  # type: ignore[attr-defined]
    assert process.pid != os.getpid()
    process.kill()
    process.wait()
    with pytest.raises(AdapterError) as error:
        detector.embed(images(1, 1, 8, 8))
    assert str(error.value) == (
        f"{script} ended its process, with exit code -9"
        "\n  hint: give another encoder; there may be too little memory for this one"
    )


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"shape": [1, 2**40]}, "gave no 1 vectors\n  hint: wrap it so that it returns (N, D)"),
        ({"shape": [2, 1]}, "gave no 1 vectors\n  hint: wrap it so that it returns (N, D)"),
        ({"shape": "11"}, "gave no 1 vectors\n  hint: wrap it so that it returns (N, D)"),
        ({}, "gave no 1 vectors\n  hint: wrap it so that it returns (N, D)"),
    ],
)
def test_answers_of_the_process_are_not_believed(told: dict[str, Any], message: str) -> None:
    with pytest.raises(AdapterError) as error:
        script_process._vectors(told, bytes(4), 1, Path("n.pt"))
    assert str(error.value) == f"n.pt {message}"


@pytest.mark.parametrize(
    ("config", "file", "message"),
    [
        (
            {"auto_map": {"AutoModel": "evil.Evil"}}, "",
            ("needs Python code of its own (auto_map in config.json), which is not run"
            "\n  hint: read that code; if you trust it, give trust_remote_code=true"),
        ),
        (
            {"attn_implementation": "someone/kernel"}, "",
            ("needs compiled code of the hub (someone/kernel in config.json), which is not run"
            "\n  hint: remove that line from config.json: transformers has attention of its own"),
        ),
        (
            {}, "adapter_config.json",
            ("holds adapter_config.json: its base model is in another place, which no SHA-256 covers"
            "\n  hint: merge the adapter into the model, and save that"),
        ),
    ],
)  # fmt: skip
def test_an_encoder_that_brings_code(
    model: Path, tmp_path: Path, config: dict[str, Any], file: str, message: str
) -> None:
    place = model / "config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | config))
    (model / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    if file:
        (model / file).write_text("{}")
    assert refusal(UsageError, Options(source=str(model), tag="t"), tmp_path) == f"{model} {message}"
    assert not (tmp_path / "ran").exists()
