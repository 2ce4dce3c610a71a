"""Models in a process of their own: what they cannot reach, and how their process may end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.isolation import failures, items, process
from benchmark.adapters.isolation.model import IsolatedModel
from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.cli.aftermath import tidied
from benchmark.cohorts.sealed_pixels import SealedPixels, item_digest
from benchmark.core.errors import AdapterError, DamagedError, UsageError
from benchmark.core.types import Budget, Split
from benchmark.images.sample_checks import taken
from benchmark.plugins.registry import find_model
from benchmark.training.trackers import Tracked

HOSTILE = Path(__file__).parent / "hostile_adapters.py"
SHAPE = (1, 8, 8)
HELD_OUT_VALUE = 77
"""The value of every pixel of held-out items, and of no training item."""
COPY = "/memfd:items (deleted)"
"""The file with the copy of the training items, as the process of the model sees it."""


class Model:
    """One model, the folder of its run, and its process."""

    def __init__(self, name: str, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.cls = ModelClass(find_model(f"{HOSTILE}:{name}"), [folder / "data"])
        self.cls.log_to(folder / "model.log")
        self.adapter = self.cls.build(settings)

    def fit(self, train: Split) -> None:
        tracked = Tracked("name", {}, self.folder / "trackers")
        self.adapter.fit(
            train, folder=self.folder / "training", budget=Budget(), seed=1, device="cpu", trackers=(), tracked=tracked
        )

    def loaded(self, train: Split) -> IsolatedModel:
        self.fit(train)
        (self.folder / "model").mkdir()
        self.adapter.save(self.folder / "model")
        return self.cls.load(self.folder / "model", device="cpu", shape=train.shape)


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Callable[..., Model]]:
    """Make a model of a class; its process ends with the test."""
    made: list[Model] = []

    def make(name: str, **settings: Any) -> Model:
        made.append(Model(name, tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.cls.end()


@pytest.fixture
def train(tmp_path: Path) -> Split:
    """Twelve training items among twelve held-out ones, in a file of prepared pixels."""
    return split_of(pixels_in(tmp_path / "data"))


def pixels_in(folder: Path) -> SealedPixels:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(100, 256, (24, *SHAPE)).astype(np.uint8)
    pixels[::2] = HELD_OUT_VALUE
    np.save(folder / "pixels.npy", pixels)
    return SealedPixels(folder / "pixels.npy", [item_digest(one) for one in pixels], finished=folder / "finished")


def split_of(pixels: Any) -> Split:
    names = tuple(f"person{number}" for number in range(1, 24, 2))
    return Split(
        name="train", pixels=pixels, rows=np.arange(1, 24, 2), subjects=names, items=names, channels=("x",),
        labels=("sick",) * 12, captions=names,
    )  # fmt: skip


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(AdapterError) as error:
        work()
    return str(error.value)


# What is not theirs


def test_training_items_of_the_evaluator_cannot_be_written(model: Callable[..., Model], train: Split) -> None:
    before, rows = np.array(train.pixels), train.rows.copy()
    one = model("Writes")
    one.fit(train)
    assert np.array_equal(np.array(train.pixels), before)
    assert np.array_equal(train.rows, rows)
    assert np.array_equal(np.load(one.folder / "data" / "pixels.npy"), before)
    assert json.loads((one.folder / "training" / "refused.json").read_text()) == [
        "write_pixels: assignment destination is read-only",
        "make_writeable: cannot set WRITEABLE flag to True of this array",
        "write_file: 'numpy.ndarray' object has no attribute 'filename'",
    ]


@pytest.mark.usefixtures("real_processes")
def test_nothing_leads_to_held_out_items(
    model: Callable[..., Model], train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(str(train.pixels._path)).parent
    monkeypatch.setenv("MEMOBENCH_DATA", str(data))
    monkeypatch.setenv("HIDDEN_BY_ITS_VALUE", f"--root={data}/sub")
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.chdir(data)
    one = model("Looks")
    one.fit(train)
    seen = json.loads((one.folder / "training" / "seen.json").read_text())
    assert str(data) not in json.dumps(seen)
    assert (seen["items"], seen["bytes"]) == (12, 0)
    assert "KEPT" in seen["environment"]
    assert seen["beside"] == []
    assert seen["modules"] == []
    assert [name for name in seen["files"] if name.startswith(("/memfd", str(one.folder)))] == [COPY]
    assert "person1'" in seen["split"]["items"]
    assert "person2'" not in json.dumps(seen)


def test_each_item_is_lent_once_in_any_order(train: Split, tmp_path: Path) -> None:
    part = train.part([5, 0, 5, 11])
    for limit in (2**26, 0):  # in memory, and on the disk
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(items, "IN_MEMORY", limit)
            file, told = items.lent_items(part, tmp_path)
        lent = items.borrowed_items(file, json.loads(json.dumps(told)))
        with pytest.raises(OSError):
            os.write(file, b"0")
        os.close(file)
        assert lent.pixels.shape == (3, *SHAPE)
        assert np.array_equal(lent.images(), part.images())
        assert (lent.items, lent.labels, lent.units) == (part.items, part.labels, part.units)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_an_item_that_changed_is_refused_before_it_is_lent(train: Split, tmp_path: Path) -> None:
    path = tmp_path / "data" / "pixels.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        items.lent_items(train, tmp_path)


def test_the_evaluator_imports_no_model(model: Callable[..., Model], train: Split) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmark.adapters.isolation.model_class import ModelClass;"
        "from benchmark.plugins.registry import find_model;"
        "cls = ModelClass(find_model(sys.argv[1])); print(cls.build({}).settings);"
        "print([n for n in sys.modules if 'hostile' in n or n.startswith('benchmark.models.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{HOSTILE}:Grey"], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["{'where': 'fit', 'shape': ()}", "[]"]


def test_a_relative_path_of_the_user_is_found(
    model: Callable[..., Model], train: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").write_text("read")
    monkeypatch.chdir(tmp_path)
    one = model("Reads", path="notes")
    one.fit(train)
    assert (tmp_path / "training" / "read").read_text() == "read"
    assert one.adapter.settings["path"] == "notes"


# Ends of a process

NO_EXIT = "\n  hint: a model returns or raises an error: it must not end its process"


@pytest.mark.parametrize("stage", ["fit", "sample"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Exits", f"exits called sys.exit(0) in {{stage}}{NO_EXIT}"),
        ("ExitsAtOnce", f"exitsatonce ended its process in {{stage}}, with exit code 0{NO_EXIT}"),
        (
            "Crashes",
            (
                "the process of crashes crashed in {stage} (SIGSEGV)\n  hint: its code or a library that it uses is at "
                "fault; the stack trace is in {log}"
            ),
        ),
        (
            "Killed",
            (
                "the process of killed was killed in {stage} (SIGKILL), as the system does when memory runs out\n"
                "  hint: use smaller batches or images, or a machine with more memory"
            ),
        ),
        (
            "Raises",
            "raises failed in {stage}: ZeroDivisionError: the learning rate was 0\n  hint: the stack trace is in {log}",
        ),
    ],
)
def test_ends_are_one_sentence(
    name: str, message: str, stage: str, model: Callable[..., Model], train: Split, tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if stage == "fit":
        request.getfixturevalue("real_processes")
    one = model(name, where=stage)

    def work() -> None:
        list(one.loaded(train).sample(2, seed=0))

    log = tmp_path / "model.log"
    assert refusal(work) == message.format(stage=stage, log=log)
    if "{log}" in message:
        assert "hostile_adapters.py" in log.read_text()
        assert "act" in log.read_text()


def test_an_end_by_a_signal_without_a_name_is_told() -> None:
    number = 40  # a real-time signal of Linux
    told = str(failures.ended(-number, "mine", "sample", None, ""))
    assert told == (
        f"the process of mine crashed in sample (signal {number})\n"
        "  hint: its code or a library that it uses is at fault"
    )


@pytest.mark.usefixtures("real_processes")
def test_a_closed_connection_is_told(
    model: Callable[..., Model], train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "DYING", 0.2)
    assert (
        refusal(lambda: model("ClosesAll").fit(train))
        == f"closesall closed its connection to the evaluator in fit{NO_EXIT}"
    )


def begun(folder: Path) -> list[int]:
    """Wait until a training has begun, and return the numbers of its process and of one that this has started."""
    path, until = folder / "training" / "begun", time.monotonic() + 120
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.05)
    return [int(number) for number in path.read_text().split()]


def waiting(train: Split, folder: Path) -> tuple[Model, list[int]]:
    """A training that never ends, in a thread, and the numbers of its processes."""
    one = Model("Waits", folder)

    def work() -> None:
        with suppress(AdapterError):
            one.fit(train)

    threading.Thread(target=work, daemon=True).start()
    return one, begun(folder)


LONG = 60.0
"""Seconds within which a process has ended on any machine: two on an idle one. It would sleep for 600."""


def gone(processes: list[int], seconds: float = LONG) -> bool:
    """Whether none of these processes is left within so many seconds; one that waits to be collected has ended."""
    until = time.monotonic() + seconds
    while any(Path(f"/proc/{one}").exists() and state(one) != "Z" for one in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def state(process: int) -> str:
    """The letter of a process's state."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    return "Z"


@pytest.mark.usefixtures("real_processes")
def test_ending_it_ends_what_it_started(train: Split, tmp_path: Path) -> None:
    one, processes = waiting(train, tmp_path)
    assert not gone(processes, 0.2)
    one.cls.end()
    assert gone(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor that asks for them")
@pytest.mark.usefixtures("real_processes")
def test_what_it_has_left_in_another_session_ends_with_it(train: Split, tmp_path: Path) -> None:
    one = Model("Leaves", tmp_path)
    one.fit(train)
    processes = begun(tmp_path)
    assert not gone(processes, 0.2)
    one.cls.end()
    assert gone(processes, 0), "it could change files of the run after its end"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor that asks for them")
@pytest.mark.usefixtures("real_processes")
def test_what_it_has_left_ends_with_the_evaluator(tmp_path: Path) -> None:
    kept = PARENT.replace('Model("Waits", Path(sys.argv[1]))', 'one = Model("Leaves", Path(sys.argv[1]))\none')
    code = kept.format(tests=str(Path(__file__).parent)) + "import time; time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL)
    processes = begun(tmp_path)
    assert not gone(processes, 0.2)
    parent.kill()
    assert gone(processes, 5)
    parent.wait(10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it has no parent that waits for it")
def test_the_end_of_a_model_is_told_where_children_are_ignored(tmp_path: Path) -> None:
    code = PARENT.format(tests=str(Path(__file__).parent))
    code = code.replace('"Waits", Path(sys.argv[1])', '"Crashes", Path(sys.argv[1]), where="fit"')
    code = f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n{code}"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=LONG)
    assert "keeper.py" not in done.stderr, "os.wait fails there"
    assert "crashes ended its process in fit" in done.stderr, "the evaluator is not ours to change: its code is unknown"


ADOPTING = """
import os
from benchmark.core.descendants import adopt_orphans
adopt_orphans()  # as the first process of a container, which is given all orphans, and may not know of it
one.cls.end()
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("none")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor that asks for them")
@pytest.mark.usefixtures("real_processes")
def test_what_was_ended_does_not_stay_on_the_list_of_processes(tmp_path: Path) -> None:
    code = PARENT.format(tests=str(Path(__file__).parent)).replace('Model("Waits"', 'one = Model("Leaves"')
    code = code.replace(").fit(", ")\none.fit(") + ADOPTING
    assert subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True, timeout=LONG) == "none\n"


@pytest.mark.parametrize("removal", [process.new_folder, partial(tidied, None, KeyboardInterrupt())])
def test_the_working_folder_of_a_killed_evaluator_is_removed(
    removal: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = Path(process.new_folder())
    code = "from benchmark.adapters.isolation.process import new_folder; print(new_folder())"
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    left = Path(subprocess.check_output([sys.executable, "-c", code], env=variables, text=True).strip())
    assert left.is_dir()
    removal()
    assert not left.exists()
    assert own.is_dir(), "its evaluator lives"


PARENT = """
import sys, os, numpy as np
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_isolation import Model, split_of
Model("Waits", Path(sys.argv[1])).fit(split_of(np.zeros((24, 1, 8, 8), np.uint8)))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_evaluator(number: int, tmp_path: Path) -> None:
    code = PARENT.format(tests=str(Path(__file__).parent))
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL)
    processes = begun(tmp_path)
    parent.send_signal(number)
    assert gone(processes)
    parent.wait(LONG)


# Answers


def test_an_endless_iterator_of_lists_is_taken_up_to_count(model: Callable[..., Model], train: Split) -> None:
    samples = model("Endless").loaded(train)
    for _ in range(2):  # the first iterator is dropped
        assert taken(samples.sample(7, seed=0), slice(0, 7), SHAPE, "endless").shape == (7, *SHAPE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "GreyLevels",
            "it returned samples of type uint8\n  hint: return float32 in [-1, 1]: for grey levels x / 127.5 - 1",
        ),
        (
            "Complex",
            "it returned samples of type complex64\n  hint: return float32 in [-1, 1]: for grey levels x / 127.5 - 1",
        ),
        (
            "Huge",
            (
                "huge gave no usable answer in sample: arrays of 768000 bytes, where 512000 are the most\n"
                "  hint: return arrays of the documented shapes"
            ),
        ),
        (
            "Objects",
            (
                "objects failed in sample: TypeError: an array of type object holds no numbers\n"
                "  hint: the stack trace is in {log}"
            ),
        ),
    ],
)
def test_samples_of_another_kind(
    name: str, message: str, model: Callable[..., Model], train: Split, tmp_path: Path
) -> None:
    samples = model(name).loaded(train)
    said = refusal(lambda: taken(samples.sample(3, seed=0), slice(0, 3), SHAPE, "it"))
    assert said == message.format(log=tmp_path / "model.log")


def test_losses_of_another_shape(model: Callable[..., Model], train: Split) -> None:
    adapter: Any = model("WrongLosses").loaded(train)
    assert refusal(lambda: adapter.losses(train.images(), seed=0)) == (
        "wronglosses returned losses of shape (12, 2) and type float32 for 12 images\n"
        "  hint: losses() must return one number per image"
    )


def test_a_process_that_has_trained_serves_no_other_run(model: Callable[..., Model], train: Split) -> None:
    one = model("Grey")
    one.fit(train)
    first = one.cls._own
    assert first is not None
    other = model("Grey")
    assert other.cls._own is not first
    one.cls.end()
    assert not first.alive


def test_a_model_that_ends_its_process_does_not_conform() -> None:
    findings = check_adapter(find_model(f"{HOSTILE}:ExitsAtOnce"), {}, only=["seeds"])
    assert {(finding.check, finding.status, finding.detail) for finding in findings} == {
        ("trains", "fault", "exitsatonce ended its process in the check 'trains', with exit code 0")
    }


def test_wrong_options_are_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        Model("Grey", tmp_path, when="fit")
    assert str(error.value) == ("model grey has no option 'when'\n  hint: did you mean 'where'? it has: where, shape")


@pytest.mark.slow
def test_processes_of_torchrun_train_together(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    job = str(Path(__file__).parent / "isolated_job.py")
    done = subprocess.run([*launch, job, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    weights = [(tmp_path / rank / "model.safetensors").read_bytes() for rank in "01"]
    assert weights[0] == weights[1]
    (state,) = (tmp_path / "fit").rglob("training.pt")
    assert b'"processes": 2' in state.read_bytes()


RACE = """
import os, signal, socket, sys, tempfile
from benchmark.adapters.isolation import worker
real, sent = signal.signal, []
def signal_that_arrives_first(number, handler):
    if handler is signal.SIG_IGN and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGTERM)
    return real(number, handler)
signal.signal = signal_that_arrives_first
os.environ["BENCH_PYTHONPATH"] = ""
ours, theirs = socket.socketpair()
ours.close()  # the evaluator has closed the connection
worker.main(theirs.detach(), tempfile.TemporaryFile().fileno(), os.getppid())
"""


def test_a_signal_while_the_process_ends_shows_no_stack_trace() -> None:
    """The evaluator closes the connection, and sends SIGTERM in the same moment."""
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
