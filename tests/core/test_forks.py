"""Work that forks of this process share: results in order, errors, a fork that is killed, and nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchmark.core import forks
from benchmark.core.forks import LEAST, each


@pytest.fixture(autouse=True)
def _three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)


def test_results_are_in_the_order_of_the_values_and_from_three_processes() -> None:
    for count in (3 * LEAST, 3 * LEAST + 1, 3 * LEAST + 2):
        results = each(lambda value: (value, os.getpid()), list(range(count)))
        assert [value for value, _ in results] == list(range(count))
        assert len({process for _, process in results}) == 3


def test_few_values_need_no_fork() -> None:
    assert set(each(lambda _: os.getpid(), list(range(2 * LEAST - 1)))) == {os.getpid()}
    assert each(lambda value: value, []) == []


def test_elsewhere_than_on_linux_one_process_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks.sys, "platform", "darwin")
    assert set(each(lambda _: os.getpid(), list(range(9 * LEAST)))) == {os.getpid()}


def test_what_a_killed_fork_owes_is_computed_here(tmp_path: Path) -> None:
    here = os.getpid()

    def work(value: int) -> int:
        if os.getpid() != here and value == 4:
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    assert each(work, list(range(6 * LEAST))) == list(range(6 * LEAST))
    assert (tmp_path / "killed").exists()


@pytest.mark.parametrize("wrong", [0, 1])
def test_an_error_is_raised_wherever_it_happened_and_no_fork_is_left(
    wrong: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, begun = os.fork, list[int]()

    def counted() -> int:
        begun.append(fork())
        return begun[-1]

    monkeypatch.setattr(os, "fork", counted)

    def work(value: int) -> int:
        if value == wrong:
            raise ValueError(f"of {value}")
        return value

    with pytest.raises(ValueError, match=f"of {wrong}"):
        each(work, list(range(3 * LEAST)))
    assert len(begun) == 2
    for process in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert capfd.readouterr() == ("", "")
