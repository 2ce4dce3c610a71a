"""`bench demo`: an audit of simulated patients, of whom a generator has copied some."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import Device
from benchmark.cli.outcome import written

if TYPE_CHECKING:
    from benchmark.runs.audit import Audit
    from benchmark.runs.demo import NamedCopies

COPIES = 10
"""Exit code of an audit that found copies."""
NOT_AS_MEANT = 1
"""Exit code where the audit did not find the copies that were planted."""
MEANINGS = {
    0: "nothing found, and enough would have been seen",
    COPIES: "copies were found",
    11: "cannot tell",
    12: "nothing found, with too little power",
    13: "above a limit",
}
"""Exit codes of `bench audit` (`evaluation/verdict.py`)."""


def demo_command(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", help="New folder for images and report; memobench-demo by default.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Number that decides which patients are simulated and copied.")
    ] = 0,
    quick: Annotated[
        bool, typer.Option("--quick/--deep", help="Only compare pixels, or also train the detectors that take minutes.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
    open_report: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the report in the browser, where there is a screen.")
    ] = True,
    device: Device = "auto",
) -> None:
    """Audit a generator that copies: simulated patients, about a minute, no data needed.

    Writes train/, heldout/ and synthetic/, of which some images are copies of training images (copies.csv says which),
    runs `bench audit` on them, and tells how many copies it named. Exit codes: 0 the audit found the copies; 1 it did
    not; 2 to 6 errors of options, files and the machine.
    """
    from benchmark.cli.audit import show_audit
    from benchmark.core.progress import to_stderr
    from benchmark.runs.audit import AuditConfig, audit
    from benchmark.runs.audit_files import new_folder, summary, withhold_list, write_audit
    from benchmark.runs.demo import for_machines, named_copies, require_new, write_folders

    folder = out or new_folder("memobench-demo")
    require_new(folder)
    to_stderr(f"demo: simulated patients and a generator that copies some of them, in {folder}")
    copies = write_folders(folder, seed)
    config = AuditConfig(
        train=folder / "train", heldout=folder / "heldout", synthetic=folder / "synthetic", options={}, quick=quick,
        device=device, cache=folder / "cache",
    )  # fmt: skip
    done = audit(config)
    files = write_audit(done, folder / "audit")
    written(*files)
    named = named_copies(copies, withhold_list(done))
    if as_json:
        from benchmark.cli.tables import print_json

        print_json(summary(done) | {"demo": for_machines(named, done)})
    else:
        show_audit(done, files)
        # `uvx memobench demo` leaves no `bench` behind: the name that was typed is the one that works.
        command = str(context.find_root().info_name)
        _tell(named, done, folder, command, opened=open_report and _opened(files[0]))
    raise typer.Exit(0 if done.verdict.exit_code == COPIES else NOT_AS_MEANT)


def _tell(named: NamedCopies, done: Audit, folder: Path, command: str, *, opened: bool) -> None:
    """Print what was planted, what the audit named, and the command for one's own folders, in 80 columns."""
    planted, count = sum(named.planted.values()), sum(named.named.values())
    kinds = ", ".join(f"{name} {named.named.get(name, 0)}/{number}" for name, number in named.planted.items())
    code = done.verdict.exit_code
    ended = 0 if code == COPIES else NOT_AS_MEANT
    lines = (
        "",
        f"planted:      {planted} of the {len(done.synthetic)} synthetic images are copies of training images",
        f"named:        {count} of {planted}: {kinds}",
        f"others named: {named.others}{' (chance makes some images alike)' if named.others else ''}",
        f"exit code:    {code}: {MEANINGS[code]}; the demo itself ends with {ended}",
        f"images:       {folder}",
        f"report:       {folder / 'audit' / 'report.html'}{', opened in the browser' if opened else ''}",
        "              (it says that it shows patients: here all of them are simulated)",
        "",
        "The same with your own folders:",
        f"  {command} audit --train TRAIN --heldout HELDOUT --synthetic SYNTHETIC",
    )
    for line in lines:
        echo(line)


def _opened(page: Path) -> bool:
    """Show a page in the browser, and return whether one was started: never without a terminal and a screen."""
    if not sys.stdout.isatty() or not _has_screen():
        return False
    import webbrowser

    return webbrowser.open(page.resolve().as_uri())


def _has_screen() -> bool:
    """Return whether a window can be shown; a browser in the terminal (lynx, w3m) would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
