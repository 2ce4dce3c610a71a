"""TorchScript in a process of its own: it gets the images that it embeds, and has no access to this process's memory.

Images and vectors cross as bytes with their shape, so that nothing that comes back is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import socket
import subprocess
import sys
import threading
import weakref
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import AdapterError, BadDataError
from benchmark.core.processes import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchmark.core.types import Array

PATIENCE_SECONDS = 600.0
"""A batch of 32 planes takes seconds on a processor; a network that takes longer than this never ends."""
MOST_ANSWER = 2**28
"""Bytes of one answer: 32 vectors of two million numbers."""
LONGEST = 200
"""Letters of a library's message that are shown."""


class ScriptProcess:
    """A TorchScript network in another process; call it with planes (N, 3, H, W), float32, for vectors (N, D).

    Raises BadDataError for a file that is no TorchScript or has another SHA-256, AdapterError where the process ends or
    answers with something else than finite vectors.
    """

    def __init__(self, path: Path, sha256: str, device: str) -> None:
        import torch

        self._path = path
        self._turn = threading.Lock()
        own, other = socket.socketpair()
        command = [sys.executable, "-P", "-m", __name__, str(other.fileno()), str(path.absolute()), sha256, device]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command += [str(torch.get_num_threads()), str(os.getpid())]
        self._process = subprocess.Popen(command, pass_fds=[other.fileno()], env=environment)  # noqa: S603
        other.close()
        self._own = Connection(own.detach())
        self._close = weakref.finalize(self, _end, self._process, self._own)
        if reason := self._answer()[0].get("error"):
            raise BadDataError(f"{path} is not a TorchScript file: {reason}", "save it with torch.jit.save")

    def __call__(self, planes: Tensor) -> Tensor:
        """Return the vectors of planes, on the device that they are on."""
        import torch

        with self._turn:
            try:
                _send(self._own, planes.detach().cpu().float().numpy())
            except OSError:
                raise self._ended() from None
            told, content = self._answer()
        if "error" in told:
            raise AdapterError(f"{self._path} failed on {len(planes)} images: {told['error']}", "give another encoder")
        return torch.from_numpy(_vectors(told, content, len(planes), self._path)).to(planes.device)

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        try:
            if not self._own.poll(PATIENCE_SECONDS):
                self._close()
                raise AdapterError(
                    f"{self._path} did not answer within {PATIENCE_SECONDS:g} s", "give another encoder, or a GPU"
                )
            told = json.loads(self._own.recv_bytes(MOST_ANSWER))
            content = self._own.recv_bytes(MOST_ANSWER)
        except (EOFError, OSError, ValueError, RecursionError):
            raise self._ended() from None
        return (told if isinstance(told, dict) else {}), content

    def _ended(self) -> AdapterError:
        self._close()
        return AdapterError(
            f"{self._path} ended its process, with exit code {self._process.wait()}",
            "give another encoder; there may be too little memory for this one",
        )


def _end(process: subprocess.Popen[bytes], own: Connection) -> None:
    own.close()
    process.kill()
    process.wait()


def _send(pipe: Connection, array: Array) -> None:
    pipe.send_bytes(json.dumps({"shape": array.shape}).encode())
    pipe.send_bytes(np.ascontiguousarray(array, np.float32).tobytes())


def _vectors(told: dict[str, Any], content: bytes, count: int, path: Path) -> Array:
    """Return the vectors of an answer, (N, D), float32, of which nothing is believed before it is checked."""
    shape = told.get("shape")
    if not isinstance(shape, list) or len(shape) != 2 or any(type(size) is not int or size < 1 for size in shape):
        shape = [0]
    if shape[0] != count or math.prod(shape) * 4 != len(content):
        raise AdapterError(f"{path} gave no {count} vectors", "wrap it so that it returns (N, D)")
    rows = np.frombuffer(content, np.float32).reshape(shape).copy()
    if not np.isfinite(rows).all():
        raise AdapterError(f"{path} gave vectors that are not finite", "give another encoder")
    return rows


def serve(pipe: Connection, network: Callable[[Tensor], Tensor], device: str) -> None:
    """Answer planes with vectors until the other end is closed."""
    import torch

    while True:
        try:
            shape = json.loads(pipe.recv_bytes())["shape"]
            planes = np.frombuffer(bytearray(pipe.recv_bytes()), np.float32).reshape(shape)
        except EOFError:
            return
        try:
            with torch.inference_mode():
                rows = network(torch.from_numpy(planes).to(device)).float().cpu().numpy()
        except Exception as error:  # noqa: BLE001 - code of the file raises anything
            _refuse(pipe, error)
        else:
            _send(pipe, rows)


def _refuse(pipe: Connection, error: BaseException) -> None:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:LONGEST]
    pipe.send_bytes(json.dumps({"error": text}).encode())
    pipe.send_bytes(b"")


def main() -> None:
    """Load the file that the command line names, and serve."""
    descriptor, path, sha256, device, threads, parent = sys.argv[1:]
    end_with_parent(int(parent))
    pipe = Connection(int(descriptor))
    import torch

    from benchmark.detectors.frozen import vectors_of

    torch.set_num_threads(int(threads))
    content = Path(path).read_bytes()  # what was compared is what is loaded
    try:
        if hashlib.sha256(content).hexdigest() != sha256.lower():
            raise ValueError("it has changed since its SHA-256 was compared")
        network = torch.jit.load(io.BytesIO(content), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        _refuse(pipe, error)
        return
    pipe.send_bytes(b"{}")
    pipe.send_bytes(b"")
    serve(pipe, lambda planes: vectors_of(network(planes)), device)


if __name__ == "__main__":
    main()
