"""Cards, plugins and files: found without importing them, and one broken one never hides the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmark.datasets
import benchmark.detectors
import benchmark.models
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.options import build
from benchmark.core.public_text import hidden
from benchmark.plugins.public_names import public_name
from benchmark.plugins.registry import (
    DatasetCard,
    ModelCard,
    find,
    find_dataset,
    find_detector,
    find_model,
    listing,
    load_class,
    source_files,
)

ROOT = Path(__file__).parents[2]
CARD = 'name = "{name}"\nentry = "adapter:Thing"\n'
ADAPTER = "from dataclasses import dataclass\n\n@dataclass\nclass Thing:\n    steps: int = 3\n"
MODULES = """
import json, sys
from benchmark.cli.app import run_command_line
sys.argv = ["bench", *sys.argv[1:]]
assert run_command_line() == 0
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    listing.cache_clear()
    yield
    listing.cache_clear()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a model into a folder that stands behind `benchmark.models`: models("folder", card=..., adapter=...)."""
    place = tmp_path / "models"
    monkeypatch.setattr(benchmark.models, "__path__", [*benchmark.models.__path__, str(place)])

    def write(folder: str, card: str | bytes | None = None, adapter: str = ADAPTER) -> Path:
        home = place / folder
        home.mkdir(parents=True)
        text = CARD.format(name=folder) if card is None else card
        (home / "card.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        (home / "adapter.py").write_text(adapter)
        return home

    return write


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Install a package with entry points as pip would: plugin("[benchmark.models]\\nmine = mod:Thing")."""

    def write(entry_points: str, **modules: str) -> Path:
        place = tmp_path / "site"
        info = place / "acme_models-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name, text in modules.items():
            (place / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(place))
        return place

    return write


def bench(*arguments: str) -> tuple[str, set[str]]:
    """Call the command line in a new process; return what it prints and which modules it imported."""
    done = subprocess.run([sys.executable, "-c", MODULES, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


# Listing


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("models", ("ldm", "copycat", "2D, 3D", "smoke")),
        ("datasets", ("brats20", "cxr-pneumonia", "phantom-mr", "MR")),
        ("detectors", ("copy", "pixels", "p2", "frozen")),
    ],
)
def test_lists_import_no_torch(command: str, shown: tuple[str, ...]) -> None:
    printed, modules = bench(command)
    assert all(word in printed for word in shown)
    assert not {"torch", "numpy", "monai", "diffusers", "pandas"} & modules


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    printed, modules = bench("--help")
    assert all(command in printed for command in ("run", "evaluate", "models", "datasets", "leaderboard"))
    assert not {"torch", "numpy", "pydantic", "rich"} & modules


def test_the_checkout_s_own_cards_are_without_problems() -> None:
    assert listing("models").problems == ()
    assert listing("datasets").problems == ()
    assert listing("detectors").problems == ()
    assert list(listing("models").cards) == sorted(listing("models").cards)


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ('entry = "adapter:Thing"\n', "name: Field required"),
        ('name = "x"\nentry = "adapter:Thing"\ncolour = "red"\n', "colour: Extra inputs are not permitted"),
        (
            'name = "x"\nentry = "a:B"\n[presets.smoke]\nstep = 3\n',
            "presets.smoke.step: Extra inputs are not permitted",
        ),
        (b'name = "\xff"\n', "'utf-8' codec can't decode byte 0xff in position 8: invalid start byte"),
    ],
)
def test_a_broken_card_is_a_listed_problem(models: Write, card: str | bytes, problem: str) -> None:
    known = set(listing("models").cards)
    listing.cache_clear()
    home = models("broken", card)
    models("fine")
    found = listing("models")
    assert found.problems == (f"{home / 'card.toml'} is not a usable card: {problem}",)
    assert set(found.cards) == known | {"fine"}


def test_a_broken_card_of_a_detector_is_a_listed_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(listing("detectors").cards)
    listing.cache_clear()
    monkeypatch.setattr(benchmark.detectors, "__path__", [*benchmark.detectors.__path__, str(tmp_path)])
    (tmp_path / "cards").mkdir()
    path = tmp_path / "cards" / "mine.toml"
    path.write_text('name = "mine"\nentry = "mine:Options"\npresets = 3\n')
    assert listing("detectors").problems == (f"{path} is not a usable card: presets: Extra inputs are not permitted",)
    assert set(listing("detectors").cards) == known


def test_the_code_of_a_detector_is_its_own_module() -> None:
    (path,) = source_files("detectors", find_detector("random-conv"))
    assert path == ROOT / "benchmark" / "detectors" / "random_conv.py"


def test_a_card_that_is_not_toml_is_a_listed_problem(models: Write) -> None:
    home = models("broken", "name = \n")
    (problem,) = listing("models").problems
    assert problem.startswith(f"{home / 'card.toml'} is not a usable card: ")
    assert "line 1" in problem


def test_two_cards_of_one_name(models: Write) -> None:
    first = models("a-first", CARD.format(name="twice"))
    second = models("b-second", CARD.format(name="twice"))
    found = listing("models")
    assert found.cards["twice"].folder == str(first)
    assert found.problems == (f"{second} reuses the name 'twice' of {first}: ignored",)


def test_problems_are_printed_and_the_rest_listed(
    models: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.cli.models import models_command

    home = models("broken", "entry = 'adapter:Thing'\n")
    models_command(SimpleNamespace(invoked_subcommand=None))  # type: ignore[arg-type]
    printed = capsys.readouterr()
    assert printed.err == f"problem: {home / 'card.toml'} is not a usable card: name: Field required\n"
    assert "ldm" in printed.out


# Finding


def test_unknown_names() -> None:
    with pytest.raises(UsageError) as error:
        find_model("copycatt")
    assert str(error.value) == (
        "there is no model named 'copycatt'\n"
        "  hint: did you mean 'copycat'? `bench models` lists all; your own: --model ./file.py:Class"
    )
    with pytest.raises(UsageError) as error:
        find_dataset("zzz")
    assert str(error.value) == (
        "there is no dataset named 'zzz'\n  hint: `bench datasets` lists all; your own: --data ./file.py:Class"
    )


def test_a_card_s_class_is_imported_when_asked_for(models: Write) -> None:
    models("imported_late")
    card = find_model("imported_late")
    assert "benchmark.models.imported_late.adapter" not in sys.modules
    cls = load_class("models", card)
    assert cls.__module__ == "benchmark.models.imported_late.adapter"
    assert build(cls, {"steps": "5"}, what="imported_late").steps == 5


def test_presets_are_read_from_the_card(models: Write) -> None:
    models("preset_card", CARD.format(name="preset_card") + "[presets.smoke]\nimage_size = 32\nset = {steps = 4}\n")
    preset = find_model("preset_card").presets["smoke"]
    assert (preset.image_size, preset.volume_size, preset.samples, preset.set) == (32, None, 1000, {"steps": 4})


def test_own_cards_have_importable_classes() -> None:
    assert load_class("models", find_model("copycat")).__name__ == "Copycat"
    assert load_class("datasets", find_dataset("cxr-pneumonia")).__name__ == "CxrPneumonia"


# Files


def test_a_class_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER)
    card = find("models", f"{tmp_path / 'mine.py'}:Thing")
    assert isinstance(card, ModelCard)
    assert (card.name, card.summary) == ("thing", f"from {tmp_path / 'mine.py'}")
    assert build(load_class("models", card), {}, what="thing").steps == 3
    assert isinstance(find("datasets", f"{tmp_path / 'mine.py'}:Thing"), DatasetCard)


def test_a_file_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine2.py").write_text(ADAPTER)
    monkeypatch.chdir(tmp_path)
    assert load_class("models", find("models", "./mine2.py:Thing")).__name__ == "Thing"


def test_a_missing_file() -> None:
    with pytest.raises(UsageError) as error:
        load_class("models", find("models", "./nowhere.py:Thing"))
    assert str(error.value) == (
        "there is no file ./nowhere.py\n  hint: give the path of a Python file, then a colon and a class name"
    )


def test_a_missing_class(tmp_path: Path) -> None:
    path = tmp_path / "mine3.py"
    path.write_text(ADAPTER)
    with pytest.raises(AdapterError) as error:
        load_class("models", find("models", f"{path}:Nope"))
    assert str(error.value) == f"{path} has no class 'Nope'\n  hint: check the name behind the colon"


IMPORT_HINT = "\n  hint: install what it needs, or fix it: the rest of memobench works without it"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import not_installed_here", "ModuleNotFoundError: No module named 'not_installed_here'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_fails_at_import(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "fails.py"
    path.write_text(text)
    with pytest.raises(AdapterError) as error:
        load_class("models", find("models", f"{path}:Thing"))
    assert str(error.value) == f"thing could not be imported: {reason}{IMPORT_HINT}"


def test_a_file_that_is_not_python(tmp_path: Path) -> None:
    path = tmp_path / "fails.py"
    path.write_text("def (:\n")
    with pytest.raises(AdapterError, match="thing could not be imported: SyntaxError: "):
        load_class("models", find("models", f"{path}:Thing"))


@pytest.mark.parametrize("text", ["open('weights-of-mine.bin')", "import math\nmath.no_such_name"])
def test_a_file_s_own_missing_file_or_attribute_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fails.py"
    path.write_text(text)
    with pytest.raises((AdapterError, UsageError), match="thing could not be imported: "):
        load_class("models", find("models", f"{path}:Thing"))


OWN_CARD = 'name = "lung-vae"\nentry = "mine:Thing"\nlicence = "Apache-2.0"\n[presets.smoke]\nimage_size = 32\n'


FRACTION = "presets.smoke.samples: Input should be a valid integer, got a number with a fractional part"


def test_a_card_next_to_the_file_describes_its_class(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER)
    (tmp_path / "other.py").write_text(ADAPTER)
    (tmp_path / "card.toml").write_text(OWN_CARD)
    name = f"{tmp_path / 'mine.py'}:Thing"
    card = find_model(name)
    assert (card.name, card.licence, card.presets["smoke"].image_size) == ("lung-vae", "Apache-2.0", 32)
    assert (card.entry, card.folder) == (name, "")  # with a folder it would be one of the package
    assert public_name("models", card) == hidden("lung-vae", "own")
    assert find_model(f"{tmp_path / 'mine.py'}:Other").name == "other"
    assert find_model(f"{tmp_path / 'other.py'}:Thing").licence == ""
    assert find_dataset(name).name == "thing"
    assert find_model(f"{tmp_path / 'none.py'}:Thing").name == "thing"


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (OWN_CARD + "samples = 0.5\n", FRACTION),
        (OWN_CARD.replace("lung-vae", "../lung"), "name: '../lung' is not small letters, digits, hyphens"),
        (OWN_CARD.replace("lung-vae", "Lung"), "name: 'Lung' is not small letters, digits, hyphens"),
    ],
)  # fmt: skip
def test_a_broken_card_next_to_the_file(tmp_path: Path, card: str, problem: str) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER)
    (tmp_path / "card.toml").write_text(card)
    with pytest.raises(AdapterError) as error:
        find_model(f"{tmp_path / 'mine.py'}:Thing")
    hint = "fix it, or remove it: a model may have none"
    assert str(error.value) == f"{tmp_path / 'card.toml'} is not a usable card: {problem}\n  hint: {hint}"


# Plugins


def test_an_entry_point_has_the_card_next_to_its_module(plugin: Write) -> None:
    known = set(listing("models").cards)
    listing.cache_clear()
    place = plugin("[benchmark.models]\nlungs = acme_pkg.mine:Thing\nother = acme_pkg.mine:Other\n")
    (place / "acme_pkg").mkdir()
    (place / "acme_pkg" / "mine.py").write_text(ADAPTER)
    (place / "acme_pkg" / "card.toml").write_text(OWN_CARD)
    card = find_model("lungs")
    assert (card.name, card.licence, card.entry, card.folder) == ("lungs", "Apache-2.0", "acme_pkg.mine:Thing", "")
    assert public_name("models", card) == hidden("lungs", "own")
    assert find_model("other").summary == "from acme-models"
    assert "acme_pkg.mine" not in sys.modules
    listing.cache_clear()
    (place / "acme_pkg" / "card.toml").write_text(OWN_CARD + "samples = 0.5\n")
    assert set(listing("models").cards) == known | {"other"}
    (problem,) = listing("models").problems
    assert problem.startswith(f"{place / 'acme_pkg' / 'card.toml'} is not a usable card: presets.smoke.samples: ")


def test_an_entry_point_is_listed_without_being_imported(plugin: Write) -> None:
    plugin("[benchmark.models]\nacme = acme_listed:Thing\n", acme_listed=ADAPTER)
    card = find_model("acme")
    assert (card.entry, card.summary) == ("acme_listed:Thing", "from acme-models")
    assert "acme_listed" not in sys.modules
    assert build(load_class("models", card), {"steps": "9"}, what="acme").steps == 9
    assert "acme" not in listing("datasets").cards


def test_an_entry_point_of_a_data_set(plugin: Write) -> None:
    plugin("[benchmark.datasets]\nacme-data = acme_data:Thing\n", acme_data=ADAPTER)
    assert load_class("datasets", find_dataset("acme-data")).__name__ == "Thing"


def test_an_entry_point_of_a_detector(plugin: Write) -> None:
    points = "acme-detector = acme_detector:Thing\npixels = acme_detector:Thing"
    plugin(f"[benchmark.detectors]\n{points}\n", acme_detector=ADAPTER)
    assert load_class("detectors", find_detector("acme-detector")).__name__ == "Thing"
    assert listing("detectors").problems == (
        "acme_detector:Thing reuses the name 'pixels' of benchmark.detectors.pixels:Options: ignored",
    )


def test_an_entry_point_that_cannot_be_imported_hides_nothing(plugin: Write) -> None:
    known = set(listing("models").cards)
    listing.cache_clear()
    plugin("[benchmark.models]\nacme = acme_absent:Thing\n")
    assert set(listing("models").cards) == known | {"acme"}
    with pytest.raises(AdapterError) as error:
        load_class("models", find_model("acme"))
    assert str(error.value) == (
        f"acme could not be imported: ModuleNotFoundError: No module named 'acme_absent'{IMPORT_HINT}"
    )


def test_an_entry_point_cannot_take_a_name_of_ours(plugin: Write) -> None:
    ours = find_model("ldm").folder
    listing.cache_clear()
    plugin("[benchmark.models]\nldm = acme_ldm:Thing\n", acme_ldm=ADAPTER)
    assert find_model("ldm").folder == ours
    assert listing("models").problems == (f"acme_ldm:Thing reuses the name 'ldm' of {ours}: ignored",)
