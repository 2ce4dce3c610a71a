"""`bench prompts`: which prompts has a text-to-image model memorised?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import Batch, Cache, Device, MaxSource, Root, pairs
from benchmark.cli.outcome import written

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.text2image.copy_oracle import CopyOracle
    from benchmark.text2image.loading import LoadedPipeline
    from benchmark.text2image.mitigations import MitigationSettings
    from benchmark.text2image.options import FollowUps, OutlierRule, PromptSampling

MANY = 2000
"""Prompts from which on the first step alone is offered."""


def prompts_command(
    model: Annotated[
        str,
        typer.Argument(help="Folder of a pipeline, a run folder, a hub id@commit, or diffusers with --preset, --set."),
    ],
    prompts: Annotated[
        Path, typer.Option("--prompts", help="CSV file with the prompts; their text is copied to --out alone.")
    ],
    column: Annotated[str, typer.Option("--column", help="Column of the CSV file with the prompts.")],
    positive: Annotated[
        str | None, typer.Option("--positive", help="Column with 1 where a prompt is memorised, else 0; AUCs need it.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", "-p", help="Preset of a model, such as radedit of diffusers.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the model, such as path=FOLDER of diffusers.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of DDIM sampling.")] = 50,
    seeds: Annotated[int, typer.Option("--seeds", help="Noise samples per prompt.")] = 4,
    guidance: Annotated[float, typer.Option("--guidance", help="Scale of the guidance.")] = 7.5,
    first: Annotated[
        bool,
        typer.Option(
            "--first", help="Score by the first step only: as many times faster as --steps says, for large lists."
        ),
    ] = False,
    first_steps: Annotated[int, typer.Option("--first-steps", help="Also score by this many first steps.")] = 10,
    further: Annotated[
        bool,
        typer.Option(
            "--further", help="Also measure attention entropy, anisotropy, and how similar the images of a prompt are."
        ),
    ] = False,
    tokens: Annotated[
        int, typer.Option("--tokens", help="Say which tokens raise d_mem, for this many of the highest prompts.")
    ] = 0,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="With --tokens: compute gradients as the published code does.")
    ] = False,
    mitigate: Annotated[
        int, typer.Option("--mitigate", help="Try to lower d_mem, for this many of the highest prompts.")
    ] = 0,
    shown: Annotated[
        int, typer.Option("--shown", help="Show images of this many of the highest prompts in report.html (private).")
    ] = 12,
    images: Annotated[int, typer.Option("--images", help="With --mitigate: images per prompt and mitigation.")] = 50,
    insertions: Annotated[
        int, typer.Option("--insertions", help="With --mitigate: how many words or numbers are added to a prompt.")
    ] = 4,
    align: Annotated[
        str | None,
        typer.Option(
            "--align", help="With --mitigate: folder of a CLIP model that tells whether images still fit their prompt."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="With --mitigate: training data set with which the images are compared."),
    ] = None,
    root: Root = None,
    percentile: Annotated[
        float, typer.Option("--percentile", help="Prompts at or above this percentile are outliers.")
    ] = 99.0,
    z: Annotated[
        float | None,
        typer.Option(
            "--z", help="In place of --percentile: outliers are this many standard deviations above the mean."
        ),
    ] = None,
    marker: Annotated[
        str | None, typer.Option("--marker", help="Regular expression of de-identification placeholders, such as ___.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or bf16.")] = "fp32",
    batch: Batch = 16,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for scores and report (private: they hold prompts).")
    ] = Path("prompts"),
    device: Device = "auto",
    cache: Cache = None,
    max_source_gib: MaxSource = None,
) -> None:
    """Score prompts by d_mem: which ones has a text-to-image pipeline memorised?"""
    from benchmark.core.files import cache_folder, private_folder
    from benchmark.text2image.loading import open_model
    from benchmark.text2image.options import FollowUps, OutlierRule, PromptSampling
    from benchmark.text2image.prompts import read_prompts, score_prompts

    sampling = PromptSampling(
        steps=steps, seeds=seeds, guidance=guidance, first=first, further=further, precision=precision
    )  # fmt: skip
    outlier_rule = OutlierRule(
        percentile=percentile, z=z, first_steps=first_steps, **({"marker": marker} if marker else {})
    )
    follow_ups = FollowUps(
        tokens=tokens, faithful=faithful, mitigate=mitigate, images=images, insertions=insertions, align=align,
        data=data, root=root, shown=shown,
    )  # fmt: skip
    listed = read_prompts(prompts, column, positive)
    loaded = open_model(model, device, precision, preset=preset, settings=pairs("--set", settings))
    encoder, oracle = _encoder(follow_ups, device), _oracle(loaded, follow_ups, cache_folder(cache))
    _offer_the_first_step(len(listed.table), sampling)
    folder, summary = score_prompts(loaded, listed, sampling, outlier_rule, out=private_folder(out), batch=batch)
    _print_scores(folder, summary)
    if follow_ups.tokens:
        _tokens(loaded, _top(folder, listed.table, tokens), sampling, outlier_rule, follow_ups, batch, folder)
    if follow_ups.mitigate:
        top = _top(folder, listed.table, mitigate)["prompt"].tolist()
        _mitigate(
            loaded,
            top,
            listed.table["prompt"].tolist(),
            oracle,
            encoder,
            sampling,
            outlier_rule,
            follow_ups,
            batch,
            folder,
        )
    _report(loaded, _top(folder, listed.table, follow_ups.shown), sampling, batch, folder)


def _report(loaded: LoadedPipeline, top: pd.DataFrame, sampling: PromptSampling, batch: int, folder: Path) -> None:
    """Write the private report, with images of the top prompts."""
    from benchmark.evaluation.report.prompts import write_prompts_report
    from benchmark.text2image.top_images import keep_top_images

    if len(top):
        keep_top_images(loaded.pipeline, top, sampling, folder, batch=batch)
    page = write_prompts_report(folder, folder)
    written(folder / "scores.parquet", folder / "summary.json", page)
    echo(f"report: {page} (private: it shows prompts and images)")


def _encoder(follow_ups: FollowUps, device: str) -> Any:
    from benchmark.text2image.alignment import open_alignment

    return open_alignment(follow_ups.align, device) if follow_ups.align else None


def _oracle(loaded: LoadedPipeline, follow_ups: FollowUps, cache: Path) -> CopyOracle | None:
    from benchmark.text2image.copy_oracle import open_copy_oracle

    return open_copy_oracle(loaded.pipeline, follow_ups.data, follow_ups.root, cache) if follow_ups.data else None


def _offer_the_first_step(prompts: int, sampling: PromptSampling) -> None:
    if prompts > MANY and not sampling.first and sampling.steps > 1:
        echo(
            f"{prompts} prompts x {sampling.seeds} seeds x {sampling.steps} steps: --first takes the first step only, "
            f"at 1/{sampling.steps} of the cost",
            err=True,
        )


def _print_scores(folder: Path, summary: dict[str, Any]) -> None:
    from benchmark.cli.tables import print_table
    from benchmark.text2image.prompts import constant_note
    from benchmark.text2image.summary import further_rows, rows, separation_rows

    print_table("prompts", ("", "d_mem", "length-adjusted"), rows(summary))
    if "further" in summary:
        columns = ("score", "median", "1 % to 99 % of prompts", "rank correlation with d_mem")
        print_table("further detectors", columns, further_rows(summary))
    if "separation" in summary:
        print_table("prompts that are memorised", ("score", "AUC", "TPR at 1 % FPR"), separation_rows(summary))
    if note := constant_note(summary):
        echo(f"note: {note}")
    echo(f"scores: {folder / 'scores.parquet'} (private, with prompts.parquet)")
    echo(f"summary: {folder / 'summary.json'} (no text)")


def _top(folder: Path, table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the prompts with the highest d_mem."""
    import pandas as pd

    from benchmark.core.sealed import require_intact

    scores = pd.read_parquet(require_intact(folder / "scores.parquet"), columns=["sha"])
    return scores.head(count).merge(table, on="sha", how="left")


def _tokens(
    loaded: LoadedPipeline,
    top: pd.DataFrame,
    sampling: PromptSampling,
    outlier_rule: OutlierRule,
    follow_ups: FollowUps,
    batch: int,
    folder: Path,
) -> None:
    from benchmark.cli.tables import print_table
    from benchmark.core.sealed import sealed_write, write_sealed_json
    from benchmark.text2image.summary import public_marker, public_pipeline
    from benchmark.text2image.tokens import analyse_tokens, rows

    findings = analyse_tokens(
        loaded.pipeline, top, sampling, outlier_rule.marker, faithful=follow_ups.faithful, batch=batch
    )
    ending = "-faithful" if follow_ups.faithful else ""
    for name in ("tokens", "words", "ablations"):
        with sealed_write(folder / f"{name}{ending}.parquet") as temporary:
            getattr(findings, name).to_parquet(temporary, index=False)
    public = folder / f"tokens{ending}.json"
    names = {"pipeline": public_pipeline(loaded.identity), "marker": public_marker(outlier_rule.marker)}
    write_sealed_json(public, {**names, **findings.summary})
    print_table("tokens", ("", "mean over prompts [95 % interval]"), rows(findings.summary))
    echo(f"tokens: {folder / f'tokens{ending}.parquet'} (private), {public} (no text)")


def _mitigate(
    loaded: LoadedPipeline,
    top: list[str],
    prompts: list[str],
    oracle: CopyOracle | None,
    align: Any,
    sampling: PromptSampling,
    outlier_rule: OutlierRule,
    follow_ups: FollowUps,
    batch: int,
    folder: Path,
) -> None:
    """Mitigate the top prompts; the copy threshold comes from images of all prompts."""
    from dataclasses import asdict

    from benchmark.cli.tables import print_table
    from benchmark.core.sealed import write_sealed_json
    from benchmark.text2image.copy_oracle import copy_scorer_of
    from benchmark.text2image.mitigate import COLUMNS, effects, rows
    from benchmark.text2image.summary import public_marker, public_pipeline

    copy_scorer = copy_scorer_of(loaded.pipeline, oracle, prompts, sampling, batch) if oracle else None
    mitigation = _sampling(folder, sampling, outlier_rule, follow_ups)
    measured = effects(
        loaded.pipeline, top, mitigation, seeds=follow_ups.images, batch=batch, copy_scorer=copy_scorer, align=align
    )
    public = folder / "mitigations.json"
    given = {
        "pipeline": public_pipeline(loaded.identity),
        "prompts": len(top),
        "images": follow_ups.images,
        "precision": sampling.precision,
    }
    sampled = asdict(mitigation) | {"marker": public_marker(outlier_rule.marker)}
    effects_by_name = {name: asdict(effect) for name, effect in measured.items()}
    compared = {"compared": oracle is not None, "effects": effects_by_name}
    write_sealed_json(public, {**given, "sampling": sampled, **compared})
    print_table(f"mitigations, {len(top)} prompts", COLUMNS, rows(measured))
    echo(f"mitigations: {public} (no text)")


def _sampling(
    folder: Path, sampling: PromptSampling, outlier_rule: OutlierRule, follow_ups: FollowUps
) -> MitigationSettings:
    """Optimise embeddings down to the first norm of a usual prompt of the list."""
    import pandas as pd

    from benchmark.core.sealed import require_intact
    from benchmark.text2image.mitigations import MitigationSettings

    target = float(pd.read_parquet(require_intact(folder / "scores.parquet"), columns=["first"])["first"].median())
    return MitigationSettings(
        steps=sampling.steps,
        guidance=sampling.guidance,
        marker=outlier_rule.marker,
        insertions=follow_ups.insertions,
        target=target,
    )
