"""Compare the cost of scoring prompts with that of sampling from the same pipeline; also time the first step alone.

    python scripts/time_prompts.py                 a pipeline with random weights, built here
    python scripts/time_prompts.py --pipeline DIR

Processor time, medians over --rounds alternating rounds; sampling stops at the latents, as scoring does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.text2image.guided import embed_with_empty, guidance_norms, prompt_noise
from benchmark.text2image.loading import open_model

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "files"))
from tiny_pipeline import CAPTIONS, save_tiny


def seconds(job: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    job()
    return time.process_time() - started


def main() -> None:
    """Sample and score the same prompts and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.pipeline or save_tiny(Path(folder) / "tiny", widths=(32, 64), side=16)
        pipeline = open_model(str(place), "cpu").pipeline
        texts = [CAPTIONS[number % len(CAPTIONS)] for number in range(given.batch)]

        def sample() -> None:
            pipeline(texts, num_inference_steps=given.steps, guidance_scale=7.5, output_type="latent")

        def score(only: int | None = None) -> None:
            text, noise = embed_with_empty(pipeline, texts), prompt_noise(pipeline, texts, range(given.batch))
            guidance_norms(pipeline, text, noise, steps=given.steps, guidance=7.5, only=only)

        score(1)
        rounds = [(seconds(sample), seconds(score), seconds(lambda: score(1))) for _ in range(given.rounds)]
    sampling, scoring, first = (statistics.median(side) for side in zip(*rounds, strict=True))
    low, middle, high = statistics.quantiles([ours / plain for plain, ours, _ in rounds], n=4)
    print(f"sampling {sampling:.2f} s, scoring {scoring:.2f} s")
    print(f"ratio, median over {len(rounds)} rounds: {middle:.3f} (quartiles {low:.3f}, {high:.3f})")
    print(f"first step alone {first:.3f} s: {scoring / first:.0f} times cheaper")


if __name__ == "__main__":
    main()
