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
repository, folder, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if most:
    step, taken = training._step, []
    def until_the_most(*given):
        taken.append(len(taken) == most and ((folder / "waits").touch(), time.sleep(600)))
        return step(*given)
    training._step = until_the_most
settings = {settings}
job = worker.Job(repository, "auto", "cpu", (1, 16, 16), settings)
split = toy_split(1, 2)
print(worker.fit(job, split.pixels[split.rows], folder, folder / "model.safetensors", 0, None, "toy"))
"""


LONG = 240
"""Seconds in which a job of these ends on any machine."""


def run_worker(repository: Path, folder: Path, steps: int) -> subprocess.Popen[str]:
    """Start a training, which waits after so many steps where these are not 0."""
    settings = StyleGAN2ADA(**(TOY | {"steps": 30}))._settings()
    environment = {**os.environ, "BENCH_CHECKPOINT_STEPS": "5", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", JOB.format(settings=settings), str(repository), str(folder), str(steps)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole_and_resumed(repository: Path, tmp_path: Path) -> tuple[bytes, bytes]:
    """Train at once, and with a kill on the way; return the weights of both."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = run_worker(repository, whole, 0)
    out, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    assert "'ops': 'reference'" in out
    process = run_worker(repository, cut, 7)
    deadline = time.monotonic() + LONG
    while not (cut / "waits").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert torch.load(cut / "training.pt", weights_only=True)["done"] == 5
    process = run_worker(repository, cut, 0)
    _, errors = process.communicate(timeout=LONG)
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


def refused(path: Path, digest: str, tmp_path: Path) -> str:
    with pytest.raises(BenchError) as error:
        read_generator(path, digest, (1, 16, 16), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
    return str(error.value)


CONVERT = "convert it first: python legacy.py --source=OLD.pkl --dest=NEW.pkl, in stylegan2-ada-pytorch"
FOLDER = "sample with its own code, and give the images as --model folder"


def test_stylegan3_and_others_are_named(tmp_path: Path, snapshot: Any) -> None:
    """By arguments, by the stored source or by the class: all of them rebuild a Generator, as StyleGAN2 does."""
    weight = torch.zeros(8, 8)
    files = {
        "a network of StyleGAN3": generator(weight, magnitude_ema_beta=0.999, conv_kernel=1, use_radial_filters=True),
        "a network of StyleGAN-XL": Persistent("SuperresGenerator", {"_init_kwargs": {"head_layer_names": None}}),
        "a network of EG3D": Persistent("TriPlaneGenerator", {"_init_kwargs": {}}),
        "a network of Projected GAN": Persistent("Generator", {}, source="from pg_modules.blocks import UpBlockBig"),
    }
    for kind, content in files.items():
        path, digest = snapshot({"G_ema": content})
        assert refused(path, digest, tmp_path) == (f"{path} is {kind}, not of stylegan2-ada-pytorch\n  hint: {FOLDER}")


@pytest.mark.parametrize(
    ("module", "name", "kind", "hint"),
    [
        (
            "dnnlib.tflib.network",
            "Network",
            "a TensorFlow pickle of StyleGAN, StyleGAN2 or Progressive GAN",
            CONVERT,
        ),
        ("pg_modules.networks_fastgan", "Generator", "a network of Projected GAN", FOLDER),
        ("training.networks_stylegan3_resetting", "Generator", "a network of StyleGAN-XL", FOLDER),
        ("training.networks_stylegan3", "Generator", "a network of StyleGAN3", FOLDER),
        (
            "dill._dill",
            "_create_type",
            "a pickle of dill, which stores code",
            "load it where you trust it, and save it by pickle",
        ),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_classes_of_other_projects_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, kind: str, hint: str, protocol: int
) -> None:
    from types import ModuleType

    made, parts = ModuleType(module), module.split(".")
    kept = type(name, (), {"__module__": module, "__qualname__": name})
    setattr(made, name, kept)
    for end in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(".".join(parts[:end])))
    monkeypatch.setitem(sys.modules, module, made)
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps({"G_ema": kept()}, protocol=protocol))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert refused(path, digest, tmp_path) == f"{path} is {kind}, not of stylegan2-ada-pytorch\n  hint: {hint}"


def test_checkpoints_of_other_implementations_are_named(tmp_path: Path) -> None:
    path = tmp_path / "550000.pt"
    torch.save({"g_ema": {"input.input": torch.zeros(1)}}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert refused(path, digest, tmp_path) == (
        f"{path} is a checkpoint of torch, as other implementations of StyleGAN2 write it, not of "
        "stylegan2-ada-pytorch\n"
        "  hint: give a network pickle of stylegan2-ada-pytorch"
    )


def test_stylegan2_of_the_stylegan3_repository_is_read(tmp_path: Path, snapshot: Any) -> None:
    """Its arguments are at the top level, and its default has four resolutions in fp16."""
    made = generator(torch.zeros(8, 8), channel_base=128, channel_max=8, fused_modconv_default="inference_only")
    made.meta["state"]["_init_kwargs"].pop("synthesis_kwargs")
    path, digest = snapshot({"G_ema": made})
    assert read_generator(path, digest, (1, 16, 16), tmp_path / "weights") == {
        "latent": 8, "mapping_layers": 1, "channel_base": 128, "channel_max": 8, "half_precision_levels": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mapping_kwargs": {"num_layers": 1, "lr_multiplier": 1}}, "lr_multiplier=1"),
        ({"synthesis_kwargs": {"architecture": "resnet"}}, "architecture=resnet"),
        ({"synthesis_kwargs": {"new": 3}}, "new=3"),
        ({"new": 3}, "new=3"),
    ],
)
def test_arguments_that_would_be_lost_are_refused(
    tmp_path: Path, snapshot: Any, changes: dict[str, object], named: str
) -> None:
    path, digest = snapshot({"G_ema": generator(torch.zeros(8, 8), **changes)})
    assert refused(path, digest, tmp_path) == (
        f"the generator of {path} is built with {named}, which is not rebuilt here\n"
        "  hint: give a network of the authors' configurations, or images of yours as --model folder"
    )


@pytest.mark.parametrize(("changes", "shape"), [({"c_dim": 5}, (1, 16, 16)), ({"img_channels": 3}, (1, 16, 16))])
def test_networks_with_classes_or_colours_are_refused(
    tmp_path: Path, snapshot: Any, changes: dict[str, object], shape: tuple[int, ...]
) -> None:
    path, digest = snapshot({"G_ema": generator(torch.zeros(8, 8), **changes)})
    classes = "the network has classes, or latents of two sizes\n  hint: give an unconditional one"
    colours = (
        f"{path} generates 3 channels, 16 pixels per side; the cohort has 1 and 16\n"
        "  hint: give --image-size 16 and as many channels"
    )
    assert refused(path, digest, tmp_path) == (classes if "c_dim" in changes else colours)


# The real repository


@pytest.mark.skipif("STYLEGAN2_ADA_DIR" not in os.environ, reason="needs NVIDIA's repository, which may not be shipped")
def test_the_official_repository_conforms() -> None:
    findings = check_adapter(find_model("stylegan2-ada"), {})
    assert [finding for finding in findings if finding.status == "fault"] == []


@pytest.mark.skipif("STYLEGAN2_ADA_DIR" not in os.environ, reason="needs NVIDIA's repository, which may not be shipped")
def test_the_official_repository_resumes_exactly(tmp_path: Path) -> None:
    whole, resumed = whole_and_resumed(Path(os.environ["STYLEGAN2_ADA_DIR"]), tmp_path)
    assert whole == resumed


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "is a pointer of git-lfs in place of the weights"),
        (b"", "is empty"),
    ],
)
def test_files_without_weights_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(content)
    assert refused(path, hashlib.sha256(content).hexdigest(), tmp_path).startswith(f"{path} {what}\n  hint: ")
