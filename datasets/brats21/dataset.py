"""BraTS 2021 and 2023: the slices of BraTS 2020, from the names of the later releases."""

from __future__ import annotations

from dataclasses import dataclass

from ..brats20.dataset import Brats20  # noqa: TID252 (absolute, mypy cannot find it in a checkout)


@dataclass(frozen=True)
class Brats21(Brats20):
    """As Brats20; a patient's later visits (BraTS-GLI-00001-001) stay with the first."""
