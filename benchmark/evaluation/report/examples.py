"""One example of each planted copy, so that a reader sees what was tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.evaluation.figures import plane
from benchmark.evaluation.report.compare import grey_range, to_grey

if TYPE_CHECKING:
    from benchmark.core.types import Array, Cohort


def planted_examples(cohort: Cohort) -> dict[str, Array]:
    """Return the first training image after each transformation, uint8 (rows, columns); its middle slice of a volume.

    Local copies show a part of it inside the first held-out image, where there is one.
    """
    import torch

    from benchmark.images.planted_copies import LOCAL_AS, PASTED, PLANTED

    source = torch.from_numpy(cohort.train.images([0]))
    made = {name: transformation(source) for name, transformation in PLANTED.items()}
    if len(cohort.heldout):
        host = torch.from_numpy(cohort.heldout.images([0]))
        made |= {name: PASTED[kind][strength](source, host) for name, (kind, strength) in LOCAL_AS.items()}
    planes = {name: plane(image.contiguous().numpy()[0, 0]) for name, image in made.items()}
    # One range for all, so that a change of contrast stays visible.
    limits = grey_range(planes["exact"])
    return {name: to_grey(image, limits) for name, image in planes.items()}
