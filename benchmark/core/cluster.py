"""A Ray cluster: one that runs already, by its address, or one that is started on this machine and ends with its use.

Ray is the extra `ray`, imported only here and where its tasks are submitted.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.errors import MachineError, UsageError

STORE_BYTES = 128 << 20
"""Memory that a cluster of our own keeps for objects: tasks exchange lists of nearest images, not the images."""
SOCKET_SECONDS = 5.0
"""How long the port of a cluster may take to answer."""
PROBE_SECONDS = 45.0
"""How long Ray itself may take to connect, its import included; left to itself it tries for two minutes."""
LONGEST_FOLDER = 40
"""Ray's sockets lie some 60 characters below its folder, and Linux takes 107 characters for the path of a socket."""
OUT_OF_MEMORY_RETRIES = 2
"""How often a task is repeated that Ray ended because the node's memory was nearly full; Ray itself never stops."""


def require_ray() -> Any:
    """Import Ray, which sends no usage statistics then. Raises UsageError where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed", "install it: pip install 'memobench[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_task_oom_retries", str(OUT_OF_MEMORY_RETRIES))
    import ray

    _quiet(ray)
    return ray


def _quiet(ray: Any) -> None:
    """Keep Ray from printing hundreds of lines per lost node on standard output, which may be a file of JSON.

    Ray has no setting for these messages. Its function is private: a version without it prints them.
    """
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def connected(address: str | None, *, cpus: int | None = None) -> Iterator[Any]:
    """Connect to a Ray cluster and yield the module `ray`; disconnect at the end.

    Args:
        address: `auto` (the cluster that this node belongs to) or `host:port` of a running cluster, which is used as it
            is and left running. None starts one on this machine, whatever else runs here, and ends it.
        cpus: CPU cores that a cluster of our own has; all of the machine where none are given.

    A process that is connected already stays connected to the cluster that it has. Raises UsageError for an address
    that is none or where this process is connected and no address was given, MachineError where nothing answers.
    """
    ray = require_ray()
    if ray.is_initialized():
        if address is None:
            raise UsageError(
                "this process is connected to a Ray cluster already", "give its address, or `auto`, to use it"
            )
        yield ray
        return
    folder = _connect(ray, address, cpus)
    try:
        yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _connect(ray: Any, address: str | None, cpus: int | None) -> Path | None:
    """Connect, and return the folder of a cluster of our own."""
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if address is not None:
        require_reachable(address)
        ray.init(address=address, **quiet)
        return None
    folder = _short_folder()
    ray.init(
        address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE_BYTES,
        _temp_dir=str(folder), **quiet,
    )  # fmt: skip
    return folder


def in_task() -> bool:
    """Whether this process runs a task of a Ray cluster."""
    ray = sys.modules.get("ray")
    return bool(ray and ray.is_initialized() and ray.get_runtime_context().get_task_id() is not None)


def _short_folder() -> Path:
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=usual if len(usual) <= LONGEST_FOLDER else "/tmp"))  # noqa: S108


def require_reachable(address: str) -> None:
    """Raise MachineError where no Ray cluster answers at this address, and UsageError where it is no address."""
    host, colon, port = address.rpartition(":")
    if address.startswith("ray://"):
        raise UsageError(
            f"{address} is an address of Ray Client, which is not supported",
            "start the command on a node of the cluster, with the address auto (docs/clusters.md)",
        )
    if address != "auto":
        if not (colon and host and port.isdecimal()):
            raise UsageError(f"{address!r} is no address of a Ray cluster", "give auto, or host:port such as head:6379")
        _require_port(host, int(port), address)
    _require_ray_answers(address)


def _require_port(host: str, port: int, address: str) -> None:
    try:
        socket.create_connection((host, port), timeout=SOCKET_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error


def _require_ray_answers(address: str) -> None:
    """Connect in a process of its own: it can be ended, while Ray ends the process that waited too long."""
    code = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='error')"
    try:
        probe = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"no answer within {PROBE_SECONDS:g} s") from None
    if probe.returncode:
        lines = [line for line in probe.stderr.splitlines() if line.strip()]
        raise _unreachable(address, lines[-1] if lines else f"exit code {probe.returncode}")


def _unreachable(address: str, reason: str) -> MachineError:
    return MachineError(
        f"the Ray cluster at {address} cannot be reached: {reason}",
        "start it (`ray start --head`) and this command on one of its nodes, or leave the address out",
    )
