"""Rotated copies of lung patches, whose sources are known: recall and precision of each detector.

    python scripts/make_layouts.py luna LUNA
    python scripts/luna_copies.py LUNA [--detector copy] [--detector pixels] ...

The patches of ../shared/data/ct_luna16_patches50 come with 1,382 copies rotated by 90 or 180 degrees, whose sources
are known. Copies of training patches should be found; copies of held-out patches have no source in train, so that
flagging one is an error, and so is flagging a test patch. Recall: of the copies of training patches, the share that is
above tau with the true source as its nearest patch. Precision: of everything flagged, the share that is such a copy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmark.cohorts.open import DataConfig, build_dataset
from benchmark.cohorts.prepare import prepare
from benchmark.core.progress import to_stderr
from benchmark.core.types import Cohort, patient_codes, to_images
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import Fitted, fit_detector
from benchmark.detectors.registry import choose, detector_cards
from benchmark.images.resize import resize_smooth, to_uint8
from benchmark.metrics.calibration import conformal_quantile
from benchmark.search import Rows, nearest

SOURCE = Path(__file__).resolve().parents[2] / "shared" / "data" / "ct_luna16_patches50" / "ct_luna16_patches50.npz"


def copies(names: tuple[str, ...], side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rotated patches (N, 1, side, side), each source's position in train (-1: held out), and the angles."""
    archive = np.load(SOURCE)
    places = {name: position for position, name in enumerate(names)}
    order, blocks = archive["candidate_index"], archive["candidate_index"] // 620
    within = {int(index): int((order[blocks == index // 620] < index).sum()) for index in order}
    wanted = [f"block_{i // 620:03d}_{within[int(i)]:05d}" for i in archive["rot_source_candidate_index"]]
    pixels = np.stack([to_uint8(resize_smooth(plane, side)) for plane in archive["rot_images"]])[:, None]
    return to_images(pixels), np.array([places.get(name, -1) for name in wanted]), archive["rot_degrees"]


def judge(fitted: Fitted, cohort: Cohort) -> str:
    """Return one line of the table."""
    bank = bank_of(cohort, fitted)
    train = bank.part("train")
    near = nearest(bank.part("calibration"), train).similarity
    tau = conformal_quantile(near, patient_codes(cohort.calibration.subjects))
    images, sources, degrees = copies(cohort.train.items, cohort.train.shape[-1])
    match = nearest(Rows.of(fitted.detector.embed(images), fitted.detector.similarity), train)
    flagged = match.similarity > tau
    right = flagged & (match.index == sources)
    wrong = (nearest(bank.part("test"), train).similarity > tau).sum() + (flagged & ~right).sum()
    known = sources >= 0
    recall = {angle: right[known & (degrees == angle)].mean() for angle in (90, 180)}
    return (
        f"{fitted.name:28}{right[known].mean():8.3f}{recall[90]:8.3f}{recall[180]:8.3f}"
        f"{right.sum() / max(1, right.sum() + wrong):11.3f}{flagged[~known].mean():13.3f}"
    )


def main() -> None:
    """Print one line per detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--detector", action="append")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    given = parser.parse_args()
    card, dataset = build_dataset(DataConfig(name="folder", image_size=64))
    cohort = prepare(card.name, dataset, given.root, given.cache, log=to_stderr)
    print(f"{'detector':28}{'recall':>8}{'90 deg':>8}{'180 deg':>8}{'precision':>11}{'false alarms':>13}")
    for text in given.detector or [card.name for card in detector_cards().values() if not card.needs_file]:
        fitted = fit_detector(choose(text), cohort, cache=given.cache, device="auto", log=to_stderr)
        print(judge(fitted, cohort), flush=True)


if __name__ == "__main__":
    main()
