"""The short form of `scripts/soak.py`: a fault of each kind, and none of them changes a number."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "scripts" / "soak.py"
KINDS = {
    "signals": {"SIGINT", "SIGTERM", "SIGHUP"}, "kills": {"kill of the command", "kill of a worker"},
    "changed files": {"flip", "cut", "removal", "swap"}, "full disks": {"full disk"},
}  # fmt: skip


@pytest.mark.slow
def test_a_fault_of_each_kind_changes_no_number(tmp_path: Path) -> None:
    command = [sys.executable, str(SOAK), "--faults", "1", "--commands", "audit,copycat", "--patience", "120"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    happened, _, sums = done.stdout.splitlines()[-3:]
    assert sums == "4 faults, 0 wrong numbers, 0 stack traces, 0 hangs, 0 stuck"
    counts = {name: int(count) for count, name in re.findall(r"(\d+) ([^,]+)", happened)}
    assert {kind: sum(counts.get(name, 0) for name in names) for kind, names in KINDS.items()} == dict.fromkeys(
        KINDS, 1
    )
