"""A digest of the code that a stage runs: of its entry points and all that they import, read from the source files.

Nothing is imported or run. A comment, a docstring or the layout of Python code does not change the digest; any other
change does. Of other files (C, CUDA, weights in a package) every byte counts.
"""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmark.core.file_digests import file_digest

PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parent
PLUGINS = ("models", "datasets")
"""Folders next to the package in a checkout; an installed package contains them."""


_remembered: dict[tuple[Path, ...], str] | None = None


@contextmanager
def remembered_digests() -> Iterator[None]:
    """While it lasts, compute the digest of the same files once: a plan of 10,000 runs needs few of them often."""
    global _remembered
    before, _remembered = _remembered, {}
    try:
        yield
    finally:
        _remembered = before


def source_digest(*entries: Path) -> str:
    """Return 16 hex digits that change with the code of these files, and of every file that they import.

    Imports of `benchmark`, of the file's own folder and of its own package are followed, also inside functions, and so
    are those of modules that Python finds elsewhere and nobody installed (PYTHONPATH, the current folder). Installed
    packages are not: the record has their versions. Imports for type checkers only never run.
    """
    if _remembered is None:
        return _digest_of(entries)
    if entries not in _remembered:
        _remembered[entries] = _digest_of(entries)
    return _remembered[entries]


def _digest_of(entries: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    # Sorted by the content too: files of two packages may have one label.
    for label, content in sorted((_label(path), _normalised(path)) for path in import_closure(*entries)):
        digest.update(f"{label}\0{content}\0".encode())
    return digest.hexdigest()[:16]


def import_closure(*entries: Path) -> frozenset[Path]:
    """Return these files and all files that importing them runs, directly or not."""
    closure: set[Path] = set()
    waiting = [entry.resolve() for entry in entries]
    while waiting:
        path = waiting.pop()
        if path not in closure:
            closure.add(path)
            waiting.extend([*_packages_above(path), *_imported(path)])
    return frozenset(closure)


def _packages_above(path: Path) -> Iterator[Path]:
    """Yield the `__init__.py` of every package that contains a file: they run before it."""
    folder = path.parent
    while (folder / "__init__.py").exists():
        yield folder / "__init__.py"
        folder = folder.parent


def core_module(name: str) -> Path:
    """Return the file of a module of this package, such as `search.engine`."""
    path = _file_of(PACKAGE, name.split("."))
    assert path is not None, name
    return path


def _label(path: Path) -> str:
    """Return a name of a file that does not depend on where the package is installed."""
    for root in (PACKAGE, CHECKOUT):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix().removeprefix("benchmark/")
    return path.relative_to(_top_package(path).parent).as_posix() if _is_in_package(path) else path.name


def _is_in_package(path: Path) -> bool:
    return (path.parent / "__init__.py").exists()


def _source(path: Path) -> bytes:
    return path.read_bytes() if path.suffix == ".py" else b""


@cache
def _parsed(source: bytes) -> ast.Module | None:
    """Parse a text once; none where it is not Python of this version, as templates in packages are."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _normalised(path: Path) -> str:
    """Return what counts of a file: its code, or a digest of its bytes."""
    code = _unparsed(_source(path)) if path.suffix == ".py" else None
    return file_digest(path) if code is None else code


@cache
def _unparsed(source: bytes) -> str | None:
    """Return the code as Python writes it: without comments, and without strings that stand alone (docstrings)."""
    if _parsed(source) is None:
        return None
    tree = ast.parse(source)  # a tree of its own, which changes below: parsing again is ten times faster than a copy
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [one for one in statements if not _text_alone(one)])
    return ast.unparse(tree)


def _text_alone(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(path: Path) -> tuple[Path, ...]:
    own = any(path.is_relative_to(root) for root in (PACKAGE, *(CHECKOUT / name for name in PLUGINS)))
    return _imported_by(path, _source(path), () if own else _search_path())


@cache
def _imported_by(path: Path, source: bytes, elsewhere: tuple[Path, ...]) -> tuple[Path, ...]:
    parsed = _parsed(source)
    if parsed is None:
        return ()
    names = [name for node in _statements(parsed) for name in _names(node, path)]
    files = (_file_of(root, parts) for name in names for root, parts in _places(name, path, elsewhere))
    return tuple(file for file in files if file is not None)


def _search_path() -> tuple[Path, ...]:
    """Return where Python looks for modules, without the folders of installed packages and of its own library."""
    places = (Path(place).resolve() for place in sys.path)
    return tuple(place for place in places if place.is_dir() and not is_installed(place) and place != CHECKOUT)


@cache
def _installed() -> tuple[Path, ...]:
    own = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(Path(place).resolve() for place in (*own, *site.getsitepackages(), site.getusersitepackages()))


def is_installed(place: Path) -> bool:
    """Return whether a file or folder is of an installed package or of Python's library."""
    return any(place.is_relative_to(root) for root in _installed()) or "site-packages" in place.parts


def _statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from _statements(other)
        else:
            yield from _statements(node)


def _names(node: ast.Import | ast.ImportFrom, path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the absolute names that a statement imports; `from a import b` may mean the module a.b."""
    if isinstance(node, ast.Import):
        yield from (tuple(alias.name.split(".")) for alias in node.names)
        return
    source = tuple(node.module.split(".")) if node.module else ()
    if node.level:
        folder = path.parents[node.level - 1]
        source = (str(folder), *source)
    yield source
    yield from ((*source, alias.name) for alias in node.names)


def _places(name: tuple[str, ...], path: Path, elsewhere: tuple[Path, ...]) -> Iterator[tuple[Path, list[str]]]:
    first, rest = name[0], list(name[1:])
    if Path(first).is_absolute():  # a relative import: its folder, resolved
        yield Path(first), rest
    elif first == "benchmark":
        yield PACKAGE, rest
        if rest[:1] and rest[0] in PLUGINS:
            yield CHECKOUT, rest
    elif not path.is_relative_to(PACKAGE):
        top = _top_package(path)
        if first == top.name:
            yield top, rest
        yield path.parent, list(name)
        for place in elsewhere:
            yield place, list(name)


def _top_package(path: Path) -> Path:
    return next(reversed([file.parent for file in _packages_above(path)]), path.parent)


def _file_of(root: Path, parts: list[str]) -> Path | None:
    place = root.joinpath(*parts)
    for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py") if parts else None):
        if candidate is not None and candidate.is_file():
            return candidate.resolve()
    return None
