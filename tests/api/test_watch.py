"""`watch` for a training loop of one's own: arrays in, looks out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.api.watch import TrainingWatch, range_of, watch
from benchmark.core.errors import BadDataError, UsageError

COUNT, SIDE = 40, 12


def smooth(seed: int, count: int = COUNT) -> np.ndarray:
    """Smooth images (count, SIDE, SIDE), float32 in [0, 1]."""
    rng, axis = np.random.default_rng(seed), np.linspace(0, np.pi, SIDE)
    waves = np.stack([np.outer(np.cos(i * axis), np.cos(j * axis)) for i in range(4) for j in range(4)])
    images = np.tanh(0.5 * np.tensordot(rng.standard_normal((count, 16)), waves, axes=1))
    return np.asarray((images + 1) / 2, dtype=np.float32)


def open_one(**options: Any) -> TrainingWatch:
    given = {"train": smooth(0), "heldout": smooth(1), "every": 100, "samples": COUNT}
    return watch(**{**given, **options})


def test_five_lines_stop_a_training_that_replays() -> None:
    train, heldout, stopped = smooth(0), smooth(1), None
    seen = watch(train=train, heldout=heldout, every=10, samples=COUNT)
    for step in range(1, 200):
        if seen.due(step):
            look = seen.update(step, train if step > 60 else smooth(step))
            assert look.step == step
            assert look.exposed == (step > 60)
            if seen.should_stop:
                stopped = step
                break
    assert stopped == 73
    assert seen.onset == 70
    assert seen.curve["step"].tolist() == [10, 20, 30, 40, 50, 60, 70, 73]


FORMS: dict[str, Callable[[Any], Any]] = {
    "channels": lambda images: images[:, None],
    "uint8": lambda images: (images * 255).round().astype(np.uint8),
    "signed": lambda images: images * 2 - 1,
    "float64": lambda images: images.astype(np.float64),
    "tensor": torch.from_numpy,
    "bfloat16": lambda images: torch.from_numpy(images).bfloat16(),
    "grad": lambda images: torch.from_numpy(images)[:, None].requires_grad_(),
    "tensor of uint8": lambda images: torch.from_numpy((images * 255).round().astype(np.uint8)),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_of_any_form_give_the_same_look(form: str) -> None:
    def patients(look: Any) -> float:
        return float(look.exposed_patients_sure)

    samples = np.concatenate([smooth(0)[:25], smooth(5, 15)])
    expected = open_one().update(100, samples)
    convert = FORMS[form]
    own = open_one(train=convert(smooth(0)), heldout=convert(smooth(1)))
    assert patients(own.update(100, convert(samples))) == patients(expected) > 0


SETS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": list,
    "list of tensors": lambda images: [torch.from_numpy(image)[None] for image in images],
    "data set of PyTorch": lambda images: torch.utils.data.TensorDataset(
        torch.from_numpy(images)[:, None], torch.arange(len(images))
    ),
    "data set of MONAI": lambda images: [{"image": image[None], "label": 1} for image in images],
    "channels last": lambda images: np.stack([images] * 3, axis=-1)[..., :1],
}


@pytest.mark.parametrize("form", SETS)
def test_sets_that_an_audit_takes_give_the_same_look(form: str) -> None:
    samples = np.concatenate([smooth(0)[:25], smooth(5, 15)])
    expected = open_one().update(100, samples)
    convert = SETS[form]
    own = open_one(train=convert(smooth(0)), heldout=convert(smooth(1)))
    assert replace(own.update(100, convert(samples)), search_seconds=0) == replace(expected, search_seconds=0)
    assert expected.exposed


def test_a_key_and_a_layout_are_as_those_of_an_audit() -> None:
    def pairs(images: np.ndarray) -> list[dict[str, np.ndarray]]:
        return [{"t1": np.stack([image, 1 - image])} for image in images]

    with pytest.raises(UsageError) as error:
        open_one(train=pairs(smooth(0)), heldout=pairs(smooth(1)), key="t1")
    assert str(error.value) == (
        "train[0] has shape (2, 12, 12), and no axis that can only be channels\n  hint: say what the axes are: "
        "layout='NDHW' for volumes, 'NCHW' or 'NHWC' for images with channels"
    )
    own = open_one(train=pairs(smooth(0)), heldout=pairs(smooth(1)), key="t1", layout="NCHW")
    # Models draw channels first: samples of the shape of the images need no layout.
    drawn = np.stack([smooth(0), 1 - smooth(0)], axis=1)
    assert own.update(100, drawn).exposed
    last = open_one(
        train=np.moveaxis(drawn, 1, -1), heldout=pairs(smooth(1)), key="t1",
        layout={"train": "NHWC", "heldout": "NCHW", "samples": "NHWC"},
    )  # fmt: skip
    assert last.update(100, np.moveaxis(drawn, 1, -1)).exposed


def test_patients_by_side_are_those_of_a_pair() -> None:
    names = ([f"p{number // 2}" for number in range(COUNT)], [f"q{number // 2}" for number in range(COUNT)])
    own, same = (open_one(patients=given) for given in (names, dict(zip(("train", "heldout"), names, strict=True))))
    looks = [one.update(100, smooth(0)) for one in (own, same)]
    assert looks[0].exposed_patients_sure == looks[1].exposed_patients_sure
    assert looks[0].exposed_patients_high == looks[1].exposed_patients_high == COUNT / 2


def test_volumes_are_watched() -> None:
    rng = np.random.default_rng(0)
    train, heldout = (rng.uniform(-1, 1, (30, 1, 8, 8, 20)).astype(np.float32) for _ in range(2))
    assert watch(train=train, heldout=heldout, every=1, samples=30).update(1, train).exposed


def test_another_detector_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOBENCH_CACHE", str(tmp_path))
    for _ in range(2):
        own = open_one(detector="random-conv")
        assert own.update(100, smooth(0)).exposed
        assert not own.update(200, smooth(7)).exposed
    assert len(list((tmp_path / "watch").iterdir())) == 1


def test_the_curve_continues_in_its_file(tmp_path: Path) -> None:
    first = open_one(path=tmp_path / "curve.parquet")
    first.update(100, smooth(5))
    first.update(200, smooth(0))
    second = open_one(path=str(tmp_path / "curve.parquet"))
    assert second.curve["step"].tolist() == [100, 200]
    second.update(200, smooth(0))  # the training has resumed after step 100
    second.update(225, smooth(0))
    assert second.should_stop
    assert second.curve["look"].tolist() == [1, 2, 3]


def test_samples_that_are_not_finite_are_told() -> None:
    samples = smooth(5)
    samples[0, 0, 0] = np.inf
    assert open_one().update(100, samples).reason == "cannot tell: samples are not finite"


# Refusals


def test_a_patient_on_both_sides_is_refused() -> None:
    names = [f"p{number}" for number in range(COUNT)]
    with pytest.raises(BadDataError) as error:
        open_one(patients=(names, ["p7", *(f"q{number}" for number in range(COUNT - 1))]))
    assert str(error.value) == (
        "1 patients are in train and in heldout, such as p7\n  hint: hold out patients of whom no image is trained on"
    )


def test_patients_are_who_is_counted() -> None:
    """Forty images of three patients cannot show more than three exposed patients: refused."""
    with pytest.raises(UsageError, match=r"^3 training and 3 held-out patients are too few to watch a training"):
        open_one(patients=([number % 3 for number in range(COUNT)], [3 + number % 3 for number in range(COUNT)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every is 0\n  hint: give a number of steps of at least 1, such as 500"),
        (
            {"heldout": smooth(1)[:, :10]},
            "training images have shape (1, 12, 12), held-out images (1, 10, 12)\n  hint: prepare both in the same way",
        ),
        (
            {"train": smooth(0)[0]},
            (
                "train[0] has 1 axes, shape (12,): an image has 2 to 4\n  hint: give many images at once, with the "
                "images along the first axis: (N, H, W), (N, C, H, W), (N, D, H, W)"
            ),
        ),
        (
            {"train": smooth(0) * 3000},
            None,
        ),
        (
            {"patients": (range(COUNT), range(3))},
            (
                "patients names 40 and 3 images, and there are 40 training and 40 held-out images\n"
                "  hint: give patients=(names for train, names for heldout), one name per image"
            ),
        ),
    ],
)
def test_what_cannot_be_watched_is_refused(options: dict[str, Any], message: str | None) -> None:
    with pytest.raises((BadDataError, UsageError)) as error:
        open_one(**options)
    if message is None:
        largest = float((smooth(0) * 3000).max())
        least = float((smooth(0) * 3000).min())
        message = (
            f"train has values from {least:g} to {largest:g}\n"
            "  hint: give uint8, or floating point in [0, 1] or [-1, 1]"
        )
    assert str(error.value) == message


def test_samples_in_another_range_are_refused() -> None:
    """Samples in 0 to 255 beside training images in 0 to 1 could look unlike everybody: no copy would be seen."""
    samples = (smooth(5) * 255).round()
    with pytest.raises(BadDataError) as error:
        open_one().update(100, samples)
    assert str(error.value) == (
        f"samples has values from {samples.min():g} to {samples.max():g}, the training images from 0 to 1\n"
        "  hint: scale both in the same way"
    )


@pytest.mark.parametrize("form", ["channels", "signed", "uint8", "bfloat16"])
def test_models_of_uint8_images_may_draw_floating_point(form: str) -> None:
    grey = [FORMS["uint8"](smooth(seed)) for seed in (0, 1)]
    own = open_one(train=grey[0], heldout=grey[1])
    assert own.update(100, FORMS[form](smooth(0))).exposed
    assert own.update(200, smooth(0) * 255).exposed


def test_ranges() -> None:
    assert range_of(np.zeros((1, 1, 2, 2), np.uint8), "train") == (0.0, 255.0)
    assert range_of(np.array([[[[-0.005, 1.0]]]]), "train") == (0.0, 1.0)
    assert range_of(np.array([[[[-0.9, 1.0]]]]), "train") == (-1.0, 1.0)
