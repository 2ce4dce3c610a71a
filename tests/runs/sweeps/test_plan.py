"""The plan of a sweep: its cells, their settings, what is declined, cached or the same run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from benchmark.cohorts.open import open_cohort
from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.sealed import write_sealed_json
from benchmark.core.stages import Stages
from benchmark.runs.config import RunConfig, resolve
from benchmark.runs.sweeps import plan as plan_module
from benchmark.runs.sweeps.axes import make_axes
from benchmark.runs.sweeps.plan import Plan, make_plan


def plan_of(tmp_path: Path, values: dict[str, Any]) -> Plan:
    return make_plan(make_axes({"runs": tmp_path / "runs", **values}, "test"))


def options(plan: Plan) -> list[dict[str, Any]]:
    return [outcome.cell.config.model.options for outcome in plan.outcomes]


def test_augmentations_become_settings_and_models_without_them_decline(
    tmp_path: Path, prepared: dict[str, Any]
) -> None:
    names = ["none", "flips", "ada"]
    plan = plan_of(tmp_path, {**prepared, "model": ["styled-gan", "vae", "gaussian"], "augmentation": names})
    assert options(plan)[:3] == [
        {"augmentation": 0.0, "augment": "none"},
        {"augmentation": 0.0, "augment": "flips"},
        {},
    ]
    assert options(plan)[3:5] == [{"augment": "none"}, {"augment": "flips"}]
    assert [(outcome.state, outcome.error) for outcome in plan.outcomes] == [
        *[("planned", "")] * 5, ("declined", "vae has no adaptive augmentation"),
        ("planned", ""), ("declined", "gaussian does not train on augmented images"),
        ("declined", "gaussian has no adaptive augmentation"),
    ]  # fmt: skip
    assert [outcome.cell.index for outcome in plan.outcomes] == list(range(9))


def test_points_that_are_the_same_run_are_one_cell(tmp_path: Path, prepared: dict[str, Any]) -> None:
    train = len(_cohort(prepared).train)
    sizes = {"train_items": [10, train, "all"]}  # `all` has another cohort configuration, and the same images
    plan = plan_of(tmp_path, {**prepared, "model": "copycat", "contamination": [0.5, 1.0], **sizes, "samples": 1000})
    assert (len(plan.outcomes), plan.joined) == (4, 2)
    twice = plan_of(tmp_path, {**prepared, "model": ["copycat", "copycat:contamination=1.0"]})
    assert (len(twice.outcomes), twice.joined) == (1, 1)


def _cohort(prepared: dict[str, Any]) -> Any:
    config = RunConfig.of(
        {"model": {"name": "gaussian"}, "cache": prepared["cache"],
         "data": {"name": "cxr-pneumonia", "root": prepared["data.root"], "image_size": 32}}, "test",
    )  # fmt: skip
    resolved = resolve(config)
    return open_cohort(config.data, resolved.data, resolved.dataset, cache=config.cache, log=lambda text: None)


def test_equal_epochs_scale_every_number_of_training_steps(tmp_path: Path, prepared: dict[str, Any]) -> None:
    values = {**prepared, "model": ["ldm", "copycat"], "steps": 400, "control": "equal-epochs"}
    del values["steps"]
    plan = plan_of(tmp_path, {**values, "model": "ldm", "train_items": [15, 30, 60]})
    chosen = [(one["steps"], one["autoencoder_steps"]) for one in options(plan)]
    assert chosen == [(200, 500), (400, 1000), (800, 2000)]  # 800 and 2,000 are the preset's
    assert "sampling_steps" not in options(plan)[0]
    by_patient = plan_of(tmp_path, {**values, "model": "ldm", "train_patients": [10, "all"]})
    everyone = _cohort(prepared).train
    share = 20 / len(everyone)  # two films per patient
    assert [one["steps"] for one in options(by_patient)] == [round(800 * share), 800]
    equal_steps = plan_of(tmp_path, {**values, "model": "ldm", "train_items": [15, 60], "control": "equal-steps"})
    assert options(equal_steps) == [{}, {}]


def test_samples_and_detectors_have_run_folders_of_their_own(tmp_path: Path, prepared: dict[str, Any]) -> None:
    plan = plan_of(
        tmp_path, {**prepared, "model": "gaussian", "samples": [50, 500], "detector": ["none", "ssim"], "seed": 3}
    )
    names = [outcome.folder.name for outcome in plan.outcomes if outcome.folder]
    assert names[0] == "seed-3-samples-50"
    assert names[2] == "seed-3"  # 500 are the preset's: `bench run` has the same folder
    assert names[1].startswith("seed-3-samples-50-detectors-")
    assert names[3].startswith("seed-3-detectors-")
    assert len({outcome.folder.parent for outcome in plan.outcomes if outcome.folder}) == 1


def test_a_cell_is_done_only_with_the_record_that_its_run_has_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "finished_stages", lambda *given: {"fit": True})
    stages, record, unused = Stages(tmp_path, print), tmp_path / "record.json", cast(Any, None)

    def done() -> bool:
        return plan_module._done(unused, unused, tmp_path)

    stages.enter("configuration")
    assert not done()
    write_sealed_json(record, {"seed": 0})
    assert not done(), "no reader would accept it: the run was killed before it entered the record"
    stages.enter("record", record.name)
    assert done()
    write_sealed_json(record, {"seed": 1})
    assert not done()
    stages.enter("record", record.name)
    record.write_text("{}")
    assert not done()


def test_sizes_beyond_a_data_set_are_declined_and_the_others_stay(tmp_path: Path, prepared: dict[str, Any]) -> None:
    most = len(_cohort(prepared).train)
    plan = plan_of(tmp_path, {**prepared, "model": "gaussian", "train_items": [10, most + 1]})
    assert [outcome.state for outcome in plan.outcomes] == ["planned", "declined"]
    assert plan.outcomes[1].error == f"{most + 1} training items were asked for, the training split has {most}"
    with pytest.raises(UsageError) as error:
        plan_of(tmp_path, {**prepared, "model": "gaussian", "train_items": [most + 1, most + 2]})
    assert str(error.value) == (
        f"no cell of this sweep can run: {most + 1} training items were asked for, the training split has {most}\n"
        "  hint: `bench models` lists what models take"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ["vae", "lldm"]}, "there is no model named 'lldm'"),
        ({"data": "phantom-m"}, "there is no dataset named 'phantom-m'"),
        ({"detector": ["ssimm"]}, "there is no detector named 'ssimm'"),
        ({"stepz": [5, 10]}, "model vae has no option 'stepz'"),
    ],
)
def test_names_that_nothing_has_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        plan_of(tmp_path, {"model": "vae", "data": "phantom-mr", "cache": tmp_path, **changes})
    assert error.value.message == message


def test_absent_data_are_refused_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as error:
        plan_of(tmp_path, {"model": "vae", "data": "openi", "data.root": tmp_path / "nothing", "cache": tmp_path})
    assert error.value.message == f"openi is not on this disk: looked in {tmp_path / 'nothing'}"


def test_equal_epochs_of_a_data_set_that_is_not_prepared(tmp_path: Path) -> None:
    values = {"model": "vae", "data": "phantom-mr", "cache": tmp_path, "control": "equal-epochs"}
    assert len(plan_of(tmp_path, {**values, "train_items": [10, 20]}).outcomes) == 2
    with pytest.raises(MissingDataError) as error:
        plan_of(tmp_path, {**values, "train_items": [10, "all"]})
    assert str(error.value) == (
        "equal epochs need the number of training images, and phantom-mr is not prepared yet\n"
        "  hint: prepare it: bench datasets check phantom-mr; or give every size as a number of items"
    )


def test_ten_thousand_cells_are_planned_in_seconds(tmp_path: Path, prepared: dict[str, Any]) -> None:
    values = {**prepared, "model": ["vae", "gaussian"], "train_items": [10, 20, 30, 40, "all"], "repeat": [1, 5]}
    plan_of(tmp_path, values)  # imports
    started = time.process_time()
    plan = plan_of(tmp_path, {**values, "seed": list(range(500))})
    assert len(plan.outcomes) == 10_000
    assert time.process_time() - started < 20
    assert len({outcome.folder for outcome in plan.outcomes}) == 10_000
    assert len({id(outcome.cell.config.data) for outcome in plan.outcomes}) <= 20  # shared: the plan stays small
