"""`bench audit`: three folders, and what the synthetic images give away."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import Cache, Columns, Device, MaxSource, SetData, data_pairs
from benchmark.cli.outcome import written
from benchmark.core.percent import percent

if TYPE_CHECKING:
    from benchmark.runs.audit import Audit

EACH_FILE = "each-file"
SHOWN = 10
"""Suspects on the terminal; all of them are in withhold.csv."""


def audit_command(
    train: Annotated[Path, typer.Option("--train", help="Folder of the images that the model was trained on.")],
    synthetic: Annotated[Path, typer.Option("--synthetic", help="Folder of the images that the model made.")],
    heldout: Annotated[
        Path | None,
        typer.Option(
            "--heldout",
            help="Folder of images of patients that the model has not seen in any way; without it only "
            "nearly identical copies can be found.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report, list and summary; audit-DATE by default.")
    ] = None,
    patients: Annotated[
        str | None,
        typer.Option(
            "--patients",
            "--group-pattern",
            help="How patients are recognised, if not by themselves: each-file (each file is of another patient), "
            "folder:1 (the first folder below), FILE.csv (a table of files and patients), or a regular expression "
            "such as '(P[0-9]+)_'.",
        ),
    ] = None,
    columns: Columns = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size", help="Pixels per side at which images are searched; by default at most 128, of volumes 32."
        ),
    ] = None,
    settings: SetData = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only compare pixels (seconds): leave out the detectors that are fitted (minutes)."
        ),
    ] = False,
    must_see: Annotated[
        float,
        typer.Option(
            "--must-see", help="Exit code 0 needs that this share of copies would have been seen: 0.01 is 1 %."
        ),
    ] = 0.01,
    fail_above: Annotated[
        float | None,
        typer.Option(
            "--fail-above", help="Exit code 13 where nothing was found, but a larger share than this may be copies."
        ),
    ] = None,
    copy_to: Annotated[
        Path | None,
        typer.Option(
            "--copy-to", help="New folder to which the images that are not withheld are copied; they are audited again."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output.")] = False,
    device: Device = "auto",
    cache: Cache = None,
    max_source_gib: MaxSource = None,
) -> None:
    """Tell whether synthetic images are copies of training images, and which ones to withhold.

    bench audit --train train/ --heldout heldout/ --synthetic synthetic/

    Exit codes: 0 nothing found, and a share of --must-see would have been seen; 10 copies found; 11 cannot tell;
    12 nothing found, but a share of --must-see may have stayed unseen; 13 nothing found, but more than --fail-above
    may be copies; 2 a question that cannot be answered; 3 to 6 errors of files, plugins and the machine.
    """
    from benchmark.core.errors import BadDataError
    from benchmark.core.files import cache_folder
    from benchmark.evaluation.release import require_empty
    from benchmark.runs.audit import AuditConfig, audit, inputs
    from benchmark.runs.audit_files import CLEAN, copy_clean, new_folder, require_own, summary, write_audit
    from benchmark.runs.audit_question import require_outside

    folder = out or new_folder(f"audit-{date.today().isoformat()}")
    require_own(folder)
    if copy_to:
        require_empty(copy_to)
    config = AuditConfig(
        train=train, heldout=heldout, synthetic=synthetic, options=_options(settings, patients, columns),
        image_size=image_size, quick=quick, must_see=must_see, fail_above=fail_above, device=device,
        cache=cache_folder(cache),
    )  # fmt: skip
    require_outside({"out": folder, "copy-to": copy_to}, inputs(config))
    require_outside({"copy-to": copy_to}, {"out": folder})
    require_outside({"out": folder, "cache": config.cache}, {"copy-to": copy_to} if copy_to else {})
    done = audit(config)
    files = write_audit(done, folder)
    written(*files)
    if as_json:
        from benchmark.cli.tables import print_json

        print_json(summary(done))
    else:
        show_audit(done, files)
    if copy_to:
        try:
            kept = copy_clean(done, copy_to)
        except BadDataError as error:  # the exit code is that of the verdict, which is the answer
            echo(f"error: {error}", err=True, keep="\n")
            raise typer.Exit(done.verdict.exit_code) from error
        echo(f"copied: {kept} images to {copy_to}; now they are audited", err=True)
        done = audit(replace(config, synthetic=copy_to))
        write_audit(done, folder / CLEAN)
        echo(f"{copy_to}: {done.verdict.kind}: {_short(done.verdict.sentence, done)}", err=as_json)
    raise typer.Exit(done.verdict.exit_code)


def _options(settings: list[str] | None, patients: str | None, columns: str | None) -> dict[str, Any]:
    """Return the options of the folders' data set; a table of patients is known by its ending."""
    if patients and Path(patients).suffix.lower() in (".csv", ".tsv"):
        return {**data_pairs(settings, None, columns), "table": patients}
    return data_pairs(settings, "none" if patients == EACH_FILE else patients, columns)


def show_audit(audit: Audit, files: list[Path]) -> None:
    """Print suspects and numbers, and the verdict last, where the eye is."""
    from benchmark.cli.tables import print_table
    from benchmark.records.columns import with_interval
    from benchmark.records.record import entries
    from benchmark.runs.audit_files import withhold_list

    listed = withhold_list(audit)
    several = len(audit.outcomes) > 1  # else a column of one word makes the table wider than a terminal
    rows = [
        (str(row["file"]), str(row["train_file"]), *([_short(str(row["detector"]), audit)] * several),
         f"{row['similarity']:.3f}",
         "-" if math.isnan(row["full_size"]) else f"{row['full_size']:.3f}", str(row["confidence"]))
        for row in listed.head(SHOWN).to_dict("records") if row["confidence"] == row["confidence"]
    ]  # fmt: skip
    if rows:
        print_table(
            f"to withhold: {len(listed)}{_of_these(audit)}, the most certain first",
            ("synthetic", "training", *(["detector"] * several), "similar", "full size", ""),
            rows,
        )
    verdict = audit.verdict
    numbers = entries({"share": verdict.share, "patients": verdict.patients})
    print_table(
        "numbers",
        ("", "", ""),
        [
            ("share of copies", with_interval(numbers["share"]), "of synthetic images, 95 % interval"),
            ("exposed patients", with_interval(numbers["patients"], 0), "training patients with a copy"),
            (
                "would be seen",
                "-" if verdict.seen is None else percent(verdict.seen),
                "smallest share, 95 % power",
            ),
        ],
    )
    for file in files:
        echo(f"{file.stem}: {file}")
    echo(f"{verdict.kind.upper()}: {_short(verdict.sentence, audit)}")


def _of_these(audit: Audit) -> str:
    """Return how many of the listed files were not compared, which have no row; empty where all were."""
    count = len(audit.unread)
    return f" ({count} of them could not be compared)" if count else ""


def _short(text: str, audit: Audit) -> str:
    """Return a text with the names of detectors without their options, which fill half a line."""
    for name in audit.outcomes:
        text = text.replace(name, name.partition(":")[0])
    return text
