"""`bench models new`: the adapter, the card and the test of a new model, from the files of `template/`."""

from __future__ import annotations

import builtins
import keyword
import re
import shutil
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.core.files import machine_error
from benchmark.plugins.registry import listing

TEMPLATE = Path(__file__).with_name("template")
"""A model that runs as it is: the checks of style, types and contract are those of any other file."""
NAME, PACKAGE, CLASS = "my-model", "my_model", "MyModel"
"""What the template is called, in its three spellings."""
FILES = ("adapter.py", "card.toml", f"test_{PACKAGE}.py")
FITS = re.compile(r"(?=.{2,40}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A name: 2 to 40 characters. It is that of a folder, and in CamelCase that of a class."""


def write_model(name: str, out: Path) -> list[Path]:
    """Write the files of a new model of this name into a new folder under `out`, and return their paths.

    Raises UsageError for a name that does not fit or is taken, and for a folder that exists: no file is overwritten;
    MachineError where it cannot be written.
    """
    _require_free(name)
    folder = out / name.replace("-", "_")
    spellings = {NAME: name, PACKAGE: folder.name, CLASS: class_name(name)}
    _make(folder)
    try:
        return [_copy(file, folder, spellings) for file in FILES]
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # it was made here, a moment ago
        raise machine_error(error, folder) or error from None


def class_name(name: str) -> str:
    """Return a name in CamelCase; with `Model` at its end where Python or the template has another use of the word."""
    camel = "".join(part.capitalize() for part in name.split("-"))
    taken = {*re.findall(r"\w+", _adapter()), *dir(builtins), *keyword.kwlist} - {CLASS}
    return f"{camel}Model" if camel in taken else camel


def _adapter() -> str:
    return (TEMPLATE / "adapter.py").read_text(encoding="utf-8")


def _require_free(name: str) -> None:
    """Raise UsageError for what cannot be the name of a new model."""
    if not FITS.fullmatch(name):
        nearest = re.sub(r"[\s_./:-]+", "-", name.lower()).strip("-")
        meant = f"did you mean {nearest}? " if FITS.fullmatch(nearest) else ""
        raise UsageError(
            f"{name!r} cannot be the name of a model",
            f"{meant}take 2 to 40 small letters, digits and single hyphens, a letter first, such as {NAME}",
        )
    if keyword.iskeyword(name):
        raise UsageError(f"{name} is a keyword of Python", f"take a name that can be imported, such as {name}-model")
    if name in re.findall(r"^(?:from|import) (\w+)", _adapter(), re.MULTILINE):  # tools would take its folder for it
        raise UsageError(f"{name} is a package that models import", f"take another name, such as {name}-model")
    if name in listing("models").cards:
        raise UsageError(f"there is a model named {name} already", "take another name: `bench models` lists all")


def _make(folder: Path) -> None:
    """Create a folder. Raises UsageError where its name is taken, or its place is no folder; MachineError."""
    if ":" in str(folder):
        raise UsageError(f"{folder} has a colon, behind which --model reads a class", "choose another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except (FileExistsError, NotADirectoryError) as error:
        if folder.parent.is_dir():
            raise UsageError(
                f"there is already a file or folder {folder}", "take another name or --out: nothing is overwritten"
            ) from None
        raise UsageError(f"--out {folder.parent} is not a folder", "give a folder, which may be new") from error
    except OSError as error:
        raise machine_error(error, folder) or error from None


def _copy(file: str, folder: Path, spellings: dict[str, str]) -> Path:
    """Write a file of the template with the names of the new model, and return its path."""

    def renamed(text: str) -> str:
        return re.sub("|".join(spellings), lambda match: spellings[match[0]], text)

    path = folder / renamed(file)
    with path.open("x", encoding="utf-8") as new:
        new.write(renamed((TEMPLATE / file).read_text(encoding="utf-8")))
    return path
