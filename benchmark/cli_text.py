"""The commands about text-to-image models: `bench prompts` and `bench reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli_options import Cache, Data, Device, Root, Seed, pairs
from benchmark.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.text.asking import Pass, Rule
    from benchmark.text.mitigations import Sampling

Batch = Annotated[int, typer.Option("--batch", help="Pairs of prompt and seed at once.")]


def prompts_command(
    model: Annotated[str, typer.Argument(help="Folder of a pipeline, a run folder of ldm-text, or a hub id@commit.")],
    prompts: Annotated[Path, typer.Option("--prompts", help="CSV file; its text stays in the folder of --out.")],
    column: Annotated[str, typer.Option("--column", help="Its column with the prompts.")],
    steps: Annotated[int, typer.Option("--steps", help="Of DDIM sampling.")] = 50,
    seeds: Annotated[int, typer.Option("--seeds", help="Noises a prompt.")] = 4,
    guidance: Annotated[float, typer.Option("--guidance", help="Scale of the guidance.")] = 7.5,
    first: Annotated[
        bool, typer.Option("--first", help="The first step only: for large lists, --steps times cheaper.")
    ] = False,
    further: Annotated[
        bool, typer.Option("--further", help="Attention entropy, anisotropy and likeness of seeds too.")
    ] = False,
    tokens: Annotated[int, typer.Option("--tokens", help="Attribute d_mem to words of so many top prompts.")] = 0,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="Token gradients as the published code has them.")
    ] = False,
    mitigate: Annotated[int, typer.Option("--mitigate", help="Try mitigations on so many top prompts.")] = 0,
    images: Annotated[int, typer.Option("--images", help="A prompt and mitigation.")] = 50,
    align: Annotated[str | None, typer.Option("--align", help="Folder of a CLIP model, for text alignment.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Training data set: mitigated images are compared with it.")
    ] = None,
    root: Root = None,
    percentile: Annotated[float, typer.Option("--percentile", help="Outliers are at or above it.")] = 99.0,
    z: Annotated[float | None, typer.Option("--z", help="Instead: so many deviations above the mean.")] = None,
    marker: Annotated[
        str | None, typer.Option("--marker", help="Regular expression of de-identification marks.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or bf16.")] = "fp32",
    batch: Batch = 16,
    out: Annotated[Path, typer.Option("--out", help="Where scores go (private: prompts lie there).")] = Path("prompts"),
    device: Device = "auto",
    cache: Cache = Path("cache"),
) -> None:
    """Score prompts by d_mem: which does a text-to-image pipeline know by heart, and do markers stand out?"""
    from benchmark.terminal import print_table
    from benchmark.text.asking import Pass, Rule
    from benchmark.text.opening import open_pipeline
    from benchmark.text.prompts import read_prompts, score_prompts
    from benchmark.text.summary import rows

    ask = Pass(
        steps=steps, seeds=seeds, guidance=guidance, first=first, further=further, precision=precision
    )  # fmt: skip
    rule = Rule(percentile=percentile, z=z, **({"marker": marker} if marker else {}))
    if data and not mitigate:
        raise UsageError("--data is for --mitigate", "add --mitigate 10, or leave --data out")
    table = read_prompts(prompts, column)
    folder, summary = score_prompts(model, table, ask, rule, out=out, batch=batch, device=device)
    print_table("prompts", ("", "d_mem", "length-adjusted"), rows(summary))
    typer.echo(f"scores: {folder / 'scores.parquet'} (private, with prompts.parquet)")
    typer.echo(f"summary: {folder / 'summary.json'} (no text)")
    if not tokens and not mitigate:
        return
    pipeline = open_pipeline(model, device, precision)
    if tokens:
        _tokens(pipeline, _top(folder, table, tokens), ask, rule, faithful=faithful, batch=batch, folder=folder)
    if mitigate:
        judge = _judge(pipeline, data, root, cache, device, table, ask, batch)
        encoder = _encoder(align, device)
        how, top = _sampling(folder, ask, rule), _top(folder, table, mitigate)
        _mitigate(pipeline, top, how, folder, seeds=images, batch=batch, judge=judge, align=encoder)


def _top(folder: Path, table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the prompts with the highest d_mem."""
    import pandas as pd

    scores = pd.read_parquet(folder / "scores.parquet", columns=["sha"])
    return scores.head(count).merge(table, on="sha", how="left")


def _tokens(
    pipeline: Any, top: pd.DataFrame, ask: Pass, rule: Rule, *, faithful: bool, batch: int, folder: Path
) -> None:
    from benchmark.storage import replacing, write_json
    from benchmark.terminal import print_table
    from benchmark.text.tokens import analyse_tokens, rows

    found = analyse_tokens(pipeline, top, ask, rule.marker, faithful=faithful, batch=batch)
    for name in ("tokens", "words", "ablations"):
        with replacing(folder / f"{name}.parquet") as temporary:
            getattr(found, name).to_parquet(temporary, index=False)
    write_json(folder / "tokens.json", found.summary)
    print_table("tokens", ("", "mean over prompts [95 % interval]"), rows(found.summary))
    typer.echo(f"tokens: {folder / 'tokens.parquet'} (private), {folder / 'tokens.json'} (no text)")


def _judge(
    pipeline: Any, data: str | None, root: Path | None, cache: Path, device: str, table: pd.DataFrame, ask: Pass,
    batch: int,
) -> Any:  # fmt: skip
    """Return what compares images with a training set, calibrated on images of the listed prompts; or nothing."""
    if not data:
        return None
    from benchmark.text.truth import judge_of

    return judge_of(pipeline, data, root, cache, table["prompt"].tolist(), ask, batch)


def _encoder(path: str | None, device: str) -> Any:
    if not path:
        return None
    from benchmark.text.alignment import open_alignment

    return open_alignment(path, device)


def _sampling(folder: Path, ask: Pass, rule: Rule) -> Sampling:
    """Optimise embeddings down to the first norm of a usual prompt of the list."""
    import pandas as pd

    from benchmark.text.mitigations import Sampling

    target = float(pd.read_parquet(folder / "scores.parquet", columns=["first"])["first"].median())
    return Sampling(steps=ask.steps, guidance=ask.guidance, marker=rule.marker, insertions=4, target=target)


def _mitigate(pipeline: Any, top: pd.DataFrame, how: Sampling, folder: Path, **given: Any) -> None:
    from dataclasses import asdict

    from benchmark.storage import write_json
    from benchmark.terminal import print_table
    from benchmark.text.mitigate import COLUMNS, effects, rows

    found = effects(pipeline, top["prompt"].tolist(), how, **given)
    write_json(folder / "mitigations.json", {name: asdict(effect) for name, effect in found.items()})
    print_table(f"mitigations, {len(top)} prompts", COLUMNS, rows(found))
    typer.echo(f"mitigations: {folder / 'mitigations.json'} (no text)")


def reproduce_command(
    study: Annotated[str, typer.Argument(help="dutt2025.")],
    data: Data = "cxr-pneumonia",
    root: Root = None,
    reports: Annotated[Path | None, typer.Option("--reports", help="Folder with Open-i's indiana_reports.csv.")] = None,
    preset: Annotated[str, typer.Option("--preset", "-p", help="Of ldm-text: smoke or small.")] = "smoke",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Hyper-parameter of ldm-text: name=value.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Images a prompt.")] = 8,
    steps: Annotated[int, typer.Option("--steps", help="Of DDIM sampling.")] = 20,
    guidance: Annotated[float, typer.Option("--guidance", help="Scale of the guidance.")] = 2.0,
    training: Annotated[bool, typer.Option("--training/--no-training", help="Train with each mitigation too.")] = True,
    batch: Batch = 50,
    seed: Seed = 0,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", help="Where results go (private: prompts and images).")] = Path(
        "studies"
    ),
    cache: Cache = Path("cache"),
) -> None:
    """Repeat a published study where the truth is known: does it hold here?"""
    from benchmark.request import Request
    from benchmark.terminal import print_table
    from benchmark.text.plan import Design
    from benchmark.text.reproduce import Plan, reproduce
    from benchmark.text.tables import tables

    if study != "dutt2025":
        raise UsageError(f"there is no study {study!r}", "choose dutt2025")
    if reports is None:
        raise UsageError("dutt2025 takes its sentences from Open-i's reports", "give --reports FOLDER")
    request = Request(
        model="ldm-text", data=data, preset=preset, root=root, settings=pairs("--set", settings), seed=seed,
        device=device, cache=cache,
    )  # fmt: skip
    plan = Plan(seeds=seeds, steps=steps, guidance=guidance, training=training, batch=batch)
    folder, found = reproduce(request, reports, plan, Design(), out=out)
    for title, columns, lines in tables(found):
        print_table(title, columns, lines)
    typer.echo(f"results: {folder / 'dutt2025.json'} (no text, no pixels)")
    typer.echo(f"prompts and images: {folder} (private)")
