"""What a node of a cluster must have before anything is trained on it: this package, and the folders that are read.

Sent to nodes as it is, by value: it imports nothing that a node without memobench would lack.
"""

from __future__ import annotations

import importlib.metadata
import os
import socket


def missing_on_this_node(version: str, folders: tuple[str, ...], shared: str) -> str:
    """Return in one sentence what this node lacks; nothing where it lacks nothing.

    Args:
        version: of memobench, as on the node that submits.
        folders: absolute paths that are read.
        shared: a file that the submitting node has just written to the folder of results.
    """
    name = socket.gethostname()
    try:
        here = importlib.metadata.version("memobench")
    except importlib.metadata.PackageNotFoundError:
        return f"node {name} has no memobench"
    if here != version:
        return f"node {name} has memobench {here}, and this machine {version}"
    for folder in folders:
        if not os.path.exists(folder):  # noqa: PTH110
            return f"node {name} does not have {folder}"
    if shared and not os.path.exists(shared):  # noqa: PTH110
        return f"node {name} does not see what this machine writes to {os.path.dirname(shared)}"  # noqa: PTH120
    return ""


def node_name() -> str:
    """Return the name of this node."""
    return socket.gethostname()
