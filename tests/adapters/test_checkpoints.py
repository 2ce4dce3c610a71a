"""Checkpoints as trainings write them: wrapped, with numbers of numpy, averaged; and those that hold code."""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.adapters.checkpoints import read_tensors, unnamed_average, weights_for
from benchmark.core.errors import BenchError


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def prefixed(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in weights.items()}


def loaded(path: Path, network: nn.Module) -> tuple[dict[str, torch.Tensor], str]:
    return weights_for(network.state_dict(), read_tensors(path), path)


def refusal(path: Path, network: nn.Module) -> str:
    with pytest.raises(BenchError) as error:
        loaded(path, network)
    return str(error.value)


def wrappings(weights: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> dict[str, tuple[Any, str]]:
    """Contents of checkpoints with the same weights, and the place where they are."""
    return {
        "plain": (weights, ""),
        "ordered": (OrderedDict(weights), ""),
        "state_dict": ({"state_dict": weights, "epoch": 3}, "state_dict"),
        "model": ({"model": weights, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3, 2)}}}}, "model"),
        "DDP": (prefixed(weights, "module."), "module"),
        "compiled": (prefixed(weights, "_orig_mod."), "_orig_mod"),
        "compiled DDP": ({"model": prefixed(weights, "module._orig_mod.")}, "model/module._orig_mod"),
        "inner": ({"0._orig_mod." + name[2:] if name[0] == "0" else name: v for name, v in weights.items()}, ""),
        "lightning": (
            {
                "state_dict": prefixed(weights, "net.")
                | prefixed(other | {"2.bias": torch.zeros(1)}, "discriminator."),
                "hyper_parameters": {"lr": 1e-4},
                "pytorch-lightning_version": "2.4",
            },
            "state_dict/net",
        ),
        "ema": ({"model": other, "model_ema": weights}, "model_ema"),
        "ema_pytorch": (prefixed(other, "online_model.") | prefixed(weights, "ema_model."), "ema_model"),
        "twice the same": ({"state_dict": weights, "best": weights}, "state_dict"),
        "numpy": (
            {"state_dict": weights, "epoch": np.int64(3), "loss": np.float32(0.1), "history": np.arange(3.0),
             "kind": np.dtype("float32"), "done": np.bool_(True)},
            "state_dict",
        ),
        "containers": ({"state_dict": weights, "more": defaultdict(list), "path": Path("x"), "set": {1}}, "state_dict"),
    }  # fmt: skip


@pytest.mark.parametrize("name", [
    "plain", "ordered", "state_dict", "model", "DDP", "compiled", "compiled DDP", "inner", "lightning", "ema",
    "ema_pytorch", "twice the same", "numpy", "containers",
])  # fmt: skip
@pytest.mark.parametrize("legacy", [False, True])
def test_weights_are_found_where_trainings_put_them(
    network: nn.Module, tmp_path: Path, name: str, legacy: bool
) -> None:
    weights = dict(network.state_dict())
    other = {key: value + 1 for key, value in weights.items()}
    content, place = wrappings(weights, other)[name]
    path = tmp_path / "x.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    state, where = loaded(path, network)
    assert where == place
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[key], weights[key]) for key in weights)


def test_safetensors_are_read(network: nn.Module, tmp_path: Path) -> None:
    save_file(prefixed(dict(network.state_dict()), "module."), tmp_path / "x.safetensors")
    assert loaded(tmp_path / "x.safetensors", network)[1] == "module"


def test_numbers_of_an_older_numpy_are_read(network: nn.Module, tmp_path: Path) -> None:
    """numpy 1 wrote numpy.core where numpy 2 writes numpy._core."""
    path = tmp_path / "x.pt"
    content = {"state_dict": dict(network.state_dict()), "epoch": np.float64(3)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    stored = path.read_bytes()
    name = b"numpy._core.multiarray"
    assert stored.count(name) == 1
    path.write_bytes(stored.replace(name, b"numpy.core.multiarray"))
    assert loaded(path, network)[1] == "state_dict"


def test_settings_of_lightning_are_ignored_and_run_nothing(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("lightning.fabric.utilities.data")

    class AttributeDict(dict):  # type: ignore[type-arg]
        def __setstate__(self, state: object) -> None:
            raise AssertionError("code of the file's class was run")

        def __getstate__(self) -> object:
            return {"a": 1}

    AttributeDict.__module__, AttributeDict.__qualname__ = module.__name__, "AttributeDict"
    module.AttributeDict = AttributeDict  # type: ignore[attr-defined]
    for name in ("lightning", "lightning.fabric", "lightning.fabric.utilities", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": dict(network.state_dict()), "hyper_parameters": AttributeDict(lr=1)}, path)
    assert loaded(path, network)[1] == "state_dict"


def test_several_sets_of_weights_are_asked_about(network: nn.Module, tmp_path: Path) -> None:
    weights = dict(network.state_dict())
    path = tmp_path / "x.pt"
    torch.save({"last": weights, "best": {name: value + 1 for name, value in weights.items()}}, path)
    assert refusal(path, network) == (
        f"{path} holds 2 sets of weights for the network: last, best\n"
        "  hint: save the one to be sampled from in a file of its own"
    )


def test_weights_that_fit_nowhere_are_returned_whole(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"model": {"module.other": torch.zeros(1), "module.more": torch.zeros(1)}, "a": torch.zeros(1)}, path)
    state, where = loaded(path, network)
    assert (state.keys(), where) == ({"other", "more"}, "model")


class Hostile:
    """Calls the shell when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_code_in_a_checkpoint_never_runs(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"state_dict": dict(network.state_dict()), "x": Hostile(f"touch {tmp_path / 'was-run'}")}, path)
    assert refusal(path, network) == (
        f"{path} holds no plain tensors (an object of {os.system.__module__}.system)\n"
        "  hint: save state_dict() with torch.save"
    )
    path.write_bytes(pickle.dumps(Hostile(f"touch {tmp_path / 'was-run'}")))
    assert refusal(path, network).startswith(f"{path} holds no plain tensors (")
    assert not (tmp_path / "was-run").exists()


def test_other_contents_are_one_sentence(network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save([1, 2], path)
    assert refusal(path, network) == (
        f"{path} holds a list, not weights by name\n  hint: save state_dict() with torch.save"
    )
    torch.save({"epoch": 3}, path)
    assert refusal(path, network) == f"{path} holds no tensors by name\n  hint: save state_dict() with torch.save"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    assert refusal(path, network).startswith(f"{path} holds no plain tensors (")
    path.write_bytes(b"")
    assert refusal(path, network) == f"{path} is empty\n  hint: download or copy it again"


def test_an_average_without_names_is_found() -> None:
    """What is sampled from is then the last weights, and the user is told."""
    weights = {"a.weight": torch.zeros(2)}
    listed = [torch.ones(2)]
    assert unnamed_average({"model": weights, "ema": {"decay": 0.99, "shadow_params": listed}}) == "ema/shadow_params"
    assert unnamed_average({"model": weights, "averages": {"shadow_params": listed}}) == "averages/shadow_params"
    assert unnamed_average({"model": weights, "model_ema": listed}) == "model_ema"
    for other in ({"ema": weights}, {"optimizer": {"params": listed}}, {"ema": [0.99]}, {"schema": listed}):
        assert unnamed_average({"model": weights, **other}) == ""
