"""The configuration of a run: from a file, from the command line, and from both; what is refused, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

from benchmark.core.errors import UsageError
from benchmark.core.files import require_layout, write_json
from benchmark.records.record import Record
from benchmark.runs.config import RunConfig, overridden, read_toml
from benchmark.runs.run_folders import read_run

FULL: dict[str, Any] = {
    "model": {"name": "copycat", "preset": "small", "options": {"contamination": 0.5, "transform": "flip"}},
    "data": {
        "name": "folder",
        "options": {"group_pattern": "P[0-9]+", "stride": 2},
        "root": "films",
        "image_size": 32,
        "channels": "t1",
        "split": "official",
        "split_seed": 3,
        "train_items": 40,
        "train_patients": 20,
        "repeat": 2,
        "repeat_share": 0.2,
        "trained_on": "split",
        "exclude": "out.csv",
        "strict": True,
    },
    "samples": 60,
    "detectors": [{"name": "pixels", "options": {"foreground": True}}],
    "seed": 2,
    "budget_seconds": 1.5,
    "variant": "samples-60",
    "device": "cpu",
    "search_memory": 0.5,
    "runs": "here",
    "cache": "there",
    "trackers": ["mlflow"],
    "watch": "5%",
    "watch_budget": "20%",
    "stop_when": "exposed",
}


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as error:
        RunConfig.of(values, "run.toml")
    return str(error.value)


def test_a_written_configuration_reads_back_whole(tmp_path: Path) -> None:
    config = RunConfig.of(FULL, "test")
    assert set(FULL) == set(RunConfig.model_fields)
    assert set(FULL["data"]) == set(type(config.data).model_fields)
    config.write(tmp_path / "run.toml")
    assert RunConfig.read(tmp_path / "run.toml") == config
    assert read_toml(tmp_path / "run.toml") == FULL


def test_one_way_to_write_a_plugin_with_options() -> None:
    """In a file, a name with options is a table or the text that the command line takes."""
    short = {**FULL, "model": "copycat:contamination=0.5:transform=flip", "detectors": ["pixels:foreground=true"]}
    long = {**FULL, "model": {"name": "copycat", "options": {"contamination": "0.5", "transform": "flip"}}}
    first, second = (RunConfig.of(values, "test") for values in (short, long))
    assert first.model == second.model
    assert first.detectors[0].text == second.detectors[0].text == "pixels:foreground=true"


def test_settings_without_a_value_are_left_out_and_take_their_defaults(tmp_path: Path) -> None:
    config = RunConfig.of({"model": {"name": "vae"}, "data": {"name": "msd"}}, "test")
    config.write(tmp_path / "run.toml")
    assert "samples" not in (tmp_path / "run.toml").read_text()
    assert RunConfig.read(tmp_path / "run.toml") == config
    assert (config.seed, config.data.split_seed, config.model.preset) == (0, 0, "smoke")


def test_the_command_line_goes_on_top_of_the_file() -> None:
    given = {"model": {"name": None, "options": {"contamination": "0.1"}}, "seed": 7, "device": None}
    merged = overridden(FULL, given)
    assert merged["model"] == {
        "name": "copycat",
        "preset": "small",
        "options": {"contamination": "0.1", "transform": "flip"},
    }
    assert (merged["seed"], merged["device"], merged["data"]) == (7, "cpu", FULL["data"])
    assert FULL["seed"] == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {**FULL, "sed": 1},
            ("run.toml: there is no setting 'sed'\n  hint: did you mean 'seed'? known here: model, data, samples, "
            "detectors, seed, budget_seconds, watch, watch_budget, stop_when, variant, device, trackers, "
            "search_memory, runs, cache"),
        ),
        (
            {**FULL, "model": {"name": "ldm", "presets": "smoke"}},
            ("run.toml: there is no setting 'model.presets'\n  hint: did you mean 'preset'? known here: name, "
            "options, preset"),
        ),
        (
            {**FULL, "data": {"name": "msd", "zzz": 1}},
            ("run.toml: there is no setting 'data.zzz'\n  hint: known here: name, options, root, image_size, channels, "
            "split, split_seed, train_items, train_patients, repeat, repeat_share, trained_on, exclude, strict"),
        ),
        (
            {**FULL, "seed": "many"},
            ("run.toml: seed does not fit: Input should be a valid integer, unable to parse string as an integer\n"
            "  hint: `bench run --help` lists every setting"),
        ),
        (
            {**FULL, "data": {"name": "msd", "split": "sites"}},
            ("run.toml: data.split does not fit: Input should be 'patients', 'official' or 'images'\n"
            "  hint: `bench run --help` lists every setting"),
        ),
        (
            {"model": {"name": "ldm"}},
            "run.toml: data is missing\n  hint: name it there or on the command line",
        ),
        (
            {**FULL, "model": 3},
            ("run.toml: model does not fit: Input should be a valid dictionary or instance of ModelConfig\n"
            "  hint: `bench run --help` lists every setting"),
        ),
        (
            {**FULL, "detectors": [{"name": "pixels", "option": 1}]},
            ("run.toml: there is no setting 'detectors.0.option'\n"
            "  hint: did you mean 'options'? known here: name, options"),
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(values: dict[str, Any], message: str) -> None:
    assert refusal(values) == message


def test_a_file_may_name_model_and_data_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "vae:steps=3"\ndata = "phantom-mr"\n')
    merged = overridden(read_toml(tmp_path / "run.toml"), {"model": {"name": None, "options": {}}, "data": {}})
    assert merged == {
        "model": {"name": "vae", "options": {"steps": "3"}}, "data": {"name": "phantom-mr", "options": {}},
    }  # fmt: skip


def test_a_value_where_a_table_belongs_is_not_lost() -> None:
    with pytest.raises(UsageError) as error:
        overridden({"model": {"name": "vae", "options": "steps=3"}}, {"model": {"options": {}}})
    assert str(error.value) == (
        "the configuration gives options = 'steps=3', where a table of settings belongs\n"
        "  hint: write its settings below a heading, such as [model] or [model.options]"
    )


def test_a_missing_list_of_training_patients_is_refused_before_the_data_are_read(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "synthetic").mkdir()
    done = bench(
        "run", "--model", "folder", "--set", "path=synthetic", "--data", "phantom-mr", "--trained-on", "none.csv"
    )
    assert (done.returncode, done.stderr) == (
        3,
        (
            "error: --trained-on names none.csv, which does not exist\n"
            "  hint: give `split`, or the path of a CSV file with a column `patient` or `item`\n"
        ),
    )


def test_a_release_folder_with_files_is_refused_before_the_run(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    (tmp_path / "released" / "old.png").touch()
    done = bench("run", "--model", "gaussian", "--data", "phantom-mr", "--release", "released")
    assert (done.returncode, done.stderr) == (
        2, "error: released is not empty\n  hint: give a new folder: old samples would mix with these\n",
    )  # fmt: skip


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_toml(tmp_path / "none.toml")
    assert str(error.value) == (
        f"there is no file {tmp_path}/none.toml\n  hint: write one with: bench run ... --write-config run.toml"
    )
    (tmp_path / "bad.toml").write_text("seed = \n")
    with pytest.raises(UsageError, match=r"bad\.toml cannot be read as TOML: Invalid value \(at line 1, column 8\)"):
        read_toml(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b'device = "\xe9"\n')
    with pytest.raises(UsageError, match="cannot be read as TOML: 'utf-8' codec can't decode byte 0xe9"):
        read_toml(tmp_path / "latin.toml")


def test_a_run_of_an_older_version_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "spec.json", {"model": "ldm"})
    with pytest.raises(UsageError) as error:
        read_run(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} was written by an older version of memobench, whose runs this version does not read\n"
        "  hint: run it again with this version, or evaluate it with that one"
    )


def test_a_cache_of_an_older_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old" / "detectors").mkdir(parents=True)
    for folder, layout in ((tmp_path / "old", 1), (tmp_path / "newer", 99)):
        if layout == 99:
            write_json(folder / "layout.json", layout)
        with pytest.raises(UsageError) as error:
            require_layout(folder, "cache", ("cohorts", "detectors"))
        assert str(error.value) == (
            f"{folder} was written by another version of memobench (layout {layout}; this version reads 2)\n"
            "  hint: delete the folder, or give another one with --cache"
        )
    for _ in range(2):
        require_layout(tmp_path / "new", "cache", ("cohorts", "detectors"))
        (tmp_path / "new" / "cohorts").mkdir(exist_ok=True)


def test_the_command_line_refuses_what_names_no_model(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[data]\nname = "phantom-mr"\n')
    done = bench("run", "--config", "run.toml")
    assert (done.returncode, done.stderr) == (
        2, "error: no model was named\n  hint: give --model NAME, or --config with a file that names it\n",
    )  # fmt: skip
    done = bench("run", "--model", "ldm")
    assert (done.returncode, done.stderr) == (
        2, "error: no data was named\n  hint: give --data NAME, or --config with a file that names it\n",
    )  # fmt: skip


def test_a_written_configuration_is_the_same_run(run: Bench, bench: Bench, tmp_path: Path) -> None:
    """--write-config stops; --config does what the options would have done; seeds are neighbours of one cohort."""
    options = ("--set", "contamination=0.3", "--samples", 60, "--detector", "random-conv")
    written = run(*options, "--write-config", "run.toml")
    assert written.returncode == 0, written.stderr
    assert written.stdout == "configuration: run.toml; start it with: bench run --config run.toml\n"
    assert not (tmp_path / "runs").exists()
    assert bench("run", "--config", "run.toml").returncode == 0
    (folder,) = (tmp_path / "runs").glob("*/*/seed-0")
    assert (folder / "run.toml").read_text() == (tmp_path / "run.toml").read_text()
    again = run(*options)
    assert "fit: cached" in again.stderr.splitlines()
    other = bench("run", "--config", "run.toml", "--seed", 1)
    assert other.returncode == 0, other.stderr
    first, second = (Record.read(folder.parent / f"seed-{seed}" / "record.json") for seed in (0, 1))
    assert first.cohort == second.cohort
    assert (first.spec.seed, second.spec.seed, first.protocol, second.protocol) == (0, 1, "p2", "p2")
    name = "quality.frechet[random-conv]"
    assert first.scores[name] != second.scores[name]


def test_another_split_seed_is_another_cohort(run: Bench, tmp_path: Path) -> None:
    for options in ((), ("--split-seed", 1)):
        done = run("--samples", 40, *options)
        assert done.returncode == 0, done.stderr
    records = [Record.read(path) for path in (tmp_path / "runs").rglob("record.json")]
    assert {(record.spec.split_seed, record.protocol) for record in records} == {(0, "p2"), (1, "custom")}
    assert len({record.cohort.key for record in records}) == 2


def test_detectors_of_the_command_line_are_added_to_those_of_the_file(tmp_path: Path) -> None:
    """`--search-transforms` names one more detector: the file's own are not dropped without a word."""
    from benchmark.cli.run import _configuration

    (tmp_path / "run.toml").write_text('detectors = ["ssim"]\n[model]\nname = "vae"\n[data]\nname = "msd"\n')
    given: dict[str, Any] = {"model": {"name": None}, "data": {"name": None}, "detectors": ("pixels:transforms=flips",)}
    config = _configuration(given, tmp_path / "run.toml")
    assert [detector.text for detector in config.detectors] == ["ssim", "pixels:transforms=flips"]
    assert [one.text for one in _configuration({**given, "detectors": None}, tmp_path / "run.toml").detectors] == [
        "ssim"
    ]
