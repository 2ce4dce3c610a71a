"""Check every file of a run folder or of a cache against the digest with which it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.cohorts.store import FILES, FINISHED, PIXELS, TABLE, open_stored
from benchmark.core.errors import BadDataError, BenchError
from benchmark.core.sealed import digest, is_intact, sealed_place, seals, unsealed_files
from benchmark.core.stages import STATUS, read_status
from benchmark.core.unread_files import is_unread
from benchmark.runs.inventory import is_locked
from benchmark.runs.run_folders import CONFIG, RECORD, SUMMARY, require_run_folder

Kind = Literal["changed", "missing", "not readable", "not known", "in use"]

ADVICE: dict[Kind, str] = {
    "changed": "its run makes it again: bench run --config {config}",
    "missing": "its run makes it again: bench run --config {config}",
    "not readable": "look at its permissions, or check the disk",
    "not known": "memobench has not written it: move it elsewhere, or delete it",
    "in use": "a process works on it: check it again when that has ended",
}
OF_PUBLIC = {
    RECORD: "do not publish it; evaluate the run again: bench evaluate {folder}",
    SUMMARY: "do not publish it; write it again: bench report {folder}",
}
"""For public files of a run, which others read."""
OF_CACHE: dict[Kind, str] = {
    **ADVICE,
    "changed": "delete it: the next run that needs it makes it again",
    "missing": "the next run that needs it makes it again",
}
WORKING_FOLDER = ("fit", "training")
"""The folder of a run in which an adapter keeps what it needs while it trains, under names of its own."""


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was written."""

    path: Path
    kind: Kind
    advice: str


@dataclass(frozen=True)
class Verified:
    """What was compared."""

    findings: tuple[Finding, ...]
    files: int
    """Files that are as they were written."""
    unread: int
    """Files without a digest, which decide no result: logs, figures, locks, and what a plugin keeps for itself."""


def verify_run(folder: Path) -> Verified:
    """Check a run folder. Raises UsageError for what is no run folder."""
    require_run_folder(folder)
    advice = {kind: text.format(config=folder / CONFIG) for kind, text in ADVICE.items()}
    if is_locked(folder):
        return Verified((Finding(folder, "in use", advice["in use"]),), 0, 0)
    verified = _verified(_of_stages(folder), folder, advice, WORKING_FOLDER)
    return replace(verified, findings=tuple(_with_advice(one, folder) for one in verified.findings))


def _with_advice(finding: Finding, folder: Path) -> Finding:
    public = OF_PUBLIC.get(finding.path.name) if finding.path.parent == folder else None
    return replace(finding, advice=public.format(folder=folder)) if public else finding


def verify_cache(cache: Path) -> Iterator[tuple[Path, Verified]]:
    """Check each folder of a cache: prepared images one by one, what was fitted to them, and remembered digests."""
    for part in sorted(path for path in cache.iterdir() if path.is_dir()) if cache.is_dir() else ():
        if part.name == "cohorts":
            for folder in sorted(path for path in part.glob("*-*") if path.is_dir() and not _is_leftover(path)):
                yield folder, _cohort(folder)
            strays = [path for path in part.iterdir() if _is_leftover(path) or path.is_file()]
            yield part, _sorted_out([path for path in strays if not is_unread(path, part)], OF_CACHE)
        elif part.name == "embedded":  # simulated images: a run digests them as it does any other source
            yield part, Verified((), 0, sum(1 for path in part.rglob("*") if path.is_file()))
        else:
            yield part, _verified({}, part, OF_CACHE)


def _of_stages(folder: Path) -> dict[Path, str]:
    """Return the digests that a run's status has of what its finished stages wrote."""
    try:
        status = read_status(folder / STATUS)
    except (BadDataError, OSError):  # it is named as changed, or is of a run that has not begun
        return {}
    return {folder / name: value for entry in status.values() for name, value in entry.get("outputs", {}).items()}


def _verified(
    written: dict[Path, str], folder: Path, advice: dict[Kind, str], working: tuple[str, ...] = ()
) -> Verified:
    places = {place for seal in folder.rglob(".*") if (place := sealed_place(seal))} | written.keys()
    places -= {place for place in written if place.name == SUMMARY and not place.exists()}  # a page may be deleted
    findings, intact = [], 0
    for place in sorted(places):
        kind = _kind_of(place, written)
        if kind:
            findings.append(Finding(place, kind, advice[kind]))
        else:
            intact += sum(1 for path in place.rglob("*") if path.is_file()) if place.is_dir() else 1
    others = [path for path in unsealed_files(folder) if path not in places]
    strays = [path for path in others if not is_unread(path, folder) and not _is_in(path, folder, working)]
    findings += [Finding(path, "not known", advice["not known"]) for path in strays]
    return Verified(tuple(findings), intact, len(others) - len(strays))


def _kind_of(place: Path, written: dict[Path, str]) -> Kind | None:
    """Return what is wrong with a file or folder; None where it is as it was written."""
    try:
        if not place.exists():
            return "missing"
        return None if _as_written(place, written) else "changed"
    except OSError:  # one such file must not hide the others
        return "not readable"


def _as_written(place: Path, written: dict[Path, str]) -> bool:
    """Whether a file or folder has the digest next to it, and the one that the status of its run has.

    A record always has the latter.
    """
    given = [*([seals(place)] if place.name != SUMMARY else []), *([(written[place],)] if place in written else [])]
    known = place.name != RECORD or place in written
    return known and bool(given) and all(digest(place) in digests for digests in given)


def _cohort(folder: Path) -> Verified:
    """Check prepared images: their table, and each image by the digest that the table has of it."""
    names = (FINISHED, TABLE, FILES)
    damaged = [folder / name for name in names if not is_intact(folder / name)]
    stored = None if damaged else open_stored(folder)
    if stored is None and not damaged:
        damaged = [folder / PIXELS]
    if stored is not None and not stored.pixels.intact():  # type: ignore[attr-defined]  # they come from disk
        damaged = [folder / PIXELS]
    known = {folder / name for name in (*names, PIXELS)}
    strays = [path for path in unsealed_files(folder) if path not in known and not is_unread(path, folder)]
    findings = [_of_cache(path, "changed" if path.exists() else "missing") for path in damaged]
    findings += [_of_cache(path, "not known") for path in strays]
    return Verified(tuple(findings), len(known) - len(damaged), 0)


def _of_cache(path: Path, kind: Kind) -> Finding:
    return Finding(path, kind, OF_CACHE[kind])


def _sorted_out(strays: Iterable[Path], advice: dict[Kind, str]) -> Verified:
    return Verified(tuple(Finding(path, "not known", advice["not known"]) for path in sorted(strays)), 0, 0)


def _is_in(path: Path, folder: Path, working: tuple[str, ...]) -> bool:
    return bool(working) and path.is_relative_to(folder.joinpath(*working))


def _is_leftover(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


def caches_of(folders: Iterable[Path], default: Path) -> list[Path]:
    """Return the caches of these runs, and this one where it exists, each once."""
    from benchmark.runs.config import RunConfig
    from benchmark.runs.run_folders import read_run

    caches = [default] if default.is_dir() else []
    for folder in folders:
        try:
            caches.append(RunConfig.of(read_run(folder), str(folder / CONFIG)).cache)
        except BenchError:  # it is reported as changed
            continue
    return list(dict.fromkeys(caches))
