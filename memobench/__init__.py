"""memobench: has a generative model of medical images memorised its training patients?

    import memobench as mb

    result = mb.audit(train, heldout, synthetic)
    print(result.verdict)

Everything is imported on first use: `import memobench` itself loads neither NumPy nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark import __version__
from benchmark.core.errors import (
    AdapterError,
    BadDataError,
    BenchError,
    DeclinedError,
    MachineError,
    MissingDataError,
    UsageError,
)

if TYPE_CHECKING:
    from benchmark.api.audit import audit
    from benchmark.api.load import load
    from benchmark.api.plant import Planted, plant
    from benchmark.api.results import AuditResult, Interval, Result, RunResult, SavedAudit, Verdict
    from benchmark.api.run import run
    from benchmark.api.search import Neighbours, search
    from benchmark.api.watch import TrainingWatch, watch

__all__ = [
    "AdapterError", "AuditResult", "BadDataError", "BenchError", "DeclinedError", "Interval", "MachineError",
    "MissingDataError", "Neighbours", "Planted", "Result", "RunResult", "SavedAudit", "TrainingWatch", "UsageError",
    "Verdict", "__version__", "audit", "load", "plant", "run", "search", "watch",
]  # fmt: skip

_MODULES = {
    "audit": "audit", "load": "load", "plant": "plant", "Planted": "plant", "run": "run", "search": "search",
    "Neighbours": "search", "AuditResult": "results", "Interval": "results", "Result": "results",
    "RunResult": "results", "SavedAudit": "results", "TrainingWatch": "watch", "Verdict": "results", "watch": "watch",
}  # fmt: skip
"""Names to the modules of benchmark/api that have them."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'memobench' has no attribute {name!r}")
    value = getattr(import_module(f"benchmark.api.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
