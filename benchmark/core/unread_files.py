"""Files of a run or cache that need no digest, since they decide no result: marks, locks, logs, images, pages."""

from __future__ import annotations

from pathlib import Path

NAMES = (
    ".gitignore", "CACHEDIR.TAG", "PRIVATE.txt", "layout.json", "log.jsonl", "model.log", "report.html", "run.log",
    "summary.html",
)  # fmt: skip
FOLDERS = ("figures", "tensorboard", "trackers")
LOCKS = (".lock", ".lock.lease")


def is_unread(path: Path, folder: Path) -> bool:
    """Return whether a file below a folder decides no result."""
    parts = path.relative_to(folder).parts
    return path.name.endswith(LOCKS) or path.name in NAMES or any(part in FOLDERS for part in parts[:-1])
