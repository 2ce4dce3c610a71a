"""`bench audit`: three folders, and what the synthetic images give away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Cache, Device, SetData, data_pairs


def audit_command(
    train: Annotated[Path, typer.Option("--train", help="Folder of the images that the model was trained on.")],
    heldout: Annotated[Path, typer.Option("--heldout", help="Folder of images of patients that it has not seen.")],
    synthetic: Annotated[Path, typer.Option("--synthetic", help="Folder of its images.")],
    patients: Annotated[
        str | None, typer.Option("--patients", help="Regular expression that finds the patient in a file's path.")
    ] = None,
    image_size: Annotated[int | None, typer.Option("--image-size", help="Pixels per side for the search.")] = None,
    settings: SetData = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the detector that is trained.")] = False,
    must_see: Annotated[float, typer.Option("--must-see", help="Share of copies that must be visible.")] = 0.01,
    fail_above: Annotated[float | None, typer.Option("--fail-above", help="Largest upper end of the share.")] = None,
    device: Device = "auto",
    cache: Cache = Path("cache"),
) -> None:
    """Tell whether synthetic images are copies of training images, and which to withhold."""
    from benchmark.runs.audit import AuditConfig, audit

    done = audit(
        AuditConfig(
            train=train, heldout=heldout, synthetic=synthetic, options=data_pairs(settings, patients),
            image_size=image_size, quick=quick, must_see=must_see, fail_above=fail_above, device=device, cache=cache,
        )
    )  # fmt: skip
    typer.echo(done.verdict)
    typer.echo(done.suspects.to_string())
    raise typer.Exit(done.verdict.exit_code)
