"""Energy counters, where there are some."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from benchmark.core import energy


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(energy, "PACKAGES", tmp_path)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    for number, value in enumerate((5_000_000, 2_000_000)):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text(f"{value}\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of package 0: counted with it
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("999000000")
    return tmp_path


def test_packages_are_summed(packages: Path) -> None:
    assert energy.joules() == 7
    (packages / "intel-rapl:1" / "energy_uj").write_text("12000000")
    assert energy.spent(7) == {"joules": 10}


def test_a_counter_that_started_anew_gives_no_number(packages: Path) -> None:
    assert energy.spent(8) == {}
    assert energy.spent(None) == {}


def test_a_machine_without_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "PACKAGES", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy.joules() is None
    assert energy.spent(3) == {}


def test_gpus_are_added(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 1000 * (handle + 1),
        NVMLError=RuntimeError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert energy.joules() == 7 + 1 + 2
