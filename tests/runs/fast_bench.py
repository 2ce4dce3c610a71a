"""`bench` with a copy detector that trains in seconds, and few alignments of suspects; nothing else is changed."""

from dataclasses import dataclass

from benchmark.cli.app import main
from benchmark.detectors import copy as contrastive
from benchmark.evaluation import suspects


@dataclass(frozen=True)
class Options(contrastive.Options):
    """The detector's options, small."""

    size: int = 32
    width: int = 8
    steps: int = 60
    batch_size: int = 32


contrastive.Options = Options  # type: ignore[misc]  # in the processes of a sweep too, which import this file
suspects.ALIGNED = 12

if __name__ == "__main__":
    main()
