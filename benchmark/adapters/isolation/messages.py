"""Messages between the evaluator and the process of a model: JSON and plain arrays, of lengths that are checked.

Nothing that is received is run: there is no pickle, and no name in a message chooses code of the receiver.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmark.core.types import Array

LENGTH = struct.Struct("<Q")
TEXT = 2**28
"""Most bytes of the JSON of a message: the names of some million items."""
KINDS = "biufc"
"""Kinds of arrays: truth values, integers, floating-point and complex numbers; no objects and no text."""
PIECE = 2**20
AXES = 8
"""Most axes of an array."""


class MessageError(Exception):
    """What was received is no message, or larger than was asked for."""


class ClosedError(Exception):
    """The other process has closed its end, or has ended."""


@dataclass(frozen=True)
class Message:
    """JSON values by name, and arrays."""

    values: Mapping[str, Any]
    arrays: tuple[Array, ...] = ()


class Channel:
    """One end of a connection between two processes."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._sending = end, threading.Lock()

    def send(self, values: Mapping[str, Any], arrays: Sequence[Array] = ()) -> None:
        """Send values and arrays. Raises ClosedError, and TypeError for an array that holds no numbers."""
        whole = [_plain(array) for array in arrays]
        text = json.dumps({"values": values, "arrays": [(one.dtype.str, one.shape) for one in whole]}, default=str)
        try:
            with self._sending:
                self._end.sendall(LENGTH.pack(len(text.encode())) + text.encode())
                for array in whole:
                    self._end.sendall(array.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise ClosedError from error

    def receive(self, most: int, text: int = TEXT) -> Message:
        """Return the next message. Raises ClosedError, MessageError.

        Args:
            most: bytes that its arrays may have.
            text: bytes that its JSON may have.
        """
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > text:
            raise MessageError(f"a message of {length} bytes")
        try:
            content = json.loads(self._read(length))
            values, layouts = content["values"], [_layout(*layout) for layout in content["arrays"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise MessageError("a message that cannot be read") from error
        if not isinstance(values, dict):
            raise MessageError("a message without values")
        size = sum(dtype.itemsize * math.prod(shape) for dtype, shape in layouts)
        if size > most:
            raise MessageError(f"arrays of {size} bytes, where {most} are the most")
        return Message(values, tuple(self._array(dtype, shape) for dtype, shape in layouts))

    def send_file(self, file: int) -> None:
        """Give the other process its own descriptor of an open file. Raises ClosedError."""
        try:
            socket.send_fds(self._end, [b"f"], [file])
        except OSError as error:
            raise ClosedError from error

    def receive_file(self) -> int:
        """Return the descriptor that `send_file` sent. Raises ClosedError."""
        _, files, _, _ = socket.recv_fds(self._end, 1, 1)
        if not files:
            raise ClosedError
        return files[0]

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        return np.frombuffer(self._read(dtype.itemsize * math.prod(shape)), dtype).reshape(shape)

    def _read(self, length: int) -> bytearray:
        """Read so many bytes; memory is taken as they come, not for a length that was only announced."""
        content = bytearray()
        while len(content) < length:
            try:
                piece = self._end.recv(min(length - len(content), PIECE))
            except OSError as error:
                raise ClosedError from error
            if not piece:
                raise ClosedError
            content += piece
        return content


def _plain(array: Array) -> Array:
    if array.dtype.kind not in KINDS:
        raise TypeError(f"an array of type {array.dtype} holds no numbers")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)


def _layout(kind: Any, shape: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return type and shape of an announced array. Raises ValueError or TypeError for what is none."""
    dtype = np.dtype(str(kind))
    if dtype.kind not in KINDS or len(shape) > AXES or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("no plain array")
    return dtype, tuple(shape)
