"""How often is the verdict of `bench audit` wrong? Synthetic sets with a known share of copies, in a simulated world.

    python scripts/simulate_verdict.py [--draws 100] [--detectors 3] [--undivided]

Patients and generators are those of scripts/simulate_protocol.py, seen by one or several detectors: 300 training and
300 held-out patients with two images each, and 200 or 1,000 synthetic images, of which a share are copies. `exact`
copies are nearly identical; `altered` and `far` ones have noise of 0.3 and 0.5 standard deviations of the patients.
Printed are the shares of draws with each verdict: HOLD; NOTHING FOUND (exit code 0 or 12, and 0 alone); CANNOT TELL. An
honest model is wrongly held in the first column of share 0; a model that copies is wrongly cleared in the second of the
others.

Several detectors have nothing in common, which is the worst case: each draws patients of its own, and only the first
sees the copies. They share the error of 2.5 % as those of an audit do, unless --undivided leaves all of it to each.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from simulate_protocol import SLICES, Cell, draw

from benchmark.core.types import Score
from benchmark.evaluation.exposure import Exposure, measure_exposure, possible_scores
from benchmark.evaluation.verdict import CLEAR, Verdict, judge
from benchmark.metrics.competition import SPENDING, Spending, divided
from benchmark.metrics.detectable import detectable

TRAIN, HELDOUT = 300, 300
COPIES = {0.01: "exact", 0.3: "altered", 0.5: "far"}
"""Names by noise."""
SHARES = (0.0, 0.03, 0.05, 0.1)


@dataclass(frozen=True)
class Detectors:
    """How many there are, and the error of each one's interval."""

    count: int
    spending: Spending


def verdict_of(cell: Cell, seed: int, detectors: Detectors) -> Verdict:
    """Return the verdict on one simulated set, of detectors that find all exact copies that are planted."""
    blind = replace(cell, dose=0.0)
    measured = {
        f"simulated-{number}": measured_by(blind if number else cell, seed + 1_000_000 * number, detectors.spending)
        for number in range(detectors.count)
    }
    possible = detectable(cell.train, cell.heldout, cell.samples, spending=detectors.spending)
    withheld = np.any([one.withheld.any for one in measured.values()], axis=0)
    return judge(
        {name: {**one.scores, "detector.recall.exact": Score(value=1.0)} for name, one in measured.items()},
        possible_scores(possible)["detectable.share"], samples=cell.samples, suspects=int(withheld.sum()),
        must_see=0.01,
    )  # fmt: skip


def measured_by(cell: Cell, seed: int, spending: Spending) -> Exposure:
    """Return what one detector measures on one simulated set."""
    drawn = draw(cell, seed, between=True)
    best = np.concatenate([block.max(axis=0).reshape(-1, SLICES).max(axis=1) for block in drawn.by_item])
    return measure_exposure(
        drawn.nearest, drawn.to_train, best, level=drawn.verbatim[0], split=None, seed=seed,
        seen_level=drawn.seen, spending=spending,
    )  # fmt: skip


def line(cell: Cell, draws: int, detectors: Detectors) -> str:
    """Return the shares of verdicts over all draws."""
    verdicts = [verdict_of(cell, seed, detectors) for seed in range(draws)]
    kinds = Counter(verdict.kind for verdict in verdicts)
    clear = sum(verdict.exit_code == CLEAR for verdict in verdicts)
    counts = (kinds["hold"], kinds["nothing found"], clear, kinds["cannot tell"])
    copies = COPIES[cell.noise] if cell.dose else "-"
    shares = "".join(f"{count / draws:12.3f}" for count in counts)
    return f"{cell.kind:10}{cell.samples:8}{cell.dose:8.2f}  {copies:8}{shares}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--detectors", type=int, default=1)
    parser.add_argument("--undivided", action="store_true", help="leave all of the error to each detector")
    parser.add_argument("--honest", action="store_true", help="only sets without copies")
    given = parser.parse_args()
    detectors = Detectors(given.detectors, SPENDING if given.undivided else divided(SPENDING, given.detectors))
    head = "".join(f"{name:>12}" for name in ("hold", "nothing", "of these 0", "cannot tell"))
    print(f"{'generator':10}{'samples':>8}{'share':>8}  {'copies':8}{head}")
    for samples in (200, 1000):
        for kind in ("sharp", "blurred"):
            for share in SHARES[: 1 if given.honest else None]:
                for noise in list(COPIES)[: None if share else 1]:
                    print(line(Cell(TRAIN, HELDOUT, samples, kind, share, noise), given.draws, detectors), flush=True)


if __name__ == "__main__":
    main()
