from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts import parallel_read as stream
from benchmark.cohorts import store
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import AdapterError, BadDataError, MachineError, MissingDataError, UsageError
from benchmark.core.processes import processes
from benchmark.core.types import Items, Source
from benchmark.datasets.folder.dataset import Folder

MakeRoot = Callable[..., Path]


def prepared(arrays: Any, root: Path, **options: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    return prepare("toy", arrays, root, root.parent / "cache", log=said.append, **options), said


def refusal(arrays: Any, root: Path, kind: type[Exception] = BadDataError, **options: Any) -> str:
    said = refused(arrays, root, kind, **options)
    assert not list(root.parent.glob("cache/cohorts/toy-*"))
    assert not list(root.parent.glob("cache/cohorts/.*.part"))
    return said


def refused(arrays: Any, root: Path, kind: type[Exception] = BadDataError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        prepared(arrays, root, **options)
    return str(caught.value)


def test_cohort_holds_every_item_once(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    cohort, said = prepared(arrays, root)
    splits = (cohort.train, cohort.calibration, cohort.test)
    assert said == ["toy: prepared, 20 items of 10 patients"]
    assert [len(split) for split in splits] == [10, 6, 4]
    assert sorted(name for split in splits for name in split.items) == sorted(path.stem for path in root.glob("*.npy"))
    for split in splits:
        assert split.channels == ("grey",)
        for at, name in enumerate(split.items):
            original = np.load(root / f"{name}.npy")
            assert np.array_equal(split.pixels[split.rows[at], 0], original)
            assert np.allclose(split.images([at])[0, 0], original / 127.5 - 1, atol=1e-6)


def test_pixels_stay_on_disk(arrays: Any, make_root: MakeRoot) -> None:
    cohort, _ = prepared(arrays, make_root())
    assert isinstance(cohort.train.pixels[:2], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cohort.train.pixels[:2][0] = 0


def test_second_call_is_cached(arrays: Any, make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root()
    first, _ = prepared(arrays, root)
    monkeypatch.setattr(type(arrays), "read", None)
    second, said = prepared(arrays, root)
    assert said == ["toy: cached, 20 items of 10 patients"]
    assert second.key == first.key
    assert second.train.items == first.train.items


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_workers_do_not_change_the_result(arrays: Any, make_root: MakeRoot, workers: int) -> None:
    cohort, _ = prepared(arrays, make_root(), workers=workers)
    assert list(cohort.train.pixels[:, 0, 0, 0]) == [
        np.load(path)[0, 0] for path in sorted((make_root()).glob("*.npy"))
    ]


def test_changed_option_file_or_split_changes_the_key(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    first, _ = prepared(arrays, root)
    other, said = prepared(dataclasses.replace(arrays, shift=1), root)
    reseeded, said_again = prepared(arrays, root, split_seed=1)
    assert said == ["toy: prepared, 20 items of 10 patients"]
    assert said_again == ["toy: cached, 20 items of 10 patients"]
    np.save(root / "p000_0.npy", np.arange(16, dtype=np.uint8).reshape(4, 4))
    changed, said_changed = prepared(arrays, root)
    assert said_changed == ["toy: prepared, 20 items of 10 patients"]
    assert len({first.key, other.key, reseeded.key, changed.key}) == 4


def test_moved_folder_keeps_the_cache(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    prepared(arrays, root)
    root.rename(root.parent / "moved")
    _, said = prepared(arrays, root.parent / "moved")
    assert said == ["toy: cached, 20 items of 10 patients"]


def flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize("name", [store.PIXELS, store.TABLE, store.FILES, store.FINISHED])
@pytest.mark.parametrize("damage", ["cut", "gone", "garbage", "flipped"])
def test_damaged_cache_is_made_anew(arrays: Any, make_root: MakeRoot, name: str, damage: str) -> None:
    root = make_root()
    first, _ = prepared(arrays, root)
    (file,) = root.parent.glob(f"cache/cohorts/toy-*/{name}")
    if damage == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes({"cut": content[:-5], "garbage": b"garbage", "flipped": flipped(content)}[damage])
    second, said = prepared(arrays, root)
    why = f"{file.parent} is not as it was written: all items are prepared again"
    if (name, damage) == (store.PIXELS, "flipped"):
        why = f"{file} has changed since it was prepared: item 19 is not what was read from the files"
    assert said == [why, "toy: prepared, 20 items of 10 patients"]
    assert second.key == first.key


def test_no_files(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root(patients=0)
    assert refusal(arrays, root, MissingDataError) == (
        f"{root} holds no files of toy\n  hint: `bench datasets show toy` says how it lies"
    )


UNUSABLE = "left out, could not be used"
ODD = "p005_1 has items of shape (1, 5, 6) uint8, but p000_0 has (1, 4, 4) uint8"


def test_mixed_shapes(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    np.save(root / "p005_1.npy", np.arange(30, dtype=np.uint8).reshape(5, 6))
    cohort, said = prepared(arrays, root)
    assert said[1] == f"toy: {UNUSABLE}: p005_1 ({ODD})"
    assert cohort.notes[0] == f"{UNUSABLE}: 1"
    assert "p005_1" not in (*cohort.train.items, *cohort.calibration.items, *cohort.test.items)


@pytest.mark.parametrize("workers", [1, 2])
def test_truncated_file_is_left_out(arrays: Any, make_root: MakeRoot, workers: int) -> None:
    root = make_root()
    (root / "p005_1.npy").write_bytes((root / "p005_1.npy").read_bytes()[:-3])
    cohort, said = prepared(arrays, root, workers=workers)
    damage = f"p005_1 ({root}/p005_1.npy is truncated, damaged or not a numpy file)"
    assert said == ["toy: prepared, 19 items of 10 patients", f"toy: {UNUSABLE}: {damage}"]
    assert sum(map(len, (cohort.train, cohort.calibration, cohort.test))) == 19
    for _ in range(2):  # prepared, then cached
        assert refused(arrays, root, strict=True) == (
            f"toy: {UNUSABLE}: {damage}\n  hint: repair or remove these, or leave --strict out: the rest is used"
        )


def test_a_folder_that_is_mostly_unusable_is_refused(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    for file in sorted(root.iterdir())[:11]:
        file.write_bytes(b"")
    assert refusal(arrays, root) == (
        f"11 of 20 sources cannot be used, the first: {root}/p000_0.npy is empty (0 bytes)"
        "\n  hint: download or copy the file again"
    )
    assert not list(root.parent.glob("cache/cohorts/toy-*"))


def test_every_file_is_listed_with_its_digest(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    stored = prepare_items("toy", arrays, root, root.parent / "cache", log=lambda text: None)
    assert len(stored.files) == 20
    first = stored.files.iloc[0]
    content = (root / "p000_0.npy").read_bytes()
    assert (first["source"], first["file"]) == ("p000_0", str(root / "p000_0.npy"))
    assert (first["bytes"], first["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_digest_of_the_files_does_not_depend_on_their_place(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    first, _ = prepared(arrays, root)
    moved = root.rename(root.parent / "elsewhere")
    assert prepared(arrays, moved)[0].files_key == first.files_key
    np.save(moved / "p000_0.npy", np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert prepared(arrays, moved)[0].files_key != first.files_key


def test_excluded_items_are_in_no_split(arrays: Any, make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root()
    listed = tmp_path / "exclude.csv"
    listed.write_text("item,reason\np003_0,blurred\np004_1,twice\n")
    cohort, _ = prepared(arrays, root, exclude=listed)
    items = {item for split in (cohort.train, cohort.calibration, cohort.test) for item in split.items}
    assert len(items) == 18
    assert not items & {"p003_0", "p004_1"}
    assert "items excluded by a list: 2" in cohort.notes
    for split in (cohort.train, cohort.calibration, cohort.test):
        (where,) = (row for row in split.rows[:1])
        assert np.array_equal(split.pixels[where, 0], np.load(root / f"{split.items[0]}.npy"))


def test_exclusion_of_what_is_not_there(arrays: Any, make_root: MakeRoot, tmp_path: Path) -> None:
    listed = tmp_path / "exclude.csv"
    listed.write_text("item\np003_0\np999_0\n")
    assert refused(arrays, make_root(), UsageError, exclude=listed) == (
        f"{listed} excludes 1 items that are not in the cohort, the first is p999_0 in line 3"
        "\n  hint: write the list again with `bench datasets check --fix` and the same options"
    )


def test_images_as_if_each_were_a_patient(arrays: Any, make_root: MakeRoot) -> None:
    cohort, _ = prepared(arrays, make_root(), split="images")
    sides = [{item.split("_")[0] for item in split.items} for split in (cohort.train, cohort.calibration)]
    assert sides[0] & sides[1], "with 10 patients of 2 images, some patient is torn"
    assert cohort.train.subjects == cohort.train.items


def test_two_patients(arrays: Any, make_root: MakeRoot) -> None:
    with pytest.raises(BadDataError) as caught:
        prepared(arrays, make_root(patients=2))
    assert str(caught.value) == (
        "train, calibration and test need 3 patients that can be separated, here: 2"
        "\n  hint: add patients: at least 3, of whom no two share a duplicate image"
    )


@dataclass(frozen=True)
class Wrong:
    """Returns whatever it is told to."""

    pixels: Any
    names: tuple[str, ...] = ("",)
    channels: tuple[str, ...] = ("grey",)

    def sources(self, root: Path) -> list[Source]:
        return [Source(subject=name, name=name, files=()) for name in "abc"]

    def read(self, source: Source) -> Items:
        return Items(pixels=np.asarray(self.pixels), names=self.names)


def test_wrong_type(make_root: MakeRoot) -> None:
    assert refusal(Wrong(np.zeros((1, 1, 4, 4))), make_root(0), AdapterError) == (
        "a gave 1 items of type float64 with 1 names"
        "\n  hint: a data set's `read` returns uint8 or float32 items, one name each"
    )


def test_wrong_channels(make_root: MakeRoot) -> None:
    assert refusal(Wrong(np.zeros((1, 2, 4, 4), np.uint8)), make_root(0), AdapterError) == (
        "a has items of shape (2, 4, 4), but 1 channels are named: grey"
        "\n  hint: a data set's `read` returns (items, channels, *spatial), one name per channel"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_wrong_range(make_root: MakeRoot, value: float) -> None:
    assert refusal(Wrong(np.full((1, 1, 4, 4), value, np.float32)), make_root(0), AdapterError) == (
        "a has values outside [-1, 1], or values that are not finite"
        "\n  hint: a data set's `read` scales float32 items to [-1, 1]"
    )


def test_names_used_twice(make_root: MakeRoot) -> None:
    assert refusal(Wrong(np.zeros((2, 1, 4, 4), np.uint8), ("x", "x")), make_root(0)) == (
        "two items are named a_x\n  hint: give each image a name of its own in the data set"
    )


def test_nothing_passes(make_root: MakeRoot) -> None:
    assert refusal(Wrong(np.zeros((0, 1, 4, 4), np.uint8), ()), make_root(0)) == (
        "none of the 3 sources of toy gave an item\n  hint: check its options"
    )


def test_float_items_are_kept(make_root: MakeRoot) -> None:
    rng = np.random.default_rng(0)
    dataset = Wrong(rng.uniform(-1, 1, (2, 1, 3, 3, 3)).astype(np.float32), ("x", "y"))
    stored = prepare_items("toy", dataset, make_root(0), make_root(0).parent / "cache", log=lambda text: None)
    assert np.array_equal(stored.pixels[:2], dataset.pixels)
    assert stored.pixels.shape == (6, 1, 3, 3, 3)


def test_full_disk(arrays: Any, make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("benchmark.cohorts.writer.Writer.append", full)
    message = refusal(arrays, make_root(), MachineError)
    folder = message.split()[4]
    assert message == (
        f"the disk is full: {folder} could not be written\n  hint: free some space and run the same command again"
    )


def test_cache_that_cannot_be_written(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root()
    (root.parent / "cache").write_text("a file")
    with pytest.raises(MachineError) as caught:
        prepared(arrays, root)
    assert str(caught.value) == (
        f"{root.parent}/cache/cohorts cannot be written: Not a directory\n  hint: choose another cache"
    )


KILLED = """
import sys, time
from pathlib import Path
from benchmark.cohorts.prepare import prepare
from benchmark.core.types import Items, Source
import numpy as np

class Slow:
    channels = ("grey",)
    def sources(self, root):
        return [Source(subject=str(n), name=str(n), files=()) for n in range(6)]
    def read(self, source):
        if source.name == "3" and "stop" in sys.argv:
            print("reading", flush=True)
            while not (Path(sys.argv[1]) / "go").exists():
                time.sleep(0.01)
        return Items(pixels=np.full((1, 1, 64, 64), int(source.name), np.uint8), names=("",))

prepare("toy", Slow(), Path(sys.argv[1]), Path(sys.argv[1]) / "cache")
"""


def test_killed_process_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path)]
    process = subprocess.Popen([*command, "stop"], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob("cache/cohorts/.toy-*.part"))
    assert not list(tmp_path.glob("cache/cohorts/toy-*"))
    again = subprocess.run(command, capture_output=True, env=environment, text=True, check=True, timeout=300)
    assert again.stderr == "toy: prepared, 6 items of 6 patients\n"
    assert not list(tmp_path.glob("cache/cohorts/.toy-*.part"))


def test_two_processes_prepare_once(tmp_path: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(textwrap.dedent(KILLED))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path), "stop"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)

    first = start()
    assert first.stdout is not None
    assert first.stdout.readline() == "reading\n"  # it holds the lock from here until the file `go` is there
    second = start()
    assert second.stderr is not None
    waiting = second.stderr.readline()
    (tmp_path / "go").touch()
    assert first.communicate(timeout=300)[1] == "toy: prepared, 6 items of 6 patients\n"
    assert waiting.endswith("another process prepares it, waiting\n")
    assert second.communicate(timeout=300)[1] == "toy: cached, 6 items of 6 patients\n"


MEMORY = """
import resource, sys
from pathlib import Path
from benchmark.cohorts.ingest import prepare_items
from benchmark.core.types import Items, Source
import numpy as np

class Many:
    channels = ("grey",)
    def sources(self, root):
        return [Source(subject=str(n), name=str(n), files=()) for n in range(int(sys.argv[2]))]
    def read(self, source):
        rng = np.random.default_rng(int(source.name))
        return Items(pixels=rng.integers(0, 256, (8, 1, 512, 512), dtype=np.uint8), names=tuple("abcdefgh"))

prepare_items("toy", Many(), Path(sys.argv[1]), Path(sys.argv[1]) / "cache", workers=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_patients(tmp_path: Path) -> None:
    script = tmp_path / "many.py"
    script.write_text(MEMORY)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def peak(patients: int) -> int:
        command = [sys.executable, str(script), str(tmp_path), str(patients)]
        return int(subprocess.run(command, capture_output=True, env=environment, text=True, check=True).stdout)

    few, many = peak(10), peak(100)
    written = 90 * 8 * 512 * 512 / 2**20
    assert many - few < written / 8


def test_prepare_is_quick_when_cached(arrays: Any, make_root: MakeRoot) -> None:
    root = make_root(patients=300)
    prepared(arrays, root)
    started = time.process_time()
    prepared(arrays, root)
    assert time.process_time() - started < 2


LIMITED = """
import resource, sys
from pathlib import Path
from benchmark.cohorts.prepare import prepare
from benchmark.core.types import Items, Source
import numpy as np

class Large:
    channels = ("grey",)
    def sources(self, root):
        return [Source(subject=str(n), name=str(n), files=()) for n in range(80)]
    def read(self, source):
        rng = np.random.default_rng(int(source.name))
        return Items(pixels=rng.integers(0, 256, (4, 1, 1024, 1024), dtype=np.uint8), names=tuple("abcd"))

def held():
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()

margin = int(sys.argv[2]) << 20
resource.setrlimit(resource.RLIMIT_DATA, (held() + margin, held() + margin))
cohort = prepare("toy", Large(), Path(sys.argv[1]), Path(sys.argv[1]) / "cache", workers=1)
total = 0.0
for split in (cohort.train, cohort.calibration, cohort.test):
    for start in range(0, len(split), 4):
        total += float(split.images(slice(start, start + 4)).mean(dtype="float64")) * 4
print(cohort.train.pixels.nbytes >> 20, round(total, 1))
"""


def test_cohort_larger_than_memory(tmp_path: Path) -> None:
    """320 MiB of pixels are written and read in a process that may hold 96 MiB more than at its start."""
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path), "96"]
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    assert done.returncode == 0, done.stderr
    mebibytes, _ = done.stdout.split()
    assert int(mebibytes) == 320


@pytest.mark.parametrize(("seconds", "allowed"), [(0.0, "1"), (1e9, "1"), (0.0, "")])
def test_processes_and_threads_prepare_the_same(
    make_root: MakeRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, allowed: str
) -> None:
    root, dataset, used = make_root(), Folder(image_size=16, group_pattern="p[0-9]+"), []
    monkeypatch.setattr(stream, "WORTH_PROCESSES", seconds)
    monkeypatch.setenv(stream.ALLOWED, allowed)
    monkeypatch.setattr(stream, "processes", lambda count: used.append(count) or processes(count))
    alone = prepare_items("folder", dataset, root, tmp_path / "one", workers=1, log=str)
    both = prepare_items("folder", dataset, root, tmp_path / "two", workers=2, log=str)
    assert used == ([] if not allowed else [1, 1, 2] if seconds == 0 else [1, 1])
    assert both.table.equals(alone.table)
    assert both.files.equals(alone.files)
    assert np.array_equal(both.pixels, alone.pixels)


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from benchmark.core.processes import processes\n"
        "if __name__ == '__main__':\n"
        "    pool = processes(1)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 120
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(worker)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
