"""The adapter of NVIDIA's repository, on a stand-in; on the real one too where STYLEGAN2_ADA_DIR is set."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_stylegan import write_repository

from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.errors import BenchError, DeclinedError, UsageError
from benchmark.core.types import Budget
from benchmark.models.stylegan2_ada import resample
from benchmark.models.stylegan2_ada.adapter import StyleGAN2ADA
from benchmark.models.stylegan2_ada.checkout import commit_of, find_checkout
from benchmark.models.stylegan2_ada.pickles import read_generator
from benchmark.plugins.registry import find_model

TOY: dict[str, Any] = {"channel_base": 128, "channel_max": 8, "latent": 8, "group": 2, "steps": 6, "batch_size": 4}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in."""
    return write_repository(tmp_path_factory.mktemp("stylegan2-ada-pytorch"))


def fit(repository: Path | str, folder: Path, **changes: Any) -> StyleGAN2ADA:
    adapter = StyleGAN2ADA(checkout=str(repository), **(TOY | changes))
    adapter.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def drawn(adapter: StyleGAN2ADA) -> np.ndarray:
    return np.concatenate(list(adapter.sample(4, seed=1)))


def test_it_conforms(repository: Path) -> None:
    findings = check_adapter(find_model("stylegan2-ada"), {"checkout": str(repository)})
    assert [finding for finding in findings if finding.status == "fault"] == []
    assert {finding.cohort for finding in findings if finding.check == "trains" and finding.status == "ok"} == {
        "2D, 1 channel", "2D, 5 channels",
    }  # fmt: skip


JOB = """
import sys, time
from pathlib import Path
import benchmark.training.loop as training
from benchmark.models.stylegan2_ada import worker
from benchmark.adapters.conformance_tools import toy_split
repository, folder, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
if pause:
    step = training._step
    training._step = lambda *given: (time.sleep(pause), step(*given))
settings = {settings}
job = worker.Job(repository, "auto", "cpu", (1, 16, 16), settings)
split = toy_split(1, 2)
print(worker.fit(job, split.pixels[split.rows], folder, folder / "model.safetensors", 0, None, "toy"))
"""


def run_worker(repository: Path, folder: Path, pause: float) -> subprocess.Popen[str]:
    settings = StyleGAN2ADA(**(TOY | {"steps": 30}))._settings()
    environment = {**os.environ, "BENCH_CHECKPOINT_STEPS": "5", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", JOB.format(settings=settings), str(repository), str(folder), str(pause)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole_and_resumed(repository: Path, tmp_path: Path) -> tuple[bytes, bytes]:
    """Train at once, and with a kill on the way; return the weights of both."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = run_worker(repository, whole, 0)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "'ops': 'reference'" in out
    process = run_worker(repository, cut, 0.1)
    deadline = time.monotonic() + 60
    while not (cut / "training.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert torch.load(cut / "training.pt", weights_only=True)["done"] < 30
    process = run_worker(repository, cut, 0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return (whole / "model.safetensors").read_bytes(), (cut / "model.safetensors").read_bytes()


def test_a_killed_training_resumes_exactly(repository: Path, tmp_path: Path) -> None:
    whole, resumed = whole_and_resumed(repository, tmp_path)
    assert whole == resumed


def test_augmentation_adapts_and_is_kept(repository: Path, tmp_path: Path) -> None:
    adapter = fit(repository, tmp_path, ada_kimg=0.1, ada_target=-2.0, steps=9)
    # Every fourth step from the first, p rises by 4 steps x 4 images / 100 images.
    assert adapter._repository["augmentation_probability"] == pytest.approx(3 * 16 / 100)
    assert adapter._repository["patches"] == []
    assert fit(repository, tmp_path / "none", augmentation="none")._repository["augmentation_probability"] == 0


def test_no_checkout_is_declined_by_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STYLEGAN2_ADA_DIR", raising=False)
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path))
    place = tmp_path / "checkouts" / "stylegan2-ada"
    with pytest.raises(DeclinedError) as error:
        fit("", tmp_path / "fit")
    assert str(error.value) == (
        f"stylegan2-ada needs NVIDIA's repository, and there is no checkout at {place}\n"
        "  hint: `bench models install stylegan2-ada` fetches it, or give --set checkout=DIR, or set STYLEGAN2_ADA_DIR"
    )
    assert (error.value.reason, error.value.exit_code) == ("no checkout", 3)
    assert pickle.loads(pickle.dumps(error.value)).reason == "no checkout"


def test_another_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        find_checkout(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path} is no checkout of stylegan2-ada-pytorch: it has no training/networks.py\n"
        "  hint: `bench models install stylegan2-ada` fetches one"
    )
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "networks_stylegan2.py").touch()
    with pytest.raises(UsageError) as error:
        find_checkout(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path} is NVlabs/stylegan3\n  hint: stylegan2-ada needs a checkout of NVlabs/stylegan2-ada-pytorch"
    )


def test_the_commit_is_read_from_git(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "unknown"
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text("abc\n")
    assert commit_of(tmp_path) == "abc"
    (tmp_path / ".git" / "HEAD").write_text("d72cc7d\n")
    assert commit_of(tmp_path) == "d72cc7d"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 5},
            "a batch of 5 cannot be cut into groups of 2\n  hint: give a batch_size that group divides",
        ),
        ({"channel_base": 8}, "channel_base 8 leaves no channel at 16 pixels\n  hint: give at least 16"),
        ({"ops": "cuda"}, "ops=cuda needs a GPU, and the device is a CPU\n  hint: use --set ops=auto"),
        (
            {"augmentation": "colour"},
            "stylegan2-ada has no augmentation 'colour'\n  hint: choose one of none, anatomy, bg, bgc",
        ),
        (
            {"network": "a.pkl"},
            "network and sha256 go together\n  hint: give both: sha256sum FILE prints the latter",
        ),
    ],
)
def test_what_the_repository_would_fail_on_is_refused(
    repository: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError) as error:
        fit(write_repository(tmp_path / "own") if "ops" in changes else repository, tmp_path / "fit", **changes)
    assert str(error.value) == message


def test_colours_need_one_or_three_channels(repository: Path, tmp_path: Path) -> None:
    adapter = StyleGAN2ADA(checkout=str(repository), **(TOY | {"augmentation": "bgc"}))
    with pytest.raises(UsageError) as error:
        adapter.fit(toy_split(5, 2), folder=tmp_path, budget=Budget(), seed=0, device="cpu")
    assert error.value.message == "augmentation bgc changes colours of 1 or 3 channels, not of 5"


def test_torchrun_is_refused(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError) as error:
        fit(repository, tmp_path)
    assert str(error.value) == "stylegan2-ada trains in one process\n  hint: start it without torchrun"


# The second derivative that older torch lacks


def test_resampling_has_both_derivatives() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    grid = (torch.rand(2, 4, 4, 2, dtype=torch.float64) * 2.4 - 1.2).requires_grad_(False)
    assert torch.autograd.gradcheck(lambda image: resample.grid_sample(image, grid), images)
    assert torch.autograd.gradgradcheck(lambda image: resample.grid_sample(image, grid).square(), images)
    plain = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    assert torch.equal(resample.grid_sample(images, grid), plain)


def test_a_missing_derivative_is_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resample.has_second_derivative("cpu")

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, images: torch.Tensor) -> torch.Tensor:
            return images.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient.clone()

    monkeypatch.setattr(resample.F, "grid_sample", lambda images, grid, **_: Once.apply(images))
    assert not resample.has_second_derivative("cpu")


# Official files


class Persistent:
    """Pickles itself as the repository's networks do."""

    def __init__(self, name: str, state: dict[str, Any], source: str = "raise SystemExit('was run')") -> None:
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": name, "state": state}

    def __reduce__(self) -> Any:
        import torch_utils.persistence as persistence

        return persistence._reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a network file and return it with its digest."""
    from types import ModuleType

    package, module = ModuleType("torch_utils"), ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta: object) -> None:
        raise AssertionError("the stored source was about to run")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    package.persistence = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_utils", package)
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)

    def write(content: object) -> tuple[Path, str]:
        path = tmp_path / "network.pkl"
        path.write_bytes(pickle.dumps(content))
        return path, hashlib.sha256(path.read_bytes()).hexdigest()

    return write


def generator(weight: torch.Tensor, **changes: object) -> Persistent:
    arguments = {
        "z_dim": 8,
        "c_dim": 0,
        "w_dim": 8,
        "img_resolution": 16,
        "img_channels": 1,
        "mapping_kwargs": {"num_layers": 1},
        "synthesis_kwargs": {"channel_base": 128, "channel_max": 8},
    }
    part = Persistent(
        "Mapping", {"_parameters": {"weight": torch.nn.Parameter(weight)}, "_buffers": {"w_avg": weight[0]}}
    )
    return Persistent(
        "Generator", {"_init_kwargs": arguments | changes, "_parameters": {}, "_modules": {"mapping": part}}
    )


def test_tensors_of_an_official_file_are_read_and_its_source_never_runs(tmp_path: Path, snapshot: Any) -> None:
    from safetensors.torch import load_file

    weight = torch.randn(8, 8)
    path, digest = snapshot({"G_ema": generator(weight), "training_set_kwargs": None})
    settings = read_generator(path, digest, (1, 16, 16), tmp_path / "weights")
    assert settings == {
        "latent": 8, "mapping_layers": 1, "channel_base": 128, "channel_max": 8, "half_precision_levels": 0,
    }  # fmt: skip
    found = load_file(tmp_path / "weights")
    assert found.keys() == {"mapping.weight", "mapping.w_avg"}
    assert torch.equal(found["mapping.weight"], weight)


class Hostile:
    """Calls the shell when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch was-run",)


def test_files_that_name_anything_else_are_refused(tmp_path: Path, snapshot: Any) -> None:
    path, digest = snapshot({"G_ema": Hostile()})
    with pytest.raises(BenchError) as error:
        read_generator(path, digest, (1, 16, 16), tmp_path / "weights")
    name = f"{os.system.__module__}.system"
    assert str(error.value) == (
        f"{path} was refused: it names {name}, which is not on the allow-list\n"
        "  hint: give a network pickle of stylegan2-ada-pytorch"
    )
    assert not Path("was-run").exists()


def test_other_files_digests_and_shapes_are_refused(tmp_path: Path, snapshot: Any) -> None:
    def refusal(content: object, shape: tuple[int, ...] = (1, 16, 16), digest: str = "") -> str:
        path, own = snapshot(content)
        with pytest.raises(BenchError) as error:
            read_generator(path, digest or own, shape, tmp_path / "weights")
        return error.value.message.removeprefix(f"{path} ")

    good = {"G_ema": generator(torch.zeros(8, 8))}
    assert refusal({"D": 1}) == "holds no G_ema of class Generator"
    assert refusal(good, (3, 16, 16)) == "generates 1 channels, 16 pixels per side; the cohort has 3 and 16"
    own = snapshot(good)[1]
    assert refusal(good, digest="0" * 64) == f"has the SHA-256 {own}, not {'0' * 64}"
    with pytest.raises(BenchError) as error:
        read_generator(tmp_path / "none.pkl", own, (1, 16, 16), tmp_path / "weights")
    assert str(error.value) == f"there is no network file {tmp_path / 'none.pkl'}\n  hint: give the path of a .pkl file"


# The real repository


@pytest.mark.skipif("STYLEGAN2_ADA_DIR" not in os.environ, reason="needs NVIDIA's repository, which may not be shipped")
def test_the_official_repository_conforms() -> None:
    findings = check_adapter(find_model("stylegan2-ada"), {})
    assert [finding for finding in findings if finding.status == "fault"] == []


@pytest.mark.skipif("STYLEGAN2_ADA_DIR" not in os.environ, reason="needs NVIDIA's repository, which may not be shipped")
def test_the_official_repository_resumes_exactly(tmp_path: Path) -> None:
    whole, resumed = whole_and_resumed(Path(os.environ["STYLEGAN2_ADA_DIR"]), tmp_path)
    assert whole == resumed
