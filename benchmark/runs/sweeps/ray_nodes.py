"""Whether the nodes of a cluster can run the cells of a sweep: found out on each node, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark import __version__
from benchmark.core import cluster_nodes
from benchmark.core.errors import MachineError
from benchmark.runs.sweeps.cells import Cell
from benchmark.runs.sweeps.ray_task import read_by

ANSWER_SECONDS = 60.0
"""How long a node may take to start a process and look: also one that reads its Python from a busy file server."""


def require_nodes(ray: Any, cells: Sequence[Cell], demand: Mapping[str, float], shared: str) -> None:
    """Raise MachineError where no node has what a cell demands, or one that has it lacks the data or this package."""
    able = _able_nodes(ray, demand)
    lacking = [text for text in _answers(ray, able, _read(cells), shared) if text]
    if lacking:
        raise MachineError(
            "; ".join(sorted(lacking)),
            "install the same version of memobench and mount the same folders on every node, "
            "or start that node with --num-cpus 0, so that it gets no cells",
        )


def _able_nodes(ray: Any, demand: Mapping[str, float]) -> list[str]:
    """Return the ids of nodes that are large enough for a cell. Raises MachineError where there is none."""
    cpus, gpus = demand["num_cpus"], demand["num_gpus"]
    able = [
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus and node["Resources"].get("GPU", 0) >= gpus
    ]
    if not able:
        wanted = f"{cpus:g} CPU core{'s' * (cpus != 1)}" + (f" and {gpus:g} GPU{'s' * (gpus != 1)}" if gpus else "")
        raise MachineError(
            f"a cell demands {wanted}, and no node of the Ray cluster has that much",
            "add such a node to the cluster, or demand less: fewer processes per cell, or --device cpu",
        )
    return able


def _read(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return all that the cells read; a sweep of thousands of cells names few different folders."""
    return tuple(sorted({path for cell in cells for path in read_by(cell.config)}))


def _answers(ray: Any, nodes: Sequence[str], folders: tuple[str, ...], shared: str) -> list[str]:
    """Ask each node what it lacks; one that does not answer in time is named by its number."""
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cloudpickle.register_pickle_by_value(cluster_nodes)  # a node without memobench can tell so
    try:
        look = ray.remote(cluster_nodes.missing_on_this_node)
        asked = {
            look.options(
                num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(__version__, folders, shared): node
            for node in nodes
        }
        ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        return [_answer(ray, ref, asked[ref]) for ref in ready] + [
            f"node {asked[ref][:8]} did not answer within {ANSWER_SECONDS:g} s" for ref in silent
        ]
    finally:
        cloudpickle.unregister_pickle_by_value(cluster_nodes)


def _answer(ray: Any, ref: Any, node: str) -> str:
    try:
        return str(ray.get(ref))
    except ray.exceptions.RayError:
        return ""  # the node was lost in between: Ray gives it no cells
