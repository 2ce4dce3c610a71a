"""How much bf16 changes the ranking of prompts: d_mem in both precisions, for the model and prompts of a study.

    python scripts/rank_precisions.py studies/dutt2025-KEY           on the CPU
    python scripts/rank_precisions.py studies/dutt2025-KEY --device cuda

It prints Spearman's correlation between the precisions, and how many of the top prompts stay among the top.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from benchmark.metrics.prompts import rank_correlation
from benchmark.text2image.loading import open_model
from benchmark.text2image.options import PRECISIONS, OutlierRule, PromptSampling
from benchmark.text2image.prompts import PromptList, read_prompts, score_prompts

TOPS = (10, 20)
"""Numbers of top prompts that are compared."""


def scored(model: Path, prompts: PromptList, sampling: PromptSampling, device: str, out: Path) -> pd.DataFrame:
    """Return the scores of each prompt, by its digest."""
    opened = open_model(str(model), device, sampling.precision)
    folder, _ = score_prompts(opened, prompts, sampling, OutlierRule(), out=out / sampling.precision, batch=50)
    return pd.read_parquet(folder / "scores.parquet").set_index("sha").sort_index()


def main() -> None:
    """Score the study's prompts in both precisions and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "prompts.csv"
        pd.read_parquet(given.study / "prompts.parquet")[["prompt"]].to_csv(listed, index=False)
        prompts = read_prompts(listed, "prompt")
        whole, half = (
            scored(
                given.study / "model",
                prompts,
                PromptSampling(steps=given.steps, guidance=given.guidance, precision=precision),
                given.device,
                Path(folder),
            )
            for precision in PRECISIONS
        )
    print(f"{len(whole)} prompts on {given.device}, bf16 against fp32")
    for name in ("d_mem", "first"):
        kept = [len(set(whole[name].nlargest(top).index) & set(half[name].nlargest(top).index)) for top in TOPS]
        shown = ", ".join(f"{count} of the top {top}" for count, top in zip(kept, TOPS, strict=True))
        moved = ((half[name] - whole[name]).abs() / whole[name]).median()
        ranks = rank_correlation(whole[name].to_numpy(), half[name].to_numpy())
        print(f"{name}: Spearman {ranks:.4f}, kept {shown}, moved {moved:.2%}")


if __name__ == "__main__":
    main()
