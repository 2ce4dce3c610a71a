"""Every adapter keeps its contract; adapters that break it, each in one way, are caught by the check's name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from benchmark.adapters import check_model
from benchmark.adapters.check_model import conforms
from benchmark.adapters.conformance import Finding, check_adapter
from benchmark.adapters.conformance_tools import no_warnings_of_training, toy_split
from benchmark.core.errors import AdapterError
from benchmark.plugins import registry

TOYS = Path(__file__).parent / "toy_adapters.py"
UNPICKLABLE = next(
    number
    for number, line in enumerate(TOYS.read_text().splitlines(), 1)
    if "threading.Lock()" in line and "torch.save" in line
)
"""The line on which that toy fails."""
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
        (
            "Unpicklable",
            "saved and loaded",
            f"TypeError: cannot pickle '_thread.lock' object (toy_adapters.py, line {UNPICKLABLE}, in save)",
        ),
        (
            "GreyLevels",
            "range and shape",
            "100 % of the values are 1, as of grey levels 0 to 255 that were clamped: return x / 127.5 - 1",
        ),
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


Bench = Callable[..., CompletedProcess[str]]


def test_the_command_says_what_is_broken(bench: Bench) -> None:
    done = bench("check", f"{TOYS}:IgnoresSeed")
    assert done.returncode == 5
    lines = done.stdout.splitlines()
    faults = [line for line in lines if line.startswith("fault: ")]
    assert faults == ["fault: seeds (all cohorts): the same seed drew different images: draw all noise from `seed`"]
    assert done.stderr == ""


def test_the_command_passes_a_sound_model(bench: Bench) -> None:
    done = bench("check", "gaussian")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gaussian: does it keep its contract?" in done.stdout


def test_a_model_that_refuses_everything_does_not_conform(bench: Bench) -> None:
    done = bench("check", f"{TOYS}:RefusesAll")
    assert done.returncode == 5
    assert "refused: trains (all cohorts): nothing suits me\n  hint: bring something else" in done.stdout


def test_what_a_model_needs_and_has_not_is_said(bench: Bench, tmp_path: Path) -> None:
    done = bench("check", "folder", "--set", f"path={tmp_path / 'none'}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: there is no folder {tmp_path / 'none'}\n  hint: give the folder of the images: --set path=DIR\n"
    )


def test_unknown_names_are_refused(bench: Bench) -> None:
    done = bench("check", "lmd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no model named 'lmd'\n"
        "  hint: did you mean 'ldm'? `bench models` lists all; your own: --model ./file.py:Class\n"
    )


def test_only_one_check_is_run_and_named(bench: Bench) -> None:
    done = bench("check", "gaussian", "--only", "seeds")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[3:] == ["trains ok ok ok ok", "seeds ok ok ok ok"]
    unknown = bench("check", "gaussian", "--only", "seed")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == (
        "error: there is no check 'seed'\n"
        "  hint: did you mean 'seeds'? choose from trains, range and shape, seeds, held-out data, saved and loaded, "
        "resumes, budget, abilities, refusals\n"
    )


def test_a_model_of_volumes_says_so_in_its_file() -> None:
    findings = check_adapter(registry.find_model(f"{TOYS}:VolumesOnly"), {}, only=["seeds"])
    assert conforms(findings)
    assert [(finding.cohort, finding.check, finding.status) for finding in findings] == [
        ("2D, 1 channel", "trains", "not applicable"), ("2D, 5 channels", "trains", "not applicable"),
        ("3D, 1 channel", "trains", "ok"), ("3D, 1 channel", "seeds", "ok"),
        ("3D, 5 channels", "trains", "ok"), ("3D, 5 channels", "seeds", "ok"),
    ]  # fmt: skip
    assert findings[0].detail == "the class declares dimensions [3]"


def test_wrong_declarations_are_refused() -> None:
    card = registry.find_model(f"{TOYS}:WrongDeclaration")
    with pytest.raises(AdapterError) as error:
        check_adapter(card, {})
    assert str(error.value) == (
        "wrongdeclaration declares what does not fit: dimensions: Input should be a valid tuple\n"
        "  hint: declare dimensions = (2,), (3,) or (2, 3), and toy = {option: value}, as class variables"
    )


def test_every_check_is_counted_once() -> None:
    for name in ("Sound", "VolumesOnly", "UnitRange"):
        done: list[int] = []

        def advance(steps: int = 1, note: str = "", done: list[int] = done) -> None:
            done.append(steps)

        check_adapter(registry.find_model(f"{TOYS}:{name}"), {}, only=["seeds", "refusals"], advance=advance)
        assert sum(done) == 4 * 3


def test_a_slow_training_is_told_once() -> None:
    said: list[str] = []
    told = check_model._telling_slow(lambda steps=1, note="": None, said.append)
    told(1, "2D, 1 channel: seeds")
    assert said == []
    clock = iter([0.0, 100.0, 100.0, 200.0, 200.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_model.time, "monotonic", lambda: next(clock))
        told = check_model._telling_slow(lambda steps=1, note="": None, said.append)
        told(1, "2D, 1 channel: held-out data")
        told(1, "2D, 5 channels: held-out data")
    assert said == [
        (
            "two toy trainings took 100 s, and the check trains some fifty times: declare fewer steps in the class, "
            "such as toy = {'steps': 5}, or give them by --set"
        )
    ]


def test_the_warnings_of_a_training_are_silenced_for_a_check_alone(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("benchmark.training.loop")
    with no_warnings_of_training():
        logger.warning("of a check")
    logger.warning("of a training")
    assert caplog.messages == ["of a training"]
