"""Looking at a training: nothing in it changes, it resumes exactly, and it can end at a look."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.adapters.conformance_tools import InterruptedTraining, checkpoint_steps, counted_steps, toy_split
from benchmark.core.seeding import derive_seed, kept_random_state, seed_all
from benchmark.core.types import Budget, Images, Watchable
from benchmark.plugins.registry import find_model, load_class
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.watching import STREAM, Watch

torch.set_num_threads(1)
WATCHED = ("ddpm", "ldm", "vae", "styled-gan", "vqvae", "vqgan")


class Scripted:
    """A watcher that looks at given steps and finds what it was told to find."""

    def __init__(self, looks: dict[int, bool], *, stops: bool = False, samples: int = 6) -> None:
        self.script, self.may_stop, self.samples = looks, stops, samples
        self.seen: dict[int, Images] = {}
        self.seconds: list[float] = []
        self.started: list[tuple[int, int]] = []

    def start(self, done: int, steps: int) -> None:
        self.started.append((done, steps))
        self.seen = {step: images for step, images in self.seen.items() if step <= done}

    def wanted(self, step: int, seconds: float) -> int:
        self.seconds.append(seconds)
        return self.samples if step in self.script and step not in self.seen else 0

    def update(self, step: int, samples: Images, *, sampling_seconds: float) -> dict[str, float]:
        self.seen[step] = samples
        return {"samples": len(samples)}

    @property
    def found(self) -> list[bool]:
        return [self.script[step] for step in sorted(self.seen)]

    @property
    def clean(self) -> bool:
        return not self.found[-1]

    @property
    def should_stop(self) -> bool:
        return self.may_stop and self.found[-2:] == [True, True]


def network() -> nn.Sequential:
    seed_all(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 4))


def noisy_loss(net: nn.Module, batch: Tensor) -> Tensor:
    return (net(batch + 0.1 * torch.randn_like(batch)) - batch).square().mean()


def draw(net: nn.Module, count: int, seed: int) -> Iterator[Images]:
    """Spend random numbers of every kind, spoil the network, and yield two batches that are functions of it."""
    random.random(), np.random.rand(5), torch.rand(7)  # noqa: NPY002
    noise = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        images = net(noise)
        for weight in [*net.parameters(), *net.buffers()]:
            weight.zero_()
    yield images[: count // 2].numpy()
    yield images[count // 2 :].numpy()


def fit(folder: Path, watcher: Scripted | None, *, loss: Any = noisy_loss, **changes: Any) -> nn.Module:
    given = {"steps": 12, "batch_size": 4, "learning_rate": 0.01, "ema": 0.9, "log_every": 4, **changes}
    feed = Resident(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), torch.device("cpu"))
    watch = None if watcher is None else Watch(watcher, draw)
    where = {"folder": folder, "seed": 0, "device": "cpu"}
    return train(network(), loss, feed, TrainingConfig(**given), watch=watch, **where)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_looking_changes_no_digit(tmp_path: Path, ema: float) -> None:
    watcher = Scripted({1: False, 5: True, 6: True, 9: False})
    plain = fit(tmp_path / "plain", None, ema=ema)
    assert same(plain, fit(tmp_path / "watched", watcher, ema=ema))
    assert sorted(watcher.seen) == [1, 5, 6, 9]
    assert all(images.shape == (6, 4) and images.any() for images in watcher.seen.values())
    logged = [line for line in lines(tmp_path / "watched") if "watch/samples" in line]
    assert [line["step"] for line in logged] == [1, 5, 6, 9]


def test_samples_are_of_the_average_in_evaluation_mode(tmp_path: Path) -> None:
    watcher = Scripted({12: False})
    result = fit(tmp_path, watcher)
    noise = torch.randn(6, 4, generator=torch.Generator().manual_seed(derive_seed(0, STREAM, 12)))
    with torch.no_grad():
        assert np.array_equal(watcher.seen[12], result(noise).numpy())


def test_each_look_has_samples_of_its_own(tmp_path: Path) -> None:
    seeds: list[int] = []
    watcher = Scripted({2: False, 3: False})
    feed = Resident(torch.randn(10, 4), torch.device("cpu"))

    def noted(net: nn.Module, count: int, seed: int) -> Iterator[Images]:
        seeds.append(seed)
        yield np.zeros((count, 4), np.float32)

    config = TrainingConfig(steps=4, batch_size=4, learning_rate=0.01)
    train(network(), noisy_loss, feed, config, folder=tmp_path, seed=0, device="cpu", watch=Watch(watcher, noted))
    assert len(set(seeds)) == 2


def test_random_numbers_are_put_back() -> None:
    def draws() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002

    seed_all(3)
    expected = draws()
    seed_all(3)
    with kept_random_state():
        draws()
    assert draws() == expected


def test_a_killed_training_looks_as_one_that_was_not(tmp_path: Path) -> None:
    script = {2: False, 6: False, 7: False, 10: False}
    whole, cut = Scripted(script), Scripted(script)
    expected = fit(tmp_path / "whole", whole, checkpoint_steps=4)
    with pytest.raises(InterruptedTraining), counted_steps(cut_after=8):  # looked at step 7, saved at step 4
        fit(tmp_path / "cut", cut, checkpoint_steps=4)
    assert sorted(cut.seen) == [2, 6, 7]
    assert same(expected, fit(tmp_path / "cut", cut, checkpoint_steps=4))
    assert cut.started == [(0, 12), (4, 12)]
    assert all(np.array_equal(images, whole.seen[step]) for step, images in cut.seen.items())
    watched = [line["step"] for line in lines(tmp_path / "cut") if "watch/samples" in line]
    assert watched == [2, 6, 7, 10]


def test_it_stops_at_the_onset_and_keeps_the_network_from_before(tmp_path: Path) -> None:
    watcher = Scripted({2: False, 4: True, 5: False, 8: True, 9: True, 11: True}, stops=True)
    kept = fit(tmp_path / "stopped", watcher)
    assert sorted(watcher.seen) == [2, 4, 5, 8, 9]
    assert same(kept, networks_at(tmp_path / "noted")[5])
    assert lines(tmp_path / "stopped")[-1]["note"] == (
        "training ended at step 9 of 12: training patients are exposed; the network of step 5 is kept"
    )


def networks_at(folder: Path) -> dict[int, nn.Module]:
    """Return the averaged network after each step of the same training."""
    networks: dict[int, nn.Module] = {}
    watcher = Scripted(dict.fromkeys(range(1, 13), False))
    feed = Resident(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), torch.device("cpu"))

    def noted(net: nn.Module, count: int, seed: int) -> Iterator[Images]:
        networks[len(networks) + 1] = copy.deepcopy(net)
        yield np.zeros((count, 4), np.float32)

    config = TrainingConfig(steps=12, batch_size=4, learning_rate=0.01, ema=0.9, log_every=4)
    train(network(), noisy_loss, feed, config, folder=folder, seed=0, device="cpu", watch=Watch(watcher, noted))
    return networks


def test_a_stopped_training_is_not_taken_up_again(tmp_path: Path) -> None:
    script = {2: False, 4: True, 5: True}
    kept = fit(tmp_path, Scripted(script, stops=True))

    def untouched(net: nn.Module, batch: Tensor) -> Tensor:
        raise AssertionError("a step was taken")

    for watcher in (Scripted(script, stops=True), None):
        assert same(kept, fit(tmp_path, watcher, loss=untouched))


def test_a_stop_survives_a_kill_between_the_two_looks(tmp_path: Path) -> None:
    script = {2: False, 4: True, 6: True}
    whole, cut = Scripted(script, stops=True), Scripted(script, stops=True)
    expected = fit(tmp_path / "whole", whole, checkpoint_steps=5)
    with pytest.raises(InterruptedTraining), counted_steps(cut_after=6):
        fit(tmp_path / "cut", cut, checkpoint_steps=5)
    assert same(expected, fit(tmp_path / "cut", cut, checkpoint_steps=5))
    assert same(expected, networks_at(tmp_path / "noted")[2])


def test_exposed_at_the_first_look_keeps_that_network_and_says_so(tmp_path: Path) -> None:
    kept = fit(tmp_path / "stopped", Scripted({3: True, 4: True}, stops=True))
    assert same(kept, networks_at(tmp_path / "noted")[3])
    assert lines(tmp_path / "stopped")[-1]["note"] == (
        "training ended at step 4 of 12: training patients were exposed at the first look already; the network of that"
        " look is kept, and it is exposed: look earlier"
    )


def test_a_watcher_that_may_not_stop_keeps_no_weights(tmp_path: Path) -> None:
    fit(tmp_path, Scripted({3: False, 4: True, 5: True}))
    assert "watched" not in torch.load(tmp_path / "training.pt", weights_only=True)


def test_looks_take_nothing_of_the_training_time(tmp_path: Path) -> None:
    watcher = Scripted(dict.fromkeys(range(1, 13), False))
    feed = Resident(torch.randn(10, 4), torch.device("cpu"))

    def slow(net: nn.Module, count: int, seed: int) -> Iterator[Images]:
        time.sleep(0.4)
        yield np.zeros((count, 4), np.float32)

    config = TrainingConfig(steps=12, batch_size=4, learning_rate=0.01)
    where = {"folder": tmp_path, "seed": 0, "device": "cpu", "budget": Budget(3.0)}
    train(network(), noisy_loss, feed, config, watch=Watch(watcher, slow), **where)
    state = torch.load(tmp_path / "training.pt", weights_only=True)
    assert state["done"] == 12
    assert watcher.seconds[-1] <= state["seconds"] < 3.0


@pytest.mark.slow
@pytest.mark.parametrize("name", WATCHED)
def test_models_are_looked_at_without_a_change(name: str, tmp_path: Path) -> None:
    card, split = find_model(name), toy_split(1, 2)
    states = []
    for label in ("plain", "watched"):
        adapter: Any = load_class("models", card)(**card.toy)
        watcher = Scripted({2: False, card.toy.get("steps", 4): False}, samples=5)
        if label == "watched":
            assert isinstance(adapter, Watchable)
            adapter.watched_by(watcher)
        with checkpoint_steps(2):
            adapter.fit(split, folder=tmp_path / label, budget=Budget(), seed=0, device="cpu")
        states.append(adapter.network())
    assert same(*states)
    assert set(watcher.seen) == set(watcher.script)
    for images in watcher.seen.values():
        assert images.shape == (5, *split.shape)
        assert np.isfinite(images).all()
        assert np.abs(images).max() <= 1


@pytest.mark.parametrize("name", ["copycat", "gaussian", "folder", "diffusers", "monai-bundle", "ldm-text"])
def test_models_that_draw_no_samples_in_training_are_not_watchable(name: str) -> None:
    assert not hasattr(load_class("models", find_model(name)), "watched_by")
