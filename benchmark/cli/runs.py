"""`bench runs`: the run folders on this disk."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.options import CACHE_HELP, Json

if TYPE_CHECKING:
    from benchmark.runs.inventory import RunEntry

runs_app = App(no_args_is_help=True)

Runs = Annotated[Path, typer.Option("--runs", help="Where run folders are.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@runs_app.callback()
def runs_command() -> None:
    """List, show, check and remove run folders; say what may go."""


@runs_app.command("list")
def list_command(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """List the run folders with state and disk use."""
    from benchmark.cli.tables import print_json, print_table
    from benchmark.runs.inventory import list_runs

    entries = list_runs(runs)
    if as_json:
        print_json([_json(entry) for entry in entries])
        return
    rows = [(str(entry.folder), entry.state, _size(entry.bytes), _time(entry.changed)) for entry in entries]
    total = _size(sum(entry.bytes for entry in entries))
    print_table(f"{len(entries)} runs, {total}", ("folder", "state", "disk", "last change (UTC)"), rows)


@runs_app.command("show")
def show_command(
    folder: Annotated[Path, typer.Argument(help="A run folder, or the folder of a sweep.")], as_json: Json = False
) -> None:
    """Show the configuration, the stages and the disk use of a run; of a sweep its means and trend tests."""
    from benchmark.cli.tables import print_json, print_table
    from benchmark.runs.sweeps.folder import CELLS_FILE

    if (folder / CELLS_FILE).exists():
        from benchmark.cli.sweep_tables import print_outcome

        print_outcome(folder, as_json=as_json)
        return
    from benchmark.core.errors import BadDataError
    from benchmark.core.stages import STATUS, read_status
    from benchmark.runs.inventory import part_bytes, read_entry

    entry, status = read_entry(folder), {}
    if (folder / STATUS).exists():
        with suppress(BadDataError):  # the state says so
            status = read_status(folder / STATUS)
    parts = part_bytes(folder)
    if as_json:
        print_json(_json(entry) | {"stages": status, "parts": parts})
        return
    rows = [("state", entry.state), *([("error", entry.error)] if entry.error else [])]
    rows += [(f"stage {name}", _stage(values)) for name, values in status.items()]
    rows += [(f"disk: {name}", _size(size)) for name, size in parts.items() if size]
    if entry.config is not None:
        rows += [(name, str(value)) for name, value in _flat(entry.config.model_dump(mode="json", exclude_none=True))]
    print_table(str(folder), ("", ""), rows)


@runs_app.command("rm")
def remove_command(
    folders: Annotated[list[Path], typer.Argument(help="Run folders.")], runs: Runs = Path("runs"), yes: Yes = False
) -> None:
    """Remove run folders with all that they hold; a run that a process works on is refused."""
    from benchmark.core.errors import MachineError
    from benchmark.runs.inventory import is_locked, read_entry, remove_runs

    entries = [read_entry(folder) for folder in folders]
    for entry in entries:
        if is_locked(entry.folder):
            raise MachineError(f"a process is working on {entry.folder}", "stop it first, or wait for it")
        echo(f"{entry.folder}: {entry.state}, {_size(entry.bytes)}")
    if not yes:
        typer.confirm(f"remove {len(entries)} run{'s' * (len(entries) > 1)}?", abort=True)
    remove_runs(folders, runs)
    echo(f"removed: {len(entries)}")


@runs_app.command("gc")
def gc_command(
    runs: Runs = Path("runs"),
    cache: Annotated[Path | None, typer.Option("--cache", help=CACHE_HELP)] = None,
    yes: Yes = False,
) -> None:
    """Say what may go: unfinished runs, checkpoints of finished trainings, caches that no run uses; ask, and remove."""
    from benchmark.cli.tables import print_table
    from benchmark.core.files import cache_folder
    from benchmark.runs.inventory import removable, remove

    entries = removable(runs, cache_folder(cache))
    if not entries:
        echo("nothing may go: all runs are finished, and all caches are used")
        return
    total = _size(sum(entry.bytes for entry in entries))
    rows = [(str(entry.path), entry.why, _size(entry.bytes)) for entry in entries]
    print_table(f"{len(entries)} may go, {total}", ("path", "why", "disk"), rows)
    if not yes:
        typer.confirm("remove all of these?", abort=True)
    for entry in entries:
        remove(entry, runs)
    echo(f"removed: {len(entries)}, {total}")


@runs_app.command("verify")
def verify_command(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All run folders in --runs.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also the caches of these runs, and the default one.")] = False,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Compare every file with its digest; name each that changed, is missing, or is not known (exit code 4)."""
    from benchmark.cli.tables import print_json
    from benchmark.core.errors import BadDataError, UsageError
    from benchmark.core.files import cache_folder
    from benchmark.runs.inventory import run_folders
    from benchmark.runs.verify import caches_of, verify_cache, verify_run

    chosen = [*(folders or []), *(run_folders(runs) if every else [])]
    if not (chosen or every or cache):
        raise UsageError("nothing to check was named", "give a run folder, --all, or --cache")
    checked = [(folder, verify_run(folder)) for folder in chosen]
    for place in caches_of(chosen, cache_folder()) if cache else ():
        checked += list(verify_cache(place))
    findings = [finding for _, verified in checked for finding in verified.findings]
    intact, unread = (sum(getattr(verified, name) for _, verified in checked) for name in ("files", "unread"))
    if as_json:
        shown = [{"path": str(one.path), "kind": one.kind, "advice": one.advice} for one in findings]
        print_json({"intact": not findings, "files": intact, "without_digest": unread, "findings": shown})
    else:
        for one in findings:
            echo(f"{one.path}: {one.kind}; {one.advice}")
        echo(f"{intact} files are as they were written; {unread} without a digest decide no result")
    if findings:
        raise typer.Exit(BadDataError.exit_code)


def _json(entry: RunEntry) -> dict[str, Any]:
    return {
        "folder": str(entry.folder), "state": entry.state, "error": entry.error, "bytes": entry.bytes,
        "changed": _time(entry.changed),
        "config": None if entry.config is None else entry.config.model_dump(mode="json", exclude_none=True),
    }  # fmt: skip


def _stage(values: dict[str, Any]) -> str:
    seconds = f" in {values['seconds']:.0f} s" if "seconds" in values else ""
    return f"{values.get('state', '')}{seconds}"


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{above}{name}.") if isinstance(value, dict) else [(f"{above}{name}", value)]
    return rows


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
