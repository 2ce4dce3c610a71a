"""A detector of others: whatever it answers that cannot be compared is refused, with its name and its answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.core.errors import AdapterError, MachineError
from benchmark.detectors.guarded import GuardedDetector
from benchmark.plugins.guard import plugin_call
from benchmark.search import COSINE

IMAGES = np.zeros((3, 1, 4, 4), np.float32)
HINT = "\n  hint: embed returns one finite row per image, (N, D), float32 or uint8 (docs/detectors.md)"


class Plain:
    invariances = ("exact",)
    similarity = COSINE

    def __init__(self, embed: Callable[[Any], Any]) -> None:
        self.embed = embed


class Viewed(Plain):
    views = (lambda images: images[:, :, ::-1], lambda images: images[:1])


@pytest.mark.parametrize(("answer", "said"), [
    (np.zeros((2, 5), np.float32), "2 rows for 3 images"),
    (np.zeros((3, 5)), "an array of shape (3, 5) and type float64 for 3 images"),
    (np.zeros(3, np.float32), "an array of shape (3,) and type float32 for 3 images"),
    (np.zeros((3, 0), np.float32), "an array of shape (3, 0) and type float32 for 3 images"),
    (torch.zeros(3, 5), "a Tensor for 3 images"),
    (None, "a NoneType for 3 images"),
    (np.full((3, 5), np.nan, np.float32), "rows that are not finite"),
], ids=str)  # fmt: skip
def test_rows_that_cannot_be_compared(answer: Any, said: str) -> None:
    with pytest.raises(AdapterError) as refused:
        GuardedDetector("mine", Plain(lambda images: answer)).embed(IMAGES)
    assert str(refused.value) == f"detector mine: embed gave {said}{HINT}"


def test_rows_of_another_length_than_before() -> None:
    lengths = iter((5, 6))
    detector = GuardedDetector("mine", Plain(lambda images: np.ones((len(images), next(lengths)), np.float32)))
    assert detector.embed(IMAGES).shape == (3, 5)
    with pytest.raises(AdapterError) as refused:
        detector.embed(IMAGES)
    assert str(refused.value) == f"detector mine: embed gave rows of 6 numbers, but rows of 5 before{HINT}"


def test_a_view_of_another_shape() -> None:
    detector = GuardedDetector("mine", Viewed(lambda images: images))
    same, fewer = detector.views
    assert same(IMAGES).shape == IMAGES.shape
    with pytest.raises(AdapterError) as refused:
        fewer(IMAGES)
    assert str(refused.value) == (
        "detector mine: a view gave an array of shape (1, 1, 4, 4) and type float32 for images of shape (3, 1, 4, 4)"
        "\n  hint: a view returns images of the same shape (docs/detectors.md)"
    )
    assert not GuardedDetector("plain", Plain(lambda images: images)).views


def test_what_fit_gave_is_no_detector() -> None:
    with pytest.raises(AdapterError) as refused:
        GuardedDetector("mine", np.zeros(3))  # type: ignore[arg-type]
    assert str(refused.value) == (
        "detector mine: fit gave a ndarray without `embed`"
        "\n  hint: return an object with embed, invariances and similarity (docs/detectors.md)"
    )


@pytest.mark.parametrize(("error", "said"), [
    (ZeroDivisionError("by\nzero"), "detector mine failed in embed: ZeroDivisionError: by zero"),
    (SystemExit(0), "detector mine failed in embed: SystemExit: 0"),
    (GeneratorExit(), "detector mine failed in embed: GeneratorExit"),
])  # fmt: skip
def test_whatever_it_raises_is_told_with_its_name(error: BaseException, said: str) -> None:
    def embed(images: Any) -> Any:
        raise error

    with pytest.raises(AdapterError) as refused:
        GuardedDetector("mine", Plain(embed)).embed(IMAGES)
    assert str(refused.value) == f"{said}\n  hint: run with --verbose for the stack trace"


def test_a_machine_that_fails_is_no_fault_of_the_detector() -> None:
    with pytest.raises(MachineError), plugin_call("detector mine", "fit"):
        raise MemoryError


def test_settings_of_libraries_are_restored(tmp_path: Path) -> None:
    def embed(images: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.set_default_device("meta")
        np.seterr(all="raise")
        return np.ones((len(images), 2), np.float32)

    before = np.geterr()
    GuardedDetector("mine", Plain(embed)).embed(IMAGES)
    with plugin_call("data set mine", "sources"), pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
    assert (torch.get_default_dtype(), torch.get_default_device()) == (torch.float32, torch.device("cpu"))
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.geterr() == before
