"""The files with the code of a plugin: what the key of a stage digests, besides all that these files import."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, entry_points
from pathlib import Path

from benchmark.core.source_digest import PACKAGE, core_module, is_installed

NO_CODE = (".md", ".rst", ".toml", ".pyc", ".pyo")
"""Endings in the folder of a card of files that decide no result: text, and the card, whose values are settings."""

_loaded: dict[Path, set[Path]] = {}
"""For each `./file.py`, the files of the modules that were loaded when it was imported."""


def folder_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a card's folder that may decide results: code in any language, and data."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_CODE)
    return tuple(path for path in files if not _is_hidden(path.relative_to(folder)))


def own_file(path: Path) -> tuple[Path, ...]:
    """Return `./file.py` itself, and what was loaded when this process imported it: also modules whose names only
    running it tells. Imports that its text shows are followed without that.
    """
    return (path, *sorted(_loaded.get(path.resolve(), set())))


@contextmanager
def noting_what_is_loaded(path: Path) -> Iterator[None]:
    """Note which local modules are loaded in the block, which imports `./file.py`, and the modules that it imports."""
    before = set(sys.modules)
    try:
        yield
    finally:
        note_loaded(path, (sys.modules[name] for name in set(sys.modules) - before))


def note_loaded(path: Path, modules: Iterator[object]) -> None:
    """Add the files of these modules to those of `./file.py`, but for installed packages and this one."""
    named = (Path(file) for module in modules if (file := getattr(module, "__file__", None)))
    # A module that is no file may say that it is one: `__file__` of torch.ops is "_ops.py".
    files = (file.resolve() for file in named if file.is_absolute() and file.is_file())
    note_files(path, (file for file in files if not (is_installed(file) or file.is_relative_to(PACKAGE))))


def note_files(path: Path, files: Iterable[Path]) -> None:
    """Add files to those of `./file.py`: another process has loaded them when it imported it."""
    _loaded.setdefault(path.resolve(), set()).update(set(files) - {path.resolve()})


def files_of_class(kind: str, cls: type) -> tuple[Path, ...]:
    """Return the files of the code of a class that was imported; none where it was typed in."""
    try:
        file = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):
        return ()
    if file.is_relative_to(PACKAGE):
        return (file,)
    if is_installed(file) or any(_offering(kind, cls.__module__)):
        return installed_files(kind, cls.__module__)
    return own_file(file)


def installed_files(kind: str, module: str) -> tuple[Path, ...]:
    """Return the files of the installed distribution that offers a module as a plugin, and those of its package.

    An editable installation lists no files of its own: there the package of the module is all there is. A module of
    this package comes alone: what it imports is followed. Nothing is imported.
    """
    first, _, rest = module.partition(".")
    if first == PACKAGE.name:
        return (core_module(rest),)
    spec = importlib.util.find_spec(first)  # of a package inside another one, Python would import the outer one
    if spec is None:
        return ()
    listed = {file for dist in _offering(kind, module) for file in _listed(dist)}
    shared = spec.origin is None and bool(listed)  # a namespace, where other distributions have files, too
    places = () if shared else map(Path, spec.submodule_search_locations or ())
    package = {file for place in places for file in place.resolve().rglob("*")}
    own = {Path(spec.origin).resolve()} if spec.has_location and spec.origin else set()
    files = (file for file in own | package | listed if file.is_file() and file.suffix not in (".pyc", ".pyo"))
    return tuple(sorted(files))


def _offering(kind: str, module: str) -> Iterator[Distribution]:
    for point in entry_points(group=f"benchmark.{kind}"):
        if point.module == module and point.dist:
            yield point.dist


def _listed(dist: Distribution) -> Iterator[Path]:
    """Yield the files that an installation lists, without notes about itself, and scripts, which name its place."""
    for file in dist.files or ():
        if ".." not in file.parts and not file.parts[0].endswith((".dist-info", ".egg-info", ".pth")):
            yield Path(str(file.locate())).resolve()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)
