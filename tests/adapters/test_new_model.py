"""`bench models new`: what it writes runs as it is, whatever the name, and never replaces a file."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.adapters.check_model import check_model
from benchmark.adapters.new_model import FILES, TEMPLATE, class_name, write_model
from benchmark.cli.app import app
from benchmark.core.errors import BenchError, UsageError
from benchmark.core.options import build
from benchmark.plugins.registry import find_model, load_class

ROOT = Path(__file__).parents[2]
FORM = "take 2 to 40 small letters, digits and single hyphens, a letter first, such as my-model"
LONGEST = "a" + "-bcdefgh9" * 4 + "-xy"
NAMES = {
    "my-model": "MyModel", "ab": "Ab", "vae-2": "Vae2", "x3-4d": "X34d", "numpy": "Numpy", "true": "TrueModel",
    "exception": "ExceptionModel", "split": "SplitModel", "tensor": "TensorModel", "network-adapter":
    "NetworkAdapterModel", LONGEST: "ABcdefgh9Bcdefgh9Bcdefgh9Bcdefgh9Xy",
}  # fmt: skip
"""Names -> classes: the words of the template and of Python are not taken for a class."""


def called(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and message of `bench models new`."""
    done = CliRunner().invoke(app, ["models", "new", *map(str, arguments)])
    error = done.exception
    return (error.exit_code, done.stdout, str(error)) if isinstance(error, BenchError) else (
        done.exit_code, done.stdout, done.stderr,
    )  # fmt: skip


def module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_template_is_short() -> None:
    assert len((TEMPLATE / "adapter.py").read_text(encoding="utf-8").splitlines()) <= 60
    assert sorted(path.name for path in TEMPLATE.iterdir() if path.is_file()) == sorted(FILES)


def test_what_the_command_writes_and_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, message = called("lung-vae")
    assert (code, message) == (0, "")
    assert printed == (
        "lung_vae/adapter.py: the model\n"
        "lung_vae/card.toml: what lists say of it, and its options by preset\n"
        "lung_vae/test_lung_vae.py: a test for pytest\n"
        "check it: bench check ./lung_vae/adapter.py:LungVae\n"
        "run it:   bench run --model ./lung_vae/adapter.py:LungVae --data phantom-cxr\n"
    )
    place = tmp_path / "new place"
    code, printed, message = called("lung-vae", "--out", place)
    assert (code, message) == (0, "")
    assert printed.splitlines()[3] == f"check it: bench check '{place / 'lung_vae' / 'adapter.py'}:LungVae'"
    assert {path.name for path in (place / "lung_vae").iterdir()} == {"adapter.py", "card.toml", "test_lung_vae.py"}


def test_any_name_gives_a_sound_model(tmp_path: Path) -> None:
    for name, cls in NAMES.items():
        adapter, *_ = write_model(name, tmp_path)
        card = find_model(f"{adapter}:{cls}")
        assert (card.name, card.folder, card.toy, card.presets["smoke"].image_size) == (name, "", {"steps": 5}, 64)
        model = build(load_class("models", card), {"steps": "7"}, what=name)
        assert (type(model).__name__, model.name, model.steps) == (cls, name, 7)
        text = "".join(path.read_text(encoding="utf-8") for path in adapter.parent.iterdir() if path.is_file())
        assert name == "my-model" or not any(word in text for word in ("my-model", "my_model", "MyModel"))
    for command in (["check"], ["check", "--isolated"], ["format", "--check"]):
        ours = [] if "--isolated" in command else ["--config", str(ROOT / "pyproject.toml")]
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *ours, "."]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_class_name_of_a_name_is_a_python_name() -> None:
    for name in ("i9", "o-o", "class-x", "import-2", "none", "false", "int", "my", "path", "nn"):
        cls = class_name(name)
        assert cls.isidentifier()
        compile(f"class {cls}: pass", name, "exec")
    assert class_name("path") == "PathModel"


def test_the_written_test_passes_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one check alone; tests/runs/test_tutorial.py runs all of them, by `bench check`."""
    adapter, _, test = write_model("lung-vae", tmp_path)
    written = module_of(test)
    monkeypatch.setattr(written, "check_model", partial(check_model, only=["range and shape"]))
    written.test_it_keeps_the_contract()
    text = adapter.read_text(encoding="utf-8")
    adapter.write_text(text.replace("        seed_all(seed)\n", "        raise SystemExit(3)\n"), encoding="utf-8")
    with pytest.raises(AssertionError) as error:
        written.test_it_keeps_the_contract()
    message = "fault: trains (all cohorts): it called sys.exit(3): return, or raise an error"
    assert str(error.value).splitlines()[0] == message


# Refusals


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("My_Model", "my-model"), ("my model", "my-model"), ("a/b", "a-b"), ("../lung", "lung"),
        ("/tmp/lung", "tmp-lung"), ("lung.py", "lung-py"), ("lung--vae", "lung-vae"), ("lung-", "lung"), ("3d-vae", ""),
        ("x", ""), ("", ""), ("..", ""), ("a" * 41, ""), ("lüng", ""), ("肺", ""), ("lung\n", "lung"),
        ("lung\x1b[31m", ""), ("--x", ""), ("lung:vae", "lung-vae"), ("a\\b", ""), ("²a", ""),
    ],
)  # fmt: skip
def test_names_that_do_not_fit(tmp_path: Path, name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as error:
        write_model(name, tmp_path)
    meant = f"did you mean {nearest}? " if nearest else ""
    assert str(error.value) == f"{name!r} cannot be the name of a model\n  hint: {meant}{FORM}"
    assert list(tmp_path.iterdir()) == []


def test_keywords_packages_and_names_of_models_are_refused(tmp_path: Path) -> None:
    assert called("lambda", "--out", tmp_path) == (
        2, "", "lambda is a keyword of Python\n  hint: take a name that can be imported, such as lambda-model",
    )  # fmt: skip
    assert called("torch", "--out", tmp_path) == (
        2, "", "torch is a package that models import\n  hint: take another name, such as torch-model",
    )  # fmt: skip
    assert called("ldm-text", "--out", tmp_path) == (
        2, "", "there is a model named ldm-text already\n  hint: take another name: `bench models` lists all",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "a_file").write_text("mine")
    (tmp_path / "a_link").symlink_to(tmp_path / "nowhere")
    for name in ("a-folder", "a-file", "a-link"):
        with pytest.raises(UsageError) as error:
            write_model(name, tmp_path)
        assert str(error.value) == (
            f"there is already a file or folder {tmp_path / name.replace('-', '_')}\n"
            "  hint: take another name or --out: nothing is overwritten"
        )
    assert list((tmp_path / "a_folder").iterdir()) == []
    assert (tmp_path / "a_file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_places_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UsageError) as error:
            write_model("lung-vae", out)
        assert str(error.value) == f"--out {out} is not a folder\n  hint: give a folder, which may be new"
    with pytest.raises(UsageError) as error:
        write_model("lung-vae", tmp_path / "a:b")
    assert str(error.value) == (
        f"{tmp_path / 'a:b' / 'lung_vae'} has a colon, behind which --model reads a class\n  hint: choose another --out"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_filled_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.adapters.new_model._copy", full)
    with pytest.raises(BenchError) as error:
        write_model("lung-vae", tmp_path)
    assert error.value.exit_code == 6
    assert str(error.value) == (
        f"the disk is full: {tmp_path / 'lung_vae'} could not be written\n"
        "  hint: free some space and run the same command again"
    )
    assert list(tmp_path.iterdir()) == []
