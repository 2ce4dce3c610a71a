"""The positive control copies exactly what it is told to."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.types import Budget, Split
from benchmark.images.planted_copies import PLANTED
from benchmark.models.copycat.adapter import Copycat, place_copies

XRAYS = Path(__file__).parents[3] / "shared/data/cxr_kermany_224/cxr_kermany_64.npz"


def make_split(pixels: np.ndarray) -> Split:
    names = tuple(f"p{k}" for k in range(len(pixels)))
    rows = np.arange(len(pixels))
    return Split(name="train", pixels=pixels, rows=rows, subjects=names, items=names, channels=("x",))


def fit(folder: Path, train: Split, **options: object) -> Copycat:
    adapter = Copycat(**options)  # type: ignore[arg-type]
    adapter.fit(train, folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def draw(adapter: Copycat, count: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(adapter.sample(count, seed=seed)))


def noise(count: int = 40, shape: tuple[int, ...] = (2, 8, 8)) -> Split:
    return make_split(np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8))


def copied(images: np.ndarray, train: Split) -> list[int]:
    """Return which training item each image equals, for those that equal one."""
    known = {item.tobytes(): k for k, item in enumerate(train.images())}
    return [known[image.tobytes()] for image in images if image.tobytes() in known]


@pytest.mark.parametrize(("contamination", "count", "copies"), [(0.1, 95, 10), (0.0, 60, 0), (1.0, 40, 40)])
def test_the_asked_share_is_copied(tmp_path: Path, contamination: float, count: int, copies: int) -> None:
    train = noise()
    found = copied(draw(fit(tmp_path, train, contamination=contamination), count), train)
    assert len(found) == len(set(found)) == copies


def test_no_item_is_copied_twice_before_all_are_once() -> None:
    sources = place_copies(5, 13, 20, seed=0)
    assert sorted(np.bincount(sources[sources >= 0])) == [2, 2, 3, 3, 3]
    assert (sources < 0).sum() == 7
    assert not np.array_equal(sources, place_copies(5, 13, 20, seed=1))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 8, 8, 8)])
@pytest.mark.parametrize("transform", ["flip", "blur", "rotate5"])
def test_copies_are_transformed(tmp_path: Path, transform: str, shape: tuple[int, ...]) -> None:
    train = noise(4, shape)
    images = draw(fit(tmp_path, train, transform=transform), 4)
    sources = torch.from_numpy(train.images(place_copies(4, 4, 4, seed=0)))
    np.testing.assert_allclose(images, PLANTED[transform](sources).clamp(-1, 1).numpy(), atol=1e-6)


def test_saved_and_loaded_samples_are_equal(tmp_path: Path) -> None:
    adapter = fit(tmp_path, noise(), contamination=0.5)
    adapter.save(tmp_path / "saved")
    restored = Copycat.load(tmp_path / "saved", device="cpu")
    assert restored == adapter
    assert np.array_equal(draw(adapter, 60), draw(restored, 60))
    assert not np.array_equal(draw(adapter, 60), draw(restored, 60, seed=1))


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        Copycat(contamination=1.5)
    assert str(error.value) == "contamination is 1.5\n  hint: give a share from 0 (no copies) to 1 (all)"
    with pytest.raises(UsageError) as error:
        Copycat(transform="mirror")
    assert str(error.value) == f"copycat has no transform 'mirror'\n  hint: choose one of {', '.join(PLANTED)}"
    with pytest.raises(AdapterError) as untrained:
        draw(Copycat(), 1)
    assert str(untrained.value) == "this copycat has not been trained\n  hint: call fit or load first"
    fit(tmp_path, noise()).save(tmp_path)
    (tmp_path / "copycat.npz").write_bytes(b"cut off")
    with pytest.raises(AdapterError) as unreadable:
        Copycat.load(tmp_path, device="cpu")
    assert unreadable.value.message.startswith(f"{tmp_path / 'copycat.npz'} cannot be read: ")


def nearest(images: np.ndarray, bank: np.ndarray) -> np.ndarray:
    flat = [items.reshape(len(items), -1) for items in (images, bank)]
    centred = [rows - rows.mean(1, keepdims=True) for rows in flat]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in centred]
    return (unit[0] @ unit[1].T).max(1)


@pytest.mark.skipif(not XRAYS.exists(), reason=f"needs the real X-rays {XRAYS}")
def test_drawn_xrays_are_no_nearer_to_training_than_to_other_patients(tmp_path: Path) -> None:
    with np.load(XRAYS) as data:
        pixels, files = data["images"][:, None], data["files"]
    patients = [re.sub(r"(person\d+|IM-\d+).*", r"\1", Path(str(file)).name) for file in files]
    first = np.random.default_rng(0).permutation(np.unique(patients, return_index=True)[1])[:800]
    train, other = (make_split(pixels[half]) for half in np.split(first, 2))
    images = draw(fit(tmp_path, train, contamination=0.0), 400)
    to_train, to_other = nearest(images, train.images()), nearest(images, other.images())
    assert abs(to_train.mean() - to_other.mean()) < 0.005
    threshold = np.quantile(to_other, 0.99)  # the twin threshold's excess over equal sets
    assert abs((to_train > threshold).mean() - 0.01) < 0.03
