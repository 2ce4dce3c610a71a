"""Event files: TensorBoard reads them, a resumed training replaces its later steps, and no thread writes them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmark.training.event_file import EventFile
from benchmark.training.log import training_log


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder)).Reload().Scalars(tag)
    return [(event.step, round(event.value, 3)) for event in events]


def test_tensorboard_reads_the_steps_of_both_halves_of_a_training(tmp_path: Path) -> None:
    before = threading.active_count()
    for done, losses in ((0, {1: 0.5, 2: 0.4, 3: 0.3}), (1, {2: 0.45, 3: 0.35})):
        with training_log(tmp_path, done) as write:
            for step, loss in losses.items():
                write(step, loss=loss, note="text is for the log alone", rate=0.1)
            assert threading.active_count() == before
    assert scalars(tmp_path / "tensorboard", "loss") == [(1, 0.5), (2, 0.45), (3, 0.35)]
    assert [step for step, _ in scalars(tmp_path / "tensorboard", "rate")] == [1, 2, 3]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_an_interruption_leaves_a_whole_line(tmp_path: Path) -> None:
    def stopped() -> None:
        with training_log(tmp_path, 0) as write:
            write(1, loss=0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert scalars(tmp_path / "tensorboard", "loss") == [(1, 0.5)]


def test_names_hold_neither_host_nor_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "radiology-7")
    EventFile(tmp_path, 1).close()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("events.out.tfevents.")
    assert "radiology" not in file.name
