"""`bench` with a copy detector that trains in seconds, few alignments of suspects, and looks that may take long."""

from dataclasses import dataclass

from benchmark.cli.start import main
from benchmark.detectors import copy as contrastive
from benchmark.evaluation import suspects, watch_plan
from benchmark.runs.sweeps import engines


@dataclass(frozen=True)
class Options(contrastive.Options):
    """The detector's options, small."""

    size: int = 32
    width: int = 8
    steps: int = 60
    batch_size: int = 32


contrastive.Options = Options  # type: ignore[misc]  # in the processes of a sweep too, which import this file
suspects.ALIGNED = 12
watch_plan.SEARCH_SHARE = 1e9  # toy trainings are over in the time of a few comparisons
engines.ENGINES["ray"] = "fast_ray_engine"

if __name__ == "__main__":
    main()
