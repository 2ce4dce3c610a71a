"""How many planted copies a detector finds: known training images after a known transformation, or parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import InOtherProcess, patient_codes
from benchmark.detectors.fitting import rows_in_memory
from benchmark.images.planted_copies import PLANTED
from benchmark.records.detector_audits import SEEING, blind_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Detector, HasReconstruction, Images, Match
    from benchmark.detectors.bank import Bank
    from benchmark.evaluation.resumable_search import Searching
    from benchmark.images.planted_copies import Pasting, Transformation
    from benchmark.search import Rows

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

COPIES = 200
"""Training images that are copied: recall is then known to about 3 % (one standard error at 0.8, patients apart)."""


@dataclass(frozen=True)
class Planted:
    """The training images that are copied, (n,) of each."""

    positions: Codes
    """Where they stand in the training split, ascending."""
    codes: Codes
    """Their patients, from 0."""
    train_codes: Codes
    """The unit of every training image, (M,): a copy counts as found where its own patient is nearest, or a patient who
    shares an image with it: of two equal images either may be named."""
    hosts: Codes
    """Where the held-out images that parts are pasted into stand among all real images, (n,).

    Hosts are held out because copies are searched among training images: the host's own patient is not there (splits
    keep patients together), so that the patient of the source is the only right answer.
    """


def choose_planted(bank: Bank, *, seed: int) -> Planted:
    """Choose up to COPIES training images at random."""
    order = np.random.default_rng([seed, bank.train]).permutation(bank.train)
    positions = np.sort(order[:COPIES])
    train_codes = patient_codes(bank.real.dealt[: bank.train])
    codes = patient_codes([bank.real.subjects[position] for position in positions])
    return Planted(positions, codes, train_codes, _choose_hosts(bank, len(positions), seed))


def _choose_hosts(bank: Bank, count: int, seed: int) -> Codes:
    """Draw held-out images; where there are fewer than count, each is used several times."""
    heldout = np.random.default_rng([seed, bank.train, 1]).permutation(len(bank.real) - bank.train)
    return np.resize(bank.train + heldout, count)


def embed_planted(detector: Detector, bank: Bank, planted: Planted, transformation: Transformation) -> Rows:
    """Transform the chosen images and embed them, n rows."""
    import torch

    images = transformation(torch.from_numpy(bank.real.images(planted.positions)))
    return rows_in_memory(detector, images.contiguous().numpy())


def embed_pasted(detector: Detector, bank: Bank, planted: Planted, pasting: Pasting) -> Rows:
    """Paste a part of each chosen image into its host and embed the result, n rows."""
    import torch

    sources, hosts = (torch.from_numpy(bank.real.images(index)) for index in (planted.positions, planted.hosts))
    return rows_in_memory(detector, pasting(sources, hosts).contiguous().numpy())


def reconstructed(adapter: HasReconstruction, bank: Bank, planted: Planted, *, seed: int) -> Images:
    """Pass the chosen images through the model's own autoencoder, (n, C, *spatial), float32 in [-1, 1].

    A model that generates in a latent space can only return copies that went through its decoder: this is what the
    nearest possible copy of such a model looks like. Encoders that draw at random draw from `seed`.

    Raises AdapterError for images that are not finite, of another shape or outside [-1, 1].
    """
    from benchmark.core.seeding import seed_all
    from benchmark.images.sample_checks import check_samples

    originals = bank.real.images(planted.positions)
    (adapter.seed_all if isinstance(adapter, InOtherProcess) else seed_all)(seed)
    images = np.asarray(adapter.reconstruct(originals), dtype=np.float32)
    check_samples(images, slice(0, len(originals)), bank.real.shape, "reconstruct")
    return np.clip(images, -1, 1)  # check_samples allows values that exceed the range by rounding


def blindness(detector: Detector, bank: Bank, planted: Planted, tau: float, searching: Searching) -> str:
    """Return why a detector cannot be trusted on this cohort, or nothing: unchanged copies have to be found.

    A detector of zeros, of noise, or with a fault sees nobody, and its zero would be read as an all-clear.
    """
    copies = embed_planted(detector, bank, planted, PLANTED["exact"])
    share = float(np.mean(found_copies(searching.nearest(copies, bank.part("train")), planted, tau)))
    if share >= SEEING:
        return ""
    return (
        f"refused: this detector is blind here: {blind_reason(share)}, so that copies among the samples cannot be "
        "seen; take another detector"
    )


def found_copies(match: Match, planted: Planted, tau: float) -> Flags:
    """Return which copies, (n,), are nearest to an image of their own patient, and more similar to it than tau."""
    own = planted.train_codes[match.index] == planted.train_codes[planted.positions]
    return np.asarray((match.similarity > tau) & own)
