"""`bench` with a copy detector that trains in seconds: a test's stand-in for patience, nothing else is changed."""

from dataclasses import dataclass

from benchmark.cli.app import main
from benchmark.detectors import copy as contrastive


@dataclass(frozen=True)
class Options(contrastive.Options):
    """The detector's options, small."""

    size: int = 32
    width: int = 8
    steps: int = 60
    batch_size: int = 32


if __name__ == "__main__":
    contrastive.Options = Options  # type: ignore[misc]
    main()
