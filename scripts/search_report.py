"""Report a run of `bench_search.py`: a table, the goals it meets, and a plot of all runs of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDE = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""OpenBLAS kernels of AVX-512."""
OURS, SGEMM, PRODUCT, INDEX, BUILD = (
    "ours",
    "sgemm (NumPy)",
    "ours: int8 product",
    "ours: index",
    "ours: index building",
)
CHOICE, FLOATS, EMBEDDINGS, TRAIN = "ours: own choice", "ours: float images", "ours: embeddings", "ours: train side"
FAISS, PAIRS = "faiss IndexFlatIP", "np.corrcoef per pair *"


@dataclass(frozen=True)
class Goal:
    """A figure that the search should reach (or stay under)."""

    text: str
    figure: float
    need: float
    least: bool = True

    @property
    def met(self) -> bool:
        """Whether it does."""
        return self.figure >= self.need if self.least else self.figure <= self.need

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        return f"{'met    ' if self.met else 'NOT MET'}  {self.text}: {self.figure:.3g} ({sign} {self.need:.3g})"


# Goals of issue 7


def goals(run: dict[str, Any]) -> list[Goal]:
    """Return the goals that this data set can show; those against sgemm are twice as high where its kernel is AVX2."""
    results = {figures["name"]: figures for figures in run["figures"]}
    twice = 1 if run["wide"] else 2
    noise, side = run["data"] == "noise", run["shape"][-1]
    result = [
        Goal(f"{CHOICE}, top-1 against sgemm", results[f"{CHOICE}, top-1"]["ratio"], 3 * twice),
        *image_goals(results, run["data"], side, twice),
        *noise_goals(results, noise=noise),
        Goal("error of 8-bit answers", worst(results, "error", max, EXACT), 0, least=False),
        Goal("8-bit and float answers that are float64's", worst(results, "agrees", min, (*EXACT, FLOATS)), 1),
        Goal("float images, top-1 against sgemm", results[f"{FLOATS}, top-1"]["ratio"], 1 if noise else 2.5 * twice),
        Goal("error of float images", worst(results, "error", max, (FLOATS,)), 1e-12, least=False),
        Goal("embeddings whose nearest is float64's", worst(results, "agrees", min, (EMBEDDINGS,)), 1),
        *faiss_goals(results, run["kernels"].get("faiss_cpu", "")),
        Goal("int8 product against np.corrcoef per pair",
             results[PAIRS]["seconds"] / results[f"{PRODUCT}, top-1"]["seconds"], 1000),
        Goal("peak MiB of ours", worst(results, "mib", max, (OURS,)), run["limit_mib"], least=False),
    ]  # fmt: skip
    return result + growth_goals(run, noise=noise) + stream_goals(run)


EXACT = (PRODUCT, INDEX, CHOICE, TRAIN)


def worst(results: dict[str, Any], what: str, choose: Callable[..., float], kinds: tuple[str, ...]) -> float:
    values = [figures[what] for name, figures in results.items() if name.startswith(kinds)]
    return float(choose(value for value in values if value is not None))


def image_goals(results: dict[str, Any], data: str, side: int, twice: int) -> list[Goal]:
    """Goals of large images that share their coarse structure."""
    result = []
    if data != "noise" and side >= 112:
        slices = data.startswith(("phantom-mr", "brats"))
        need = 10 if side >= 224 or (slices and side >= 128) else 5
        result.append(Goal("index, top-1 against sgemm", results[f"{INDEX}, top-1"]["ratio"], need * twice))
    if side >= 128:
        result.append(Goal(f"{CHOICE}, top-10 against sgemm", results[f"{CHOICE}, top-10"]["ratio"], 4 * twice))
    if side >= 112:
        result.append(Goal("index building over one sgemm pass", 1 / results[BUILD]["ratio"], 1 / twice, least=False))
    return result


def noise_goals(results: dict[str, Any], *, noise: bool) -> list[Goal]:
    ratio = results[f"{CHOICE}, top-1"]["seconds"] / results[f"{PRODUCT}, top-1"]["seconds"]
    return [Goal("own choice on noise over the product alone", ratio, 1.2, least=False)] if noise else []


def faiss_goals(results: dict[str, Any], kernel: str) -> list[Goal]:
    """Embeddings against faiss, or against sgemm where faiss uses its kernel for processors of 2007."""
    old = "Barcelona" in kernel
    theirs = {k: f"embeddings: {SGEMM}" if old else f"embeddings: {FAISS}, top-{k}" for k in (1, 10)}
    return [
        Goal(f"embeddings, top-{k} against {'sgemm, top-1' if old else 'faiss'}",
             results[name]["seconds"] / results[f"{EMBEDDINGS}, top-{k}"]["seconds"], 1)
        for k, name in theirs.items()
        if name in results
    ]  # fmt: skip


def growth_goals(run: dict[str, Any], *, noise: bool) -> list[Goal]:
    if noise or not run["growth"]:
        return []
    return [Goal(f"exponent of the index in {what}", run["growth"][what][INDEX], 0.8, least=False) for what in "MD"]


def stream_goals(run: dict[str, Any]) -> list[Goal]:
    streamed = run["stream"]
    if not streamed:
        return []
    return [
        Goal("streaming over plain reading", streamed["rate"] / streamed["plain"], 0.8),
        Goal("streaming: peak MiB", streamed["mib"], streamed["limit_mib"], least=False),
        Goal("streaming: same answer as with enough memory", float(streamed["same"]), 1),
    ]


# Text and plot


def table(run: dict[str, Any]) -> str:
    """Return a run as Markdown: what was measured, figures, growth, streaming, goals."""
    n, m, d = run["sizes"]
    kernel = run["kernels"].get("numpy", "unknown")
    lines = [
        f"### {run['name']}, sgemm by {kernel}\n",
        f"`{run['command']}` at commit {run.get('commit', 'unknown')}\n",
        f"N {n}, M {m}, D {d}; threads: {run['threads']}; medians of {run['rounds']} rounds; sgemm peak in this run",
        f"{run['peak'] / 1e9:.0f} GFLOP/s. Kernels: {', '.join(f'{k}: {v}' for k, v in run['kernels'].items())}.\n",
        "| method | seconds | times sgemm | of sgemm peak | error | as float64 | MiB more |",
        "|---|---|---|---|---|---|---|",
        *(row(figures) for figures in run["figures"]),
        "",
        *growth_lines(run["growth"]),
        *stream_lines(run["stream"]),
        "```",
        *map(str, goals(run)),
        "```\n",
    ]
    return "\n".join(lines)


SUMMED = {
    "int8": f"{PRODUCT}, top-1", "index": f"{INDEX}, top-1", "own choice": f"{CHOICE}, top-1",
    "own, top-10": f"{CHOICE}, top-10", "floats": f"{FLOATS}, top-1",
    "prototype int8": "prototype: int8 product, top-1", "its index": "prototype: index, top-1",
    "its floats": "prototype: float images, top-1",
}  # fmt: skip


def summary(runs: Sequence[dict[str, Any]]) -> str:
    """Return one line per run: how many times as fast as sgemm, and how many goals are met."""
    lines = [f"| data, kernel | {' | '.join(SUMMED)} | goals met |", "|---" * (len(SUMMED) + 2) + "|"]
    for run in runs:
        ratios = {figures["name"]: times_shown(figures["ratio"]) for figures in run["figures"]}
        reached = [goal.met for goal in goals(run)]
        cells = [ratios.get(name, "") for name in SUMMED.values()]
        kernel = run["kernels"].get("numpy", "").rpartition(" ")[2]
        lines.append(f"| {run['name']}, {kernel} | {' | '.join(cells)} | {sum(reached)} of {len(reached)} |")
    return "\n".join([*lines, "", ""])


def row(figures: dict[str, Any]) -> str:
    times = times_shown(figures["ratio"])
    peak = f"{figures['peak']:.2f}" if figures["peak"] >= 0.01 else ""
    error = "" if figures["error"] is None else f"{figures['error']:.0e}" if figures["error"] else "0"
    agrees = "" if figures["agrees"] is None else f"{figures['agrees']:.4f}"
    cells = (figures["name"], f"{figures['seconds']:.3g}", times, peak, error, agrees, f"{figures['mib']:.0f}")
    return f"| {' | '.join(cells)} |"


def times_shown(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 9.95 else f"{ratio:.2f}" if ratio >= 0.1 else f"1/{1 / ratio:.0f}"


def growth_lines(growth: dict[str, dict[str, float]]) -> list[str]:
    if not growth:
        return []
    names = list(next(iter(growth.values())))
    lines = [f"| {what} | {' | '.join(f'{results[name]:.2f}' for name in names)} |" for what, results in growth.items()]
    return [f"| exponent in | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", *lines, ""]


def stream_lines(streamed: dict[str, Any]) -> list[str]:
    if not streamed:
        return []
    sizes = f"A bank of {streamed['bank_mib']:.0f} MiB on disk, {streamed['limit_mib']:.0f} MiB allowed, "
    rate = f"nothing in the page cache: {streamed['rate'] / 1e9:.2f} GB/s, plain reading"
    return [f"{sizes}{streamed['queries']} queries, {rate} {streamed['plain'] / 1e9:.2f} GB/s.\n"]


SHOWN = {
    f"{INDEX}, top-1": "#0b5394", f"{CHOICE}, top-10": "#3d85c6", f"{PRODUCT}, top-1": "#9fc5e8",
    f"{FLOATS}, top-1": "#6aa84f", "faiss IndexFlatIP, top-1": "#e69138", "torch mm, float32": "#f6b26b",
    "scikit-learn brute cosine": "#f9cb9c", "scipy cdist correlation *": "#999999", "np.corrcoef per pair *": "#444444",
}  # fmt: skip


def plot(runs: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw one panel per kernel: bars of speeds relative to sgemm, data sets next to each other."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    groups = {wide: [run for run in runs if run["wide"] == wide] for wide in (True, False)}
    groups = {wide: results for wide, results in groups.items() if results}
    figure, panels = pyplot.subplots(len(groups), 1, figsize=(12, 4.2 * len(groups)), squeeze=False, sharey=True)
    for (panel,), results in zip(panels, groups.values(), strict=True):
        bars(panel, results)
    panels[0][0].legend(ncols=3, fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.1))
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def bars(panel: Any, runs: Sequence[dict[str, Any]]) -> None:
    width = 0.92 / len(SHOWN)
    for number, (name, colour) in enumerate(SHOWN.items()):
        heights = [next((f["ratio"] for f in run["figures"] if f["name"] == name), np.nan) for run in runs]
        places = np.arange(len(runs)) + (number - (len(SHOWN) - 1) / 2) * width
        panel.bar(places, np.array(heights) - 1, width, bottom=1, color=colour, label=name)
        for place, height in zip(places, heights, strict=True):
            edge, side = (height, "bottom") if height >= 1 else (height / 1.1, "top")
            panel.text(place, edge * 1.05, times_shown(height), fontsize=6, ha="center", va=side)
    panel.set_yscale("log")
    ticks = [tick for tick in (1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100) if panel.get_ylim()[0] < tick]
    panel.set_yticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:.0f}" for tick in ticks])
    panel.set_ylim(panel.get_ylim()[0] / 1.6, panel.get_ylim()[1] * 1.6)
    panel.axhline(1, color="black", linewidth=0.8)
    panel.set_xticks(range(len(runs)), [run["name"] for run in runs])
    panel.set_ylabel("times as fast as sgemm")
    panel.set_title(f"1 = blocked sgemm by {runs[0]['kernels'].get('numpy', '')}", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)


def keep(run: dict[str, Any], out: Path) -> None:
    """Write the figures of a run, and table and plot of all runs of the folder."""
    out.mkdir(parents=True, exist_ok=True)
    kind = "avx512" if run["wide"] else "avx2"
    (out / f"{run['name'].replace(' ', '_')}-{kind}.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob("*.json"))]
    (out / "performance.md").write_text("\n".join([summary(runs), *map(table, runs)]), encoding="utf-8")
    plot(runs, out / "performance.png")
