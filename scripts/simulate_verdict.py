"""How often is the verdict of `bench audit` wrong? Synthetic sets with a known share of copies, in a simulated world.

    python scripts/simulate_verdict.py [--draws 100]

Patients and generators are those of scripts/simulate_protocol.py, seen by one detector: 300 training and 300 held-out
patients with two images each, and 200 or 1,000 synthetic images, of which a share are copies. `exact` copies are nearly
identical; `altered` and `far` ones have noise of 0.3 and 0.5 standard deviations of the patients. Printed are the
shares of draws with each verdict: HOLD; NOTHING FOUND (exit code 0 or 12, and 0 alone); CANNOT TELL. An honest model is
wrongly held in the first column of share 0; a model that copies is wrongly cleared in the second of the others.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from simulate_protocol import SLICES, Cell, draw

from benchmark.core.types import Score
from benchmark.evaluation.exposure import measure_exposure, possible_scores
from benchmark.evaluation.verdict import CLEAR, Verdict, judge
from benchmark.metrics.detectable import detectable

TRAIN, HELDOUT = 300, 300
COPIES = {0.01: "exact", 0.3: "altered", 0.5: "far"}
"""Names by noise."""
SHARES = (0.0, 0.03, 0.05, 0.1)


def verdict_of(cell: Cell, seed: int) -> Verdict:
    """Return the verdict on one simulated set, of a detector that finds all exact copies that are planted."""
    drawn = draw(cell, seed, between=True)
    best = np.concatenate([block.max(axis=0).reshape(-1, SLICES).max(axis=1) for block in drawn.by_item])
    measured = measure_exposure(
        drawn.nearest, drawn.to_train, best, level=drawn.verbatim[0], split=None, seed=seed,
        seen_level=drawn.seen,
    )  # fmt: skip
    possible = possible_scores(detectable(cell.train, cell.heldout, cell.samples))
    scores = {**measured.scores, "detector.recall.exact": Score(value=1.0)}
    return judge(
        {"simulated": scores}, possible["detectable.share"], samples=cell.samples,
        suspects=int(measured.withheld.any.sum()), must_see=0.01,
    )  # fmt: skip


def line(cell: Cell, draws: int) -> str:
    """Return the shares of verdicts over all draws."""
    verdicts = [verdict_of(cell, seed) for seed in range(draws)]
    kinds = Counter(verdict.kind for verdict in verdicts)
    clear = sum(verdict.exit_code == CLEAR for verdict in verdicts)
    counts = (kinds["hold"], kinds["nothing found"], clear, kinds["cannot tell"])
    copies = COPIES[cell.noise] if cell.dose else "-"
    shares = "".join(f"{count / draws:12.3f}" for count in counts)
    return f"{cell.kind:10}{cell.samples:8}{cell.dose:8.2f}  {copies:8}{shares}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    draws = parser.parse_args().draws
    head = "".join(f"{name:>12}" for name in ("hold", "nothing", "of these 0", "cannot tell"))
    print(f"{'generator':10}{'samples':>8}{'share':>8}  {'copies':8}{head}")
    for samples in (200, 1000):
        for kind in ("sharp", "blurred"):
            for share in SHARES:
                for noise in list(COPIES)[: None if share else 1]:
                    print(line(Cell(TRAIN, HELDOUT, samples, kind, share, noise), draws), flush=True)


if __name__ == "__main__":
    main()
