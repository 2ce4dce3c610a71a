from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cohorts.check import check
from benchmark.cohorts.render import render

MakeRoot = Callable[..., Path]


@pytest.fixture
def root(make_root: MakeRoot) -> Path:
    """Ten patients; p000 and p001 share an image, p002 has one twice."""
    root = make_root()
    np.save(root / "p001_0.npy", np.load(root / "p000_0.npy"))
    np.save(root / "p002_1.npy", np.load(root / "p002_0.npy"))
    return root


def report(arrays: Any, root: Path, quiet: Any, **options: Any) -> Any:
    return check("toy", arrays, root, root.parent / "cache", say=quiet, **options)


def test_report(arrays: Any, root: Path, quiet: Any) -> None:
    found = report(arrays, root, quiet)
    pixels = np.stack([np.load(path) for path in sorted(root.glob("*.npy"))])
    assert (found.items, found.patients, found.shape, found.ok) == (20, 10, (1, 4, 4), True)
    assert sum(items for items, _ in found.splits.values()) == 20
    assert found.within == (("p002_0", "p002_1"),)
    assert found.across == (("p000_0", "p001_0"),)
    (grey,) = found.intensity
    assert (grey.least, grey.greatest) == (pixels.min(), pixels.max())
    assert grey.mean == pytest.approx(pixels.mean())


def test_a_split_by_name_alone_would_leak_for_some_seed(arrays: Any, root: Path, quiet: Any) -> None:
    reports = [report(arrays, root, quiet, seed=seed) for seed in range(8)]
    assert {found.mended for found in reports} == {0, 1}
    assert all(found.leaks == () for found in reports)


def test_changed_pixels_are_found(arrays: Any, root: Path, quiet: Any) -> None:
    report(arrays, root, quiet)
    (file,) = root.parent.glob("cache/cohorts/toy-*/pixels.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    found = report(arrays, root, quiet)
    assert found.damaged == ("p009_1",)
    assert not found.ok


def test_render(arrays: Any, root: Path, quiet: Any) -> None:
    rows = render(report(arrays, root, quiet))
    assert rows[0] == ("items", "20 of 10 patients")
    assert ("exact duplicates", "groups within a patient: 1, across patients: 1") in rows
    assert ("  across", "p000_0, p001_0") in rows
    assert rows[-1] == ("leaks between splits", "0")
