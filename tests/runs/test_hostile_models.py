"""Models that replace files of their own run, digests included: what the run says and leaves is what was measured."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from benchmark.runs.verify import verify_run

from .conftest import Bench

ADAPTERS = Path(__file__).parents[2] / "scripts" / "red_team_adapters.py"
CHANGED = "run.toml was changed while the model worked: it is written again"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor that asks for them")
@pytest.mark.parametrize("name", ["RewritesScores", "ChangesConfiguration"])
def test_what_a_model_replaces_in_its_own_run_changes_nothing(run: Bench, tmp_path: Path, name: str) -> None:
    done = run("--samples", 100, model=f"{ADAPTERS}:{name}")
    assert done.returncode == 0, done.stderr
    time.sleep(0.3)  # for what a model has left running
    (folder,) = (path.parent for path in tmp_path.glob(f"runs/*/{name.lower()}-*/*/record.json"))
    assert verify_run(folder).findings == ()
    record, results = (json.loads((folder / f"{one}.json").read_text()) for one in ("record", "evaluation"))
    assert record["scores"] == results["scores"]
    assert record["scores"]["exposed.items[copy]"]["value"] > 0.1, "30 of 100 samples are copies"
    assert (CHANGED in done.stderr) == (name == "ChangesConfiguration")
    assert "samples = 100" in (folder / "run.toml").read_text()
