"""Every adapter keeps its contract; adapters that break it, each in one way, are caught by the check's name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.adapters.check_model import conforms
from benchmark.adapters.conformance import Finding, check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.plugins import registry

TOYS = Path(__file__).parent / "toy_adapters.py"
NEED_FILES = {"diffusers", "folder", "monai-bundle", "stylegan2-ada"}
"""Models that are nothing without what a user brings; their own tests run the suite."""


@pytest.mark.parametrize("name", [name for name in registry.listing("models").cards if name not in NEED_FILES])
def test_every_adapter_conforms(name: str) -> None:
    card = registry.find_model(name)
    findings = check_adapter(card, {})
    assert [finding for finding in findings if finding.status == "fault"] == []
    trained = {finding.cohort[:2] for finding in findings if finding.check == "trains" and finding.status == "ok"}
    assert trained == {f"{dimensions}D" for dimensions in card.dimensions}


def faults(name: str) -> list[Finding]:
    findings = check_adapter(registry.find_model(f"{TOYS}:{name}"), {})
    return [finding for finding in findings if finding.status == "fault" and finding.cohort == "2D, 1 channel"]


def test_a_sound_toy_conforms() -> None:
    findings = check_adapter(registry.find_model(f"{TOYS}:Sound"), {})
    assert conforms(findings)
    assert {finding.status for finding in findings if finding.check == "resumes"} == {"ok"}


@pytest.mark.parametrize(
    ("name", "check", "detail"),
    [
        ("WrongRange", "range and shape", "wrongrange returned values up to 255, outside [-1, 1]"),
        (
            "UnitRange",
            "range and shape",
            "samples have no value below 0, as on the scale [0, 1]: return 2 * x - 1",
        ),
        (
            "Constant",
            "range and shape",
            "every sample is constant, one value everywhere: look at what `sample` does after the network",
        ),
        (
            "Repeats",
            "range and shape",
            "all samples of one call are the same image: draw noise for each of them",
        ),
        ("NotFinite", "range and shape", "notfinite: sample 3 is not finite"),
        ("IgnoresSeed", "seeds", "the same seed drew different images: draw all noise from `seed`"),
        (
            "ReadsHeldOut",
            "held-out data",
            "other held-out items changed the model: read `split.images()`, never all of `split.pixels`",
        ),
        ("Unpicklable", "saved and loaded", "TypeError: cannot pickle '_thread.lock' object"),
        ("ForgetsOptimizer", "resumes", "interrupted after 3 of 6 steps and resumed, it gave another model"),
        ("Spendthrift", "budget", "with a budget of a microsecond it took all 6 steps: stop when it is spent"),
        ("TakesPrompts", "refusals", "prompts: accepted without an error; raise UsageError(message, hint)"),
        ("Downloads", "trains", "it tried to reach example.org over the network: use local weights"),
        ("WrongLosses", "abilities", "losses has shape (1,) or is not finite: return (5,) numbers"),
    ],
)
def test_broken_toys_are_caught_by_name(name: str, check: str, detail: str) -> None:
    assert faults(name) == [Finding(check, "2D, 1 channel", "fault", detail)]


def test_held_out_items_differ_and_training_items_do_not() -> None:
    one, other = toy_split(2, 3), toy_split(2, 3, held_out=1)
    assert (one.images() == other.images()).all()
    assert (one.pixels[len(one) :] != other.pixels[len(one) :]).any()


def bench_check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark", "check", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_the_command_says_what_is_broken() -> None:
    done = bench_check(f"{TOYS}:IgnoresSeed")
    assert done.returncode == 5
    lines = done.stdout.splitlines()
    assert "fault: seeds (2D, 1 channel): the same seed drew different images: draw all noise from `seed`" in lines
    assert done.stderr == ""


def test_the_command_passes_a_sound_model() -> None:
    done = bench_check("gaussian")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gaussian: does it keep its contract?" in done.stdout


def test_a_model_that_refuses_everything_does_not_conform() -> None:
    done = bench_check(f"{TOYS}:RefusesAll")
    assert done.returncode == 5
    assert "refused: trains (3D, 5 channels): nothing suits me\n  hint: bring something else" in done.stdout


def test_what_a_model_needs_and_has_not_is_said(tmp_path: Path) -> None:
    done = bench_check("folder", "--set", f"path={tmp_path / 'none'}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: there is no folder {tmp_path / 'none'}\n  hint: give the folder of the images: --set path=DIR\n"
    )


def test_unknown_names_are_refused() -> None:
    done = bench_check("lmd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no model named 'lmd'\n"
        "  hint: did you mean 'ldm'? `bench models` lists all; your own: --model ./file.py:Class\n"
    )


def test_the_documented_example_conforms() -> None:
    """docs/my_model.py is what newcomers copy: at most 60 lines, and sound."""
    path = Path(__file__).parents[2] / "docs" / "my_model.py"
    assert len(path.read_text().splitlines()) <= 60
    findings = check_adapter(registry.find_model(f"{path}:MyModel"), {"steps": 5})
    assert [finding for finding in findings if finding.status not in ("ok", "not applicable")] == []
