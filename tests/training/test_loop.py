"""The training loop: counter-based draws, exact resume, refusals."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from benchmark.core.devices import memory_explained, pick_device
from benchmark.core.errors import AdapterError, MachineError, UsageError
from benchmark.core.sealed import sealed_write
from benchmark.core.seeding import batch_positions, seed_all
from benchmark.core.types import Budget, Split, to_images
from benchmark.training.batches import Resident, Streamed, batches, feed_split, in_order
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.state import update_average

torch.set_num_threads(1)
CPU = torch.device("cpu")
JOB = Path(__file__).parent / "training_job.py"


def network(seed: int = 0) -> nn.Sequential:
    seed_all(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 4))


def noisy_loss(net: nn.Module, batch: Tensor) -> Tensor:
    return (net(batch + 0.1 * torch.randn_like(batch)) - batch).square().mean()


def feed(items: int = 10) -> Resident:
    return Resident(torch.randn(items, 4, generator=torch.Generator().manual_seed(0)), CPU)


def config(**changes: object) -> TrainingConfig:
    given = {"steps": 12, "batch_size": 4, "learning_rate": 0.01, "ema": 0.9, "log_every": 4} | changes
    return TrainingConfig(**given)  # type: ignore[arg-type]


def weights(net: nn.Module) -> list[Tensor]:
    return list(net.state_dict().values())


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def stop_at(step: int):
    """A loss that is interrupted after some steps, as a kill would do, but in this process."""
    calls = 0

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > step:
            raise KeyboardInterrupt
        return noisy_loss(net, batch)

    return loss


# Seeds and batches


def test_draws_follow_from_counters_alone() -> None:
    seed_all(1, 5, 0)
    first = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.rand(7)
    seed_all(1, 5, 0)
    assert torch.equal(first[0], torch.rand(3))
    assert np.array_equal(first[1], np.random.rand(3))  # noqa: NPY002
    seed_all(1, 5, 1)
    assert not torch.equal(first[0], torch.rand(3))


def test_each_epoch_shows_every_item_once() -> None:
    stream = np.concatenate([batch_positions(3, step, items=10, batch_size=4) for step in range(5)])
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert list(stream[:10]) != list(stream[10:])


def test_a_batch_may_hold_more_items_than_there_are() -> None:
    assert sorted(batch_positions(0, 7, items=3, batch_size=6)) == [0, 0, 1, 1, 2, 2]


def test_processes_share_one_batch() -> None:
    whole = batch_positions(0, 3, items=10, batch_size=4)
    halves = [batch_positions(0, 3, items=10, batch_size=4, rank=rank, world=2) for rank in (0, 1)]
    assert np.array_equal(whole, np.concatenate(halves))


# Feeding


def split(pixels: np.ndarray) -> Split:
    rows = np.array([4, 1, 3])
    names = ("a", "b", "c")
    return Split(name="train", pixels=pixels, rows=rows, subjects=names, items=names, channels=("x",))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resident_and_streamed_items_are_the_contract_s_images(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 1, 4, 4)).astype(dtype)
    given, positions = split(pixels), np.array([2, 0])
    expected = to_images(pixels[[3, 4]])
    for source in (feed_split(given, CPU), Streamed(pixels, given.rows, CPU)):
        assert np.array_equal(source.take(positions).numpy(), expected)


def test_what_does_not_fit_in_memory_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = split(np.zeros((5, 1, 4, 4), np.uint8))
    assert isinstance(feed_split(given, CPU), Resident)
    monkeypatch.setattr("benchmark.training.batches.free_memory", lambda device: 100)
    assert isinstance(feed_split(given, CPU), Streamed)


def test_reading_ahead_changes_no_batch() -> None:
    pixels = np.arange(5, dtype=np.float32).reshape(5, 1)
    streamed = Streamed(pixels, np.arange(5), CPU)
    read = [batch.flatten().tolist() for batch in batches(streamed, lambda step: np.array([step, 0]), 1, 4)]
    assert read == [[1, 0], [2, 0], [3, 0]]
    assert list(batches(streamed, lambda step: np.array([step]), 2, 2)) == []


def test_a_feed_in_order_has_every_item_once() -> None:
    resident = Resident(torch.arange(7.0).view(7, 1), CPU)
    assert [batch.flatten().tolist() for batch in in_order(resident, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_order(Resident(torch.empty(0, 1), CPU), 3)) == []


# Configuration


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [config(steps=100, warmup=0.1).learning_rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * (k + 1) / 11 for k in range(10)])
    assert rates[10] == 0.01
    assert rates[55] == pytest.approx(0.005)
    assert rates[99] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert config(schedule="constant", warmup=0).learning_rate_at(11) == 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0\n  hint: give at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0\n  hint: give a positive number, such as 0.001"),
        ({"ema": 1.0}, "ema is 1.0, which never follows the weights\n  hint: give less than 1, such as 0.999"),
    ],
)
def test_impossible_configurations_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as error:
        config(**changes)
    assert str(error.value) == message


# Training


def test_average_follows_its_closed_form(tmp_path: Path) -> None:
    net, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(average.weight)
    nn.init.ones_(net.weight)
    for _ in range(5):
        update_average(average, net, 0.9)
    assert average.weight.item() == pytest.approx(1 - 0.9**5)
    assert [config(ema=0.9).ema_decay_at(step) for step in (0, 1, 500)] == pytest.approx([2 / 11, 3 / 12, 0.9])


def test_averaged_weights_are_returned(tmp_path: Path) -> None:
    history: list[Tensor] = []

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        history.append(next(net.parameters()).detach().clone())
        return noisy_loss(net, batch)

    net, plan = network(), config(steps=6)
    result = train(net, loss, feed(), plan, folder=tmp_path, seed=0, device="cpu")
    expected = history[0]
    for step, value in enumerate([*history[1:], next(net.parameters()).detach()]):
        expected = plan.ema_decay_at(step) * expected + (1 - plan.ema_decay_at(step)) * value
    torch.testing.assert_close(next(result.parameters()), expected)
    assert train(net, noisy_loss, feed(), config(ema=0), folder=tmp_path / "none", seed=0, device="cpu") is net


def test_gradients_are_clipped(tmp_path: Path) -> None:
    norms: list[float] = []
    net = nn.Linear(4, 1, bias=False)

    def note(*_: object) -> None:
        assert net.weight.grad is not None
        norms.append(net.weight.grad.norm().item())

    handle = register_optimizer_step_pre_hook(note)
    try:
        steep = config(clip=0.5)
        train(net, lambda given, batch: 1000 * given(batch).sum(), feed(), steep, folder=tmp_path, seed=0, device="cpu")
    finally:
        handle.remove()
    assert norms == pytest.approx([0.5] * 12, rel=1e-4)


@pytest.mark.parametrize("stopped", [1, 5, 8, 11])
def test_resume_is_exact(tmp_path: Path, stopped: int, capsys: pytest.CaptureFixture[str]) -> None:
    whole = train(network(), noisy_loss, feed(), config(), folder=tmp_path / "whole", seed=0, device="cpu")
    cut = {"folder": tmp_path / "cut", "seed": 0, "device": "cpu"}
    plan = config(checkpoint_steps=3)
    with pytest.raises(KeyboardInterrupt):
        train(network(), stop_at(stopped), feed(), plan, **cut)
    other_start = 9 if stopped >= 3 else 0  # nothing was saved before step 3
    assert capsys.readouterr().err == ""
    resumed = train(network(other_start), noisy_loss, feed(), plan, **cut)
    assert same(whole, resumed)
    saved = stopped // 3 * 3
    assert capsys.readouterr().err == (f"training: resuming at step {saved} of 12\n" if saved else "")
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    lines = [[{**json.loads(line), "seconds": 0} for line in log] for log in logs]
    assert lines[0] == lines[1]
    assert [line["step"] for line in lines[0]] == [4, 8, 12]


def test_finished_training_returns_at_once(tmp_path: Path) -> None:
    first = train(network(), noisy_loss, feed(), config(), folder=tmp_path, seed=0, device="cpu")
    again = train(network(seed=5), stop_at(0), feed(), config(), folder=tmp_path, seed=0, device="cpu")
    assert same(first, again)
    assert not again.training


def test_fewer_items_than_the_batch(tmp_path: Path) -> None:
    sizes = []

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        sizes.append((len(batch), len(batch.unique(dim=0))))
        return noisy_loss(net, batch)

    train(network(), loss, feed(3), config(batch_size=8), folder=tmp_path, seed=0, device="cpu")
    assert set(sizes) == {(8, 3)}


def test_no_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        train(network(), noisy_loss, Resident(torch.empty(0, 4), CPU), config(), folder=tmp_path, seed=0, device="cpu")
    assert str(error.value) == ("there are no items to train on\n  hint: give a training split that is not empty")


def test_budget_ends_training_early_and_a_larger_one_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def slow(net: nn.Module, batch: Tensor) -> Tensor:
        time.sleep(0.02)
        return noisy_loss(net, batch)

    where = {"folder": tmp_path / "cut", "seed": 0, "device": "cpu"}
    train(network(), slow, feed(), config(), budget=Budget(seconds=0.05), **where)
    lines = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    note = f"training ended at step {lines[-1]['step']} of 12: the budget of 0.05 s is spent"
    assert lines[-1]["note"] == caplog.messages[-1] == note
    whole = train(network(), noisy_loss, feed(), config(), folder=tmp_path / "whole", seed=0, device="cpu")
    assert same(whole, train(network(), noisy_loss, feed(), config(), **where))


def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    calls = 0

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return noisy_loss(net, batch) * (math.nan if calls == 6 else 1)

    with pytest.raises(AdapterError) as error:
        train(network(), loss, feed(), config(checkpoint_steps=5), folder=tmp_path, seed=0, device="cpu")
    assert str(error.value) == (
        "the loss is not finite (nan) at step 6\n"
        "  hint: lower the learning rate, or train with precision fp32; the last checkpoint is from before it"
    )
    assert torch.load(tmp_path / "training.pt", weights_only=True)["done"] == 5


# Checkpoints


def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    where = {"folder": tmp_path, "seed": 0, "device": "cpu"}
    train(network(), noisy_loss, feed(), config(), **where)
    with pytest.raises(AdapterError) as error:
        train(network(), noisy_loss, feed(), config(steps=20), options={"data": "x"}, **where)
    assert str(error.value) == (
        f"{tmp_path / 'training.pt'} was made with other options: data None, now 'x'; steps 12, now 20\n"
        "  hint: give the former options to continue it, or delete it to train from the start"
    )


def test_when_to_save_may_change_between_calls(tmp_path: Path) -> None:
    where = {"folder": tmp_path, "seed": 0, "device": "cpu"}
    first = train(network(), noisy_loss, feed(), config(), **where)
    assert same(first, train(network(), stop_at(0), feed(), config(checkpoint_steps=2), **where))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None])
def test_a_changed_checkpoint_is_named_and_training_starts_again(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "training.pt"
    save_checkpoint(path, {"done": 1}, {})
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    assert load_checkpoint(path, {}) is None
    assert capsys.readouterr().err == f"{path} has changed since it was written: training starts again\n"


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    with sealed_write(tmp_path / "training.pt") as temporary:
        torch.save({"options": "{}", "evil": Path("x")}, temporary)
    with pytest.raises(AdapterError) as error:
        load_checkpoint(tmp_path / "training.pt", {})
    assert error.value.message == f"{tmp_path / 'training.pt'} is not a readable checkpoint (UnpicklingError)"
    assert error.value.hint == "delete it; training then starts again"


# Machine


def test_a_missing_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == CPU
    with pytest.raises(MachineError) as error:
        pick_device("cuda:1")
    assert str(error.value) == (
        "device cuda:1 was asked for, but this machine has no GPU that torch can use\n"
        "  hint: use --device cpu, or auto to take what is there"
    )
    with pytest.raises(UsageError) as usage:
        pick_device("gpu")
    assert str(usage.value) == "there is no device called 'gpu'\n  hint: use auto, cpu, cuda or cuda:N"


@pytest.mark.parametrize("cause", [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("can't allocate memory")])
def test_too_little_memory_names_the_batch(cause: Exception) -> None:
    with pytest.raises(MachineError) as error, memory_explained(CPU, 64):
        raise cause
    assert str(error.value) == (
        "cpu has too little free memory for batches of 64\n"
        "  hint: set a smaller batch size (and smaller widths, if that is not enough)"
    )


# Other processes


LONG = 240.0
"""Seconds in which a job of these ends on any machine."""


def run_job(folder: Path, *, processes: int = 1, steps: int = 0, wait: bool = True) -> subprocess.Popen[bytes]:
    """Start a training, which waits after so many steps where these are not 0."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(JOB), str(folder), str(steps)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    if wait:
        _, errors = process.communicate(timeout=LONG)
        assert process.returncode == 0, errors.decode()
    return process


def kill_after_checkpoint(folder: Path, processes: int) -> None:
    process = run_job(folder, processes=processes, steps=6, wait=False)  # the checkpoint is of step 4
    deadline = time.monotonic() + LONG
    while len(list(folder.glob("waits-*"))) < processes:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if processes > 1:  # torchrun's workers lead sessions of their own
        for pid in (folder / "pids").read_text().split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue
    assert torch.load(folder / "training.pt", weights_only=True)["done"] == 4


def results(folder: Path) -> list[dict[str, Tensor]]:
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("result-*.pt"))]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_training_resumes_exactly(tmp_path: Path, processes: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    run_job(whole, processes=processes)
    kill_after_checkpoint(cut, processes)
    run_job(cut, processes=processes)
    found = results(whole) + results(cut)
    assert len(found) == 2 * processes
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list threads")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    run_job(tmp_path, processes=2)
    for rank in range(2):
        assert "gloo" not in (tmp_path / f"threads-{rank}.txt").read_text()
