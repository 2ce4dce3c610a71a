"""Every model of this package that trains on images also trains on augmented ones, and resumes exactly."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.errors import UsageError
from benchmark.core.types import Budget
from benchmark.plugins import registry
from benchmark.training import loop

CASES = [("ldm", {}), ("ldm", {"autoencoder": "linear"}), ("ddpm", {}), ("vae", {}), ("vqvae", {}), ("vqgan", {}),
         ("styled-gan", {})]  # fmt: skip


def fitted(name: str, folder: Path, settings: dict[str, Any]) -> np.ndarray:
    """The samples of a toy training."""
    card = registry.find_model(name)
    cls = registry.load_class("models", card)
    toy = tomllib.loads((Path(card.folder) / "card.toml").read_text(encoding="utf-8"))["toy"]
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in toy.items()}
    adapter = cls(**values | settings)
    adapter.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return np.concatenate(list(adapter.sample(4, seed=0)))


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_augmentation_changes_the_training_and_a_killed_one_resumes(
    name: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fitted(name, tmp_path / "plain", settings)
    augmented = settings | {"augment": "published"}
    whole = fitted(name, tmp_path / "whole", augmented)
    assert not np.array_equal(plain, whole)
    steps = iter(range(100))
    step = loop._step

    def interrupted(*arguments: Any) -> None:
        if next(steps) == 3:
            raise KeyboardInterrupt
        step(*arguments)

    monkeypatch.setenv("BENCH_CHECKPOINT_STEPS", "1")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted(name, tmp_path / "killed", augmented)
    assert np.array_equal(fitted(name, tmp_path / "killed", augmented), whole)


def test_an_unknown_augmentation_is_refused() -> None:
    for name in ("ldm", "ddpm", "vae", "vqvae", "vqgan", "styled-gan", "stylegan2-ada"):
        with pytest.raises(UsageError) as refusal:
            registry.load_class("models", registry.find_model(name))(augment="blur")
        assert str(refusal.value) == (
            f"{name} has no augment 'blur'\n  hint: choose one of none, flips, published, strong"
        )
