"""The list of suspects: what detectors withhold, compared again at full size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.core.types import Split
from benchmark.evaluation import suspects
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.images.registration import find_placement

REAL = 6


def image(seed: int) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal((64, 64)), 4)
    return (127 + 60 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def split(name: str, count: int) -> Split:
    return Split(
        name=name,
        pixels=np.zeros((count, 1, 4, 4), np.uint8),
        rows=np.arange(count),
        subjects=tuple(f"P{number}" for number in range(count)),
        items=tuple(f"{name}{number}" for number in range(count)),
        channels=("image",),
    )


def matches(**columns: Any) -> dict[str, np.ndarray]:
    usual = {
        "train_row": [0, 1, 2, 3],
        "heldout_row": [4, 4, 5, 5],
        "similarity": [0.9, 0.8, 0.7, 0.6],
        "heldout_similarity": [0.5, 0.5, 0.5, 0.65],
        "withhold": [True, True, False, False],
        "reason": ["nearest", "nearest", "", ""],
    }
    return {name: np.array(values) for name, values in (usual | columns).items()}


def listed(found: dict[str, dict[str, np.ndarray]], copies: dict[int, int], *, further: bool = False) -> Any:
    """List suspects among four synthetic images, of which some are flipped copies of real ones."""

    def synthetic(number: int) -> np.ndarray:
        return image(copies[number])[:, ::-1] if number in copies else image(100 + number)

    full_size = FullSize(synthetic, image)
    return list_suspects(found, split("synthetic", 4), split("real", REAL), full_size, further=further)


def test_a_copy_is_certain_and_a_chance_hit_is_for_review() -> None:
    table = listed({"copy": matches()}, copies={1: 1})
    assert list(table["file"]) == ["synthetic1", "synthetic0"]
    assert list(table["confidence"]) == ["near-certain", "review"]
    assert list(table["train_file"]) == ["real1", "real0"]
    assert list(table["patient"]) == ["P1", "P0"]
    assert table["full_size"][0] > 0.99 > 0.9 > table["full_size"][1]


def test_verbatim_is_certain_whatever_the_full_size_says() -> None:
    table = listed({"copy": matches(reason=["nearest", "verbatim", "", ""])}, copies={})
    assert dict(zip(table["file"], table["confidence"], strict=True))["synthetic1"] == "near-certain"


def test_each_suspect_is_described_by_the_detector_that_is_surest() -> None:
    other = matches(
        train_row=[3, 1, 2, 3], similarity=[0.4, 0.9, 0.7, 0.9], heldout_similarity=[0.5, 0.5, 0.5, 0.1],
        withhold=[True, False, False, True], reason=["nearest", "", "", "verbatim"],
    )  # fmt: skip
    table = listed({"pixels": matches(), "copy": other}, copies={0: 0, 3: 3}).set_index("file")
    assert list(table.loc[["synthetic0", "synthetic3"], "detector"]) == ["pixels", "copy"]
    assert list(table.loc[["synthetic0", "synthetic3"], "train_file"]) == ["real0", "real3"]
    assert set(table.index) == {"synthetic0", "synthetic1", "synthetic3"}


def test_nothing_withheld_gives_an_empty_list() -> None:
    table = listed({"copy": matches(withhold=[False] * 4, reason=[""] * 4)}, copies={})
    assert len(table) == 0
    assert "confidence" in table


def test_without_held_out_images_there_is_no_chance_to_compare_with() -> None:
    table = listed({"copy": matches(heldout_row=[-1] * 4, reason=["nearest", "verbatim", "", ""])}, copies={0: 0})
    assert dict(zip(table["file"], table["confidence"], strict=True)) == {
        "synthetic1": "near-certain",
        "synthetic0": "review",
    }


@pytest.mark.parametrize("order", [("pixels", "copy"), ("copy", "pixels")])
def test_the_order_of_detectors_does_not_matter(order: tuple[str, str]) -> None:
    found = {"pixels": matches(), "copy": matches(similarity=[0.99, 0.2, 0.1, 0.1])}
    table = listed({name: found[name] for name in order}, copies={0: 0})
    assert table["train_file"][0] == "real0"


def test_each_pair_is_aligned_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def search(synthetic: np.ndarray, real: np.ndarray) -> Any:
        searched.append((synthetic.mean(), real.mean()))
        return find_placement(synthetic, real)

    monkeypatch.setattr(suspects, "find_placement", search)
    full_size = FullSize(lambda number: image(100 + number), image)
    table = list_suspects({"copy": matches()}, split("synthetic", 4), split("real", REAL), full_size)
    assert len(searched) == len(full_size.placements) == 2 + 4  # two suspects, and each image with its held-out one
    for number, row in table[["synthetic", "train_row"]].to_numpy().tolist():
        assert full_size.placement(number, row).affine
    assert len(searched) == 6
    assert full_size.placement(0, 3) == find_placement(image(100), image(3))
    assert len(searched) == 7


def test_a_copy_that_no_detector_withholds_is_found_at_full_size() -> None:
    """Image 2 is a copy and image 3 is not; no detector withholds them."""
    table = listed({"copy": matches()}, copies={1: 1, 2: 2}, further=True).set_index("file")
    assert list(table.loc["synthetic2", ["train_file", "reason", "confidence"]]) == [
        "real2",
        "full size",
        "near-certain",
    ]
    assert set(table.index) == {"synthetic0", "synthetic1", "synthetic2"}
    assert set(listed({"copy": matches()}, copies={1: 1, 2: 2})["file"]) == {"synthetic0", "synthetic1"}


def test_images_nearer_to_a_held_out_one_are_not_compared_further() -> None:
    """Image 3 is a copy, but a held-out image is more similar: nothing speaks for the training image."""
    nobody = matches(withhold=[False] * 4, reason=[""] * 4)
    assert len(listed({"copy": nobody}, copies={3: 3}, further=True)) == 0


@pytest.mark.parametrize(("sure", "unsure"), [("pixels", "copy"), ("copy", "pixels")])
def test_the_detector_with_the_greatest_lead_names_the_training_image(sure: str, unsure: str) -> None:
    nobody = {"withhold": [False] * 4, "reason": [""] * 4}
    found = {
        sure: matches(**nobody, train_row=[0, 1, 0, 3], similarity=[0.5, 0.5, 0.9, 0.6]),
        unsure: matches(**nobody, similarity=[0.9, 0.8, 0.51, 0.6]),
    }
    table = listed(found, copies={2: 0}, further=True)
    assert list(table["file"]) == ["synthetic2"]
    assert list(table.loc[0, ["train_file", "detector"]]) == ["real0", sure]


def test_without_held_out_images_nothing_is_compared_further() -> None:
    alone = matches(heldout_row=[-1] * 4, heldout_similarity=[0.0] * 4, withhold=[False] * 4, reason=[""] * 4)
    assert len(listed({"copy": alone}, copies={0: 0}, further=True)) == 0


def test_pairs_at_full_size_are_limited_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "ALIGNED", 2)
    assert set(listed({"copy": matches()}, copies={2: 2}, further=True)["file"]) == {"synthetic0", "synthetic1"}
