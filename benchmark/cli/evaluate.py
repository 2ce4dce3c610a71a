"""`bench evaluate`: a run's samples again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Detectors, Json, MaxSource, SearchTransforms, all_detectors
from benchmark.cli.run import show_run


def evaluate_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    detectors: Detectors = None,
    search_transforms: SearchTransforms = None,
    search_memory: Annotated[float | None, typer.Option("--search-memory", help="GiB that a search may take.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = None,
    max_source_gib: MaxSource = None,
    as_json: Json = False,
) -> None:
    """Evaluate a run's samples again, without training or sampling."""
    from benchmark.cli.tables import stdout_for
    from benchmark.runs.run import evaluate_again

    chosen = all_detectors(detectors, search_transforms)
    with stdout_for(as_json=as_json):
        evaluate_again(folder, detectors=chosen, device=device, search_memory=search_memory)
    show_run(folder, as_json=as_json)
