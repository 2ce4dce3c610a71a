"""One part in a process of its own: `python -m scripts.gpu_checks.child MODULE ...`, started by the parent."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from scripts.gpu_checks.check import Check, SkippedError, first_line


def end_with(parent: int) -> None:
    """End this process and all that it started once its parent is gone: the GPU must be free for others."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run a part; return 0, also where it was skipped, or 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    faulthandler.enable()
    threading.Thread(target=end_with, args=(given.parent,), daemon=True).start()
    check = Check(given.device, given.tiny, given.folder, given.lines, time.monotonic() + given.seconds)
    try:
        importlib.import_module(given.module).run(check)
    except SkippedError as reason:
        write(given.lines, "skip", str(reason))
    except Exception as error:  # noqa: BLE001  whatever it is, it belongs into the result
        traceback.print_exc()
        write(given.lines, "failed", first_line(error))
        return 1
    return 0


def write(lines: Path, kind: str, text: str) -> None:
    """Append one finding."""
    with lines.open("a", encoding="utf-8") as file:
        file.write(json.dumps({kind: text}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
