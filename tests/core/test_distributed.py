"""Processes that wait for each other: for how long, and who is named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import pytest
import torch.distributed as dist

from benchmark.core import distributed
from benchmark.core.distributed import World, exchange_explained, meet, wait_seconds
from benchmark.core.errors import AdapterError, BenchError, MachineError, UsageError


def refusal(call: Callable[[], object], kind: type[BenchError]) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dist.Store:
    """A store in memory in place of torchrun's; waiting is short."""
    made = dist.HashStore()  # type: ignore[attr-defined]
    monkeypatch.setattr(distributed, "_store", made)
    monkeypatch.setattr(distributed, "_meetings", count())
    monkeypatch.setattr(distributed, "LAST_CALL_SECONDS", 0.2)
    monkeypatch.setenv("BENCH_WAIT_SECONDS", "0.2")
    return made


def test_the_time_limit_is_ten_minutes_or_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_WAIT_SECONDS", raising=False)
    assert wait_seconds() == 600
    monkeypatch.setenv("BENCH_WAIT_SECONDS", "5.5")
    assert wait_seconds() == 5.5


@pytest.mark.parametrize("given", ["soon", "0", "-3", "nan", "inf"])
def test_a_time_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BENCH_WAIT_SECONDS", given)
    assert refusal(wait_seconds, UsageError) == (
        f"BENCH_WAIT_SECONDS is {given!r}\n  hint: give a number of seconds above 0, such as 600"
    )


def test_a_process_that_comes_late_is_waited_for(store: dist.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WAIT_SECONDS", "20")
    late = threading.Timer(0.1, lambda: store.set("meeting/0/1", "here"))
    late.start()
    meet(World(0, 2), "step 20 of training")
    late.join()


def test_processes_that_do_not_come_are_named(store: dist.Store) -> None:
    store.set("meeting/0/2", "here")
    assert refusal(lambda: meet(World(0, 4), "step 20 of training"), MachineError) == (
        "process 1, 3 of 4 (the first is 0) did not answer at step 20 of training: it has ended, or hangs\n"
        "  hint: its own last message says why; if it is only slow, wait longer: BENCH_WAIT_SECONDS=0.4"
    )


def test_each_meeting_is_its_own(store: dist.Store) -> None:
    store.set("meeting/0/1", "here")
    meet(World(0, 2), "step 1 of training")
    assert "did not answer at step 2 of training" in refusal(
        lambda: meet(World(0, 2), "step 2 of training"), MachineError
    )


def test_a_single_process_meets_nobody() -> None:
    meet(World(), "step 1 of training")


def fail(world: World, error: Exception) -> None:
    with exchange_explained(world):
        raise error


def test_a_failed_exchange_names_who_did_not_answer(store: dist.Store) -> None:
    gloo = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242")
    assert refusal(lambda: fail(World(0, 2), gloo), MachineError) == (
        "process 1 of 2 (the first is 0) did not answer in a training step: it has ended, or hangs\n"
        "  hint: its own last message says why; if it is only slow, wait longer: BENCH_WAIT_SECONDS=0.4"
    )
    store.set("failed/1", "here")
    with pytest.raises(RuntimeError, match="Connection closed by peer"):  # all have failed: nobody is missing
        fail(World(0, 2), gloo)


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), AdapterError("the loss is not finite")])
def test_other_errors_pass_at_once(store: dist.Store, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        fail(World(0, 2), error)
    assert caught.value is error
    assert not store.check(["failed/0"])
