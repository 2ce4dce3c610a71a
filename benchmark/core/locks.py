"""Locks on folders, between the processes of one machine and between the nodes that share a file system.

Two locks are held together, because neither is enough alone:

- flock, the lock of the operating system, ends with its process. It is safe on one machine, and between nodes where the
  file system passes it on (NFS 4, GPFS, CephFS, Lustre mounted with `flock`). Others grant it to each node separately
  (Lustre with `localflock`, BeeGFS unless configured) and report no error.
- A lease: a file whose time of change the holder renews. It works on every shared file system that creates files
  exclusively. Another node takes it over after it has seen no renewal for `LEASE_SECONDS` by its own clock, so that
  clocks which differ between nodes do no harm.

A lease can be lost by a process that was suspended for longer than that. Such a process is told (`Held.require`) and
ends before it stores the result of a stage. What it wrote until then is harmless: files are written completely under
names of their own (`atomic_write`), and both processes compute the same from the same configuration.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, SoftFileLease, Timeout

from benchmark.core.errors import MachineError

LEASE_SECONDS = 120.0
"""A holder that gave no sign for so long is dead. Longer than a busy file server keeps a node waiting; the same for all
processes, which refuse each other's lease otherwise."""
BEATS = 12
"""How often the lease is renewed in that time: some renewals may fail before it is lost."""
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LOOK_SECONDS = 0.5
"""How often a process that waits looks again."""


@dataclass(frozen=True)
class Held:
    """A lock while it is held."""

    lease: SoftFileLease

    def require(self) -> None:
        """Raise MachineError where another node has taken the lock over."""
        if self.lease.compromise is not None:
            raise MachineError(
                f"another node has taken over {Path(self.lease.lock_file).parent}, "
                f"because this process gave no sign for {LEASE_SECONDS:g} s",
                "nothing is lost: let the other one finish, and run the same command again",
            )


@contextmanager
def held_for_cache(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a part of a cache, or none where the cache may only be read: nothing changes there then.

    Whatever the block would have to write into a cache that may only be read fails with an error that names the file.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(path, waiting=waiting))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
        yield


@contextmanager
def held(path: Path, *, wait: bool = True, waiting: Callable[[], None] = lambda: None) -> Iterator[Held]:
    """Hold the lock `path`, a file that may not exist yet in a folder that does.

    Args:
        path: the file of flock; the lease has its name and `.lease`.
        wait: whether to wait for another holder. A holder of this machine is seen at once, one of another node when it
            renews its lease or has not done so for `LEASE_SECONDS`.
        waiting: called before any waiting.

    Raises Timeout where another process holds it and `wait` is false.
    """
    lock = FileLock(path)
    lease = SoftFileLease(
        path.with_name(f"{path.name}.lease"), lease_duration=LEASE_SECONDS, heartbeat_interval=LEASE_SECONDS / BEATS
    )
    _acquire_flock(lock, wait, waiting)
    try:
        _acquire_lease(lease, wait, waiting)
        try:
            yield Held(lease)
        finally:
            lease.release()
    finally:
        lock.release()


def _acquire_flock(lock: FileLock, wait: bool, waiting: Callable[[], None]) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        waiting()
        lock.acquire(poll_interval=LOOK_SECONDS)


def _acquire_lease(lease: SoftFileLease, wait: bool, waiting: Callable[[], None]) -> None:
    try:
        lease.acquire(timeout=0)  # what a dead process of this machine left is taken at once
        return
    except Timeout:
        waiting()
    first = _renewed(lease)
    while not lease.is_locked:
        try:
            # One object tries again and again: it counts how long the file has not changed.
            lease.acquire(timeout=LOOK_SECONDS, poll_interval=LOOK_SECONDS / 2)
        except Timeout:
            if not wait and _renewed(lease) != first:  # its holder is alive
                raise


def _renewed(lease: SoftFileLease) -> int:
    """Return when the lease was last renewed, in ns of the file server's clock; 0 where there is none."""
    try:
        return Path(lease.lock_file).lstat().st_mtime_ns
    except FileNotFoundError:
        return 0
