"""Synthetic images on disk: drawn once, checked, read in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.adapters import sampling as samples
from benchmark.adapters.sampling import PROMPTED, Samples, draw, prompted_rows
from benchmark.cohorts.captions import Prompts
from benchmark.core.errors import AdapterError, BadDataError, DamagedError
from benchmark.core.sealed import digest, sealed_write
from benchmark.core.seeding import derive_seed
from benchmark.core.types import Split, to_images

CHUNK = 8


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "CHUNK", CHUNK)


class Noise:
    """Grey noise from the seed, in batches of 3; spoils one value of an image of the second chunk."""

    def __init__(self, shape: tuple[int, ...] = (1, 4, 4), *, spoil: float | None = None, more: int = 0) -> None:
        self.shape, self.spoil, self.more = shape, spoil, more
        self.calls: list[tuple[int, int]] = []

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
        self.calls.append((count, seed))
        rng = np.random.default_rng(seed)
        images = to_images(rng.integers(0, 256, (count + self.more, *self.shape)).astype(np.uint8))
        if self.spoil is not None and len(self.calls) == 2:
            images.reshape(len(images), -1)[2, 5] = self.spoil
        for start in range(0, len(images), 3):
            yield images[start : start + 3]


def split(dtype: str = "uint8", shape: tuple[int, ...] = (1, 4, 4)) -> Split:
    names = ("a", "b")
    pixels = np.zeros((2, *shape), dtype)
    return Split(name="train", pixels=pixels, rows=np.arange(2), subjects=names, items=names, channels=("x",))


def make(folder: Path, adapter: Noise, count: int = 20, *, like: Split | None = None, seed: int = 0) -> Samples:
    draw(adapter, count, like or split(), folder=folder, seed=seed, name="noise")  # type: ignore[arg-type]
    return Samples.open(folder, count)


def refusal(folder: Path, adapter: Noise) -> str:
    with pytest.raises(AdapterError) as error:
        make(folder, adapter)
    return str(error.value)


# Drawing


def test_chunks_of_seeds_of_their_own(tmp_path: Path) -> None:
    adapter = Noise()
    made = make(tmp_path, adapter)
    assert [path.name for path in sorted(tmp_path.glob("[!.]*"))] == [f"chunk-0000{k}.npy" for k in range(3)]
    assert [count for count, _ in adapter.calls] == [8, 8, 4]
    assert len({seed for _, seed in adapter.calls}) == 3
    assert len(made) == 20
    assert len({image.tobytes() for image in made.images()}) == 20


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    first, again, other = (make(tmp_path / name, Noise(), seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert np.array_equal(first.images(), again.images())
    assert not np.array_equal(first.images(), other.images())


def test_a_drawing_that_was_cut_off_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = make(tmp_path / "whole", Noise()).images()
    make(tmp_path / "cut", Noise())
    (tmp_path / "cut" / "chunk-00001.npy").unlink()
    kept = (tmp_path / "cut" / "chunk-00000.npy").stat().st_mtime_ns
    adapter = Noise()
    assert capsys.readouterr().err == ""
    resumed = make(tmp_path / "cut", adapter)
    assert capsys.readouterr().err == "sample noise: resuming at sample 12 of 20\n"
    assert [count for count, _ in adapter.calls] == [8]
    assert np.array_equal(resumed.images(), whole)
    assert (tmp_path / "cut" / "chunk-00000.npy").stat().st_mtime_ns == kept


# Prompts


class Obedient(Noise):
    """Paints each image in the grey level that its prompt names."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
        self.calls.append((count, seed))
        levels = np.array([int(text.split()[1]) for text in prompts or ()], np.uint8)
        yield to_images(np.broadcast_to(levels[:, None, None, None], (count, *self.shape)).copy())


def asked(*rows: int) -> Prompts:
    """Prompts of these items, of which the first 10 are training items."""
    return Prompts(tuple(f"secret {row}" for row in rows), np.array(rows), np.array(rows) < 10)


def sampled(folder: Path, adapter: Noise, prompts: Prompts) -> np.ndarray:
    count = len(prompts.rows)
    draw(adapter, count, split(), folder=folder, seed=0, name="noise", prompts=prompts)  # type: ignore[arg-type]
    return Samples.open(folder, count).stored()[:, 0, 0, 0]


def test_each_sample_gets_its_prompt_and_the_file_says_whose_without_text(tmp_path: Path) -> None:
    prompts = asked(*range(0, 40, 2))
    assert sampled(tmp_path, Obedient(), prompts).tolist() == prompts.rows.tolist()
    table = pd.read_parquet(tmp_path / PROMPTED)
    assert table["sample"].tolist() == list(range(20))
    assert table["row"].tolist() == prompts.rows.tolist()
    assert table["side"].tolist() == ["train"] * 5 + ["held-out"] * 15
    assert list(table.columns) == ["sample", "row", "side"]
    assert b"secret" not in (tmp_path / PROMPTED).read_bytes()


def test_killed_between_chunks_it_resumes_with_the_same_prompts(tmp_path: Path) -> None:
    class Killed(Obedient):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            if len(self.calls) == 1:
                raise KeyboardInterrupt
            yield from super().sample(count, seed=seed, prompts=prompts)

    prompts = asked(*range(0, 40, 2))
    with pytest.raises(KeyboardInterrupt):
        sampled(tmp_path, Killed(), prompts)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["chunk-00000.npy", PROMPTED]
    assert prompted_rows(tmp_path).tolist() == prompts.rows.tolist()  # type: ignore[union-attr]
    kept = (tmp_path / PROMPTED).read_bytes()
    adapter = Obedient()
    assert sampled(tmp_path, adapter, prompts).tolist() == prompts.rows.tolist()
    assert len(adapter.calls) == 2
    assert (tmp_path / PROMPTED).read_bytes() == kept


def test_samples_that_were_begun_with_other_prompts_are_refused(tmp_path: Path) -> None:
    sampled(tmp_path, Obedient(), asked(*range(20)))
    with pytest.raises(BadDataError) as error:
        sampled(tmp_path, Obedient(), asked(*range(1, 21)))
    assert str(error.value) == (
        f"the samples in {tmp_path} were begun with other prompts: captions of the data set have changed\n"
        "  hint: delete that folder, and run again"
    )


def test_a_model_without_prompts_leaves_no_such_file(tmp_path: Path) -> None:
    make(tmp_path, Noise())
    assert prompted_rows(tmp_path) is None
    assert not (tmp_path / PROMPTED).exists()


def test_a_chunk_that_fails_leaves_no_file_and_keeps_the_others(tmp_path: Path) -> None:
    refusal(tmp_path, Noise(spoil=np.nan))
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["chunk-00000.npy"]


# Refusals


@pytest.mark.parametrize(
    ("adapter", "shape"),
    [(Noise((1, 4, 5)), (3, 1, 4, 5)), (Noise((3, 4, 4)), (3, 3, 4, 4)), (Noise((4, 4)), (3, 4, 4))],
    ids=["oblong", "channels", "flat"],
)
def test_another_shape(tmp_path: Path, adapter: Noise, shape: tuple[int, ...]) -> None:
    assert refusal(tmp_path, adapter) == (
        f"noise returned samples of shape {shape} where (3, 1, 4, 4) were asked for\n"
        "  hint: sample() must yield exactly `count` images shaped like training"
    )


@pytest.mark.parametrize("fewer", [2, 8])
def test_too_few(tmp_path: Path, fewer: int) -> None:
    assert refusal(tmp_path, Noise(more=-fewer)) == (
        f"noise returned {8 - fewer} samples where 8 were asked for\n"
        "  hint: sample() must yield exactly `count` images shaped like training"
    )


def test_what_comes_after_count_is_not_read(tmp_path: Path) -> None:
    class Endless(Noise):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            while True:
                yield from super().sample(count, seed=seed)

    usual, endless, more = (make(tmp_path / type(one).__name__ / str(one.more), one).images()
                            for one in (Noise(), Endless(), Noise(more=5)))  # fmt: skip
    assert np.array_equal(usual[:8], endless[:8])
    assert usual.shape == endless.shape == more.shape


def test_batches_without_samples(tmp_path: Path) -> None:
    class Empty(Noise):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            while True:
                yield np.zeros((0, *self.shape), np.float32)

    assert refusal(tmp_path, Empty()) == (
        "noise returned a batch without samples\n"
        "  hint: sample() must yield exactly `count` images shaped like training"
    )


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.complex64, np.bool_])
def test_samples_that_are_no_real_numbers(tmp_path: Path, kind: type) -> None:
    class Typed(Noise):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            yield np.zeros((count, *self.shape), kind)

    assert refusal(tmp_path, Typed()) == (
        f"noise returned samples of type {np.dtype(kind)}\n"
        "  hint: return float32 in [-1, 1]: for grey levels x / 127.5 - 1"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    assert refusal(tmp_path, Noise(spoil=value)) == (
        "noise: sample 10 is not finite\n"
        "  hint: the model diverged (train it with a lower learning rate, or in fp32), or its autoencoder overflows in "
        "fp16 (use its weights in fp32)"
    )


@pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5"), (-255, "255"), (1.0123456, "1.01")])
def test_values_out_of_range(tmp_path: Path, value: float, shown: str) -> None:
    assert refusal(tmp_path, Noise(spoil=value)) == (
        f"noise returned values up to {shown}, outside [-1, 1]\n  hint: clamp or rescale in sample()"
    )


def test_values_out_of_range_by_rounding_are_taken(tmp_path: Path) -> None:
    made = make(tmp_path, Noise(spoil=-1.009)).images()
    assert made[10].ravel()[5] == -1  # grey level 0


# Storage


def test_grey_levels_round_trip(tmp_path: Path) -> None:
    class Ramp(Noise):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            yield to_images(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(count, 0))

    made = make(tmp_path, Ramp(), 1, like=split(shape=(1, 16, 16)))
    stored = np.load(tmp_path / "chunk-00000.npy")
    assert stored.dtype == np.uint8
    assert stored.ravel().tolist() == list(range(256))
    assert made.images().dtype == np.float32
    assert np.array_equal(made.images(), to_images(stored))


def test_values_are_rounded_to_the_nearest_grey_level(tmp_path: Path) -> None:
    class Even(Noise):
        def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[np.ndarray]:
            yield np.full((count, 1, 4, 4), 100.4 / 127.5 - 1, np.float32)

    assert (np.load(_only(make(tmp_path, Even(), 2))) == 100).all()


def _only(made: Samples) -> Path:
    (path,) = made.files
    return path


def test_float_cohorts_keep_floats(tmp_path: Path) -> None:
    made = make(tmp_path, Noise(), like=split("float32"))
    assert np.load(made.files[0]).dtype == np.float32
    expected = np.concatenate(list(Noise().sample(8, seed=derive_seed(0, 0))))
    assert np.array_equal(made.images(slice(0, 8)), expected)


def test_samples_that_were_replaced_with_a_new_digest_are_refused(tmp_path: Path) -> None:
    files = make(tmp_path, Noise()).files
    digests = {file.name: digest(file) for file in files}
    made = Samples.open(tmp_path, 20, digests)
    with sealed_write(files[1]) as temporary, temporary.open("wb") as file:
        np.save(file, np.zeros((8, 1, 4, 4), np.uint8))
    message = f"{files[1]} is not what the model drew: something has replaced it, with a new digest\n"
    for look in (lambda: made.images(np.array([9])), lambda: Samples.open(tmp_path, 20, digests)):
        with pytest.raises(DamagedError) as error:
            look()
        assert str(error.value) == f"{message}  hint: run it again: bench run"
    assert made.images(np.array([0])).any()


def test_any_order_of_items(tmp_path: Path) -> None:
    made = make(tmp_path, Noise((2, 3, 4)), like=split(shape=(2, 3, 4)))
    whole = made.images()
    assert whole.shape == (20, 2, 3, 4)
    for index in (np.array([19, 0, 8, 7, 7, 16]), np.array([3]), np.array([-1, -20])):
        assert np.array_equal(made.images(index), whole[index])
    for part in (slice(6, 18), slice(None, None, 5), slice(18, 99), slice(None, None, -1)):
        assert np.array_equal(made.images(part), whole[part])
    assert made.images(slice(5, 5)).shape == (0, 2, 3, 4)
