"""Repositories that a model needs and whose licence forbids including them here: fetched by git on request."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import MachineError, UsageError
from benchmark.core.files import atomic_write

if TYPE_CHECKING:
    from benchmark.plugins.registry import ModelCard


def checkout_folder(name: str) -> Path:
    """Return where a model's repository is installed: $MEMOBENCH_HOME/checkouts/NAME; the default is ~/.memobench."""
    home = os.environ.get("MEMOBENCH_HOME")
    return (Path(home) if home else Path.home() / ".memobench") / "checkouts" / name


def install(card: ModelCard, *, accepted: bool) -> Path:
    """Clone a model's repository at the commit in its card, unless it is there already, and return the folder.

    Raises UsageError for a model that needs none and for terms that were not accepted, MachineError when git fails.
    """
    if card.checkout is None:
        raise UsageError(f"{card.name} needs no checkout", f"run it: bench run --model {card.name} --data phantom-mr")
    if not accepted:
        raise UsageError(
            f"{card.checkout.repository}: {card.checkout.terms}", "add --accept-licence if you may use it so"
        )
    folder = checkout_folder(card.name)
    if not folder.is_dir():
        with atomic_write(folder) as temporary:
            _git("clone", "--quiet", card.checkout.repository, str(temporary))
            _git("-C", str(temporary), "checkout", "--quiet", "--detach", card.checkout.commit)
    return folder


def _git(*arguments: str) -> None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise MachineError("there is no git on this machine", "install git, or clone the repository by hand") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["git said nothing"])[-1]
        raise MachineError(f"git {arguments[0]} failed: {last}", "check the network, and run the same command again")
