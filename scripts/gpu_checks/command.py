"""The parent: options, one child per part, and the result on disk after each finding. It never imports torch."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from scripts.gpu_checks.parts import PARTS, CheckPart
from scripts.gpu_checks.result import Result, empty_part, save, take
from scripts.gpu_checks.table import goals_text, markdown, part_text

ROOT = Path(__file__).resolve().parents[2]
RESERVE = 2.0
"""Seconds kept back, so that a part that is stopped is still written down in time."""
POLL = 0.2
LOG_LETTERS = 500_000
"""The log of all parts keeps this many letters of each part's log, from its end."""


@dataclass(frozen=True)
class Options:
    """The options of a call."""

    minutes: float
    out: Path
    device: str
    tiny: bool
    command: str


def main(arguments: Sequence[str]) -> int:
    """Check, or print a table; return 1 where a part failed or was cut off, 2 for a part that does not exist."""
    given = _parse(arguments)
    if given.table:
        print(markdown(json.loads(given.table.read_text(encoding="utf-8"))))
        return 0
    known = [part.name for part in PARTS]
    wanted = given.only.split(",") if given.only else known
    if wrong := [name for name in wanted if name not in known]:
        print(f"there is no part {', '.join(wrong)}: choose from {','.join(known)}", file=sys.stderr)
        return 2
    shown = ["FOLDER" if before == "--out" else one for before, one in zip(["", *arguments], arguments, strict=False)]
    command = shlex.join(["python", "scripts/gpu_check.py", *shown])
    options = Options(given.minutes, given.out.resolve(), given.device, given.tiny, command)
    return check_all([part for part in PARTS if part.name in wanted], options)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check.py", description="What a few minutes on a GPU can tell.")
    parser.add_argument("--minutes", type=float, default=8, help="when it ends at the latest")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="folder of result.json and logs/")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: a rehearsal")
    parser.add_argument("--only", default="", help=f"of {','.join(part.name for part in PARTS)}")
    parser.add_argument("--table", type=Path, help="print the Markdown of a result.json, and check nothing")
    return parser.parse_args(arguments)


def check_all(parts: Sequence[CheckPart], options: Options) -> int:
    """Run the parts in order; return 1 where one failed or was cut off."""
    ends = time.monotonic() + 60 * options.minutes
    (options.out / "logs").mkdir(parents=True, exist_ok=True)
    result, path = begin(parts, options), options.out / "result.json"
    save(result, path)
    (options.out / "log.txt").write_text("", encoding="utf-8")
    before = signal.signal(signal.SIGTERM, _interrupt)  # so that a child does not outlive its parent by even a second
    try:
        for part in parts:
            _start(part, options, ends - time.monotonic() - RESERVE, result, path)
            save(result, path)
            print(part_text(part.name, result["parts"][part.name], judged=not options.tiny), flush=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"\n{goals_text(result)}\n\n{path}", flush=True)
    return int(any(entry["status"] in ("failed", "cut off") for entry in result["parts"].values()))


def _start(part: CheckPart, options: Options, left: float, result: Result, path: Path) -> None:
    """Run a part, or say that too little time is left for it. In a rehearsal a part may take all that is left."""
    least, most = (1.0, left) if options.tiny else (part.least, part.most)
    if left >= least:
        run_part(part, options, min(left, most), result, path)
    else:
        reason = f"{max(0.0, left):.0f} s left, {least:.0f} s needed"
        result["parts"][part.name] = empty_part("skipped", reason)


def begin(parts: Sequence[CheckPart], options: Options) -> Result:
    """Return a result in which nothing has been done."""
    commit, dirty = _commit()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "command": options.command, "commit": commit,
        "dirty": dirty, "sources": sources(), "device": options.device, "tiny": options.tiny,
        "minutes": options.minutes, "machine": {}, "parts": {part.name: empty_part("not started") for part in parts},
    }  # fmt: skip


def run_part(part: CheckPart, options: Options, seconds: float, result: Result, path: Path) -> None:
    """Run one part in a child for at most this many seconds, and take its findings over as they come.

    Its scratch folder is not in the folder of the results: that holds nothing but what has to be copied back.
    """
    with TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
        _run_child(part, options, seconds, result, path, Path(folder))


def _run_child(part: CheckPart, options: Options, seconds: float, result: Result, path: Path, folder: Path) -> None:
    lines, log = options.out / "logs" / f"{part.name}.jsonl", options.out / "logs" / f"{part.name}.log"
    lines.unlink(missing_ok=True)
    entry = result["parts"][part.name] = empty_part("running")
    save(result, path)
    command = [
        sys.executable, "-m", "scripts.gpu_checks.child", part.module, "--device", options.device, "--folder",
        str(folder), "--lines", str(lines), "--seconds", f"{seconds:.1f}", "--parent", str(os.getpid()),
        *(["--tiny"] if options.tiny else []),
    ]  # fmt: skip
    started = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            ended = _follow(child, started + seconds, lambda: _write_down(result, part.name, lines, path, started))
        finally:
            _kill(child)
    _write_down(result, part.name, lines, path, started)
    _append_log(options.out / "log.txt", part.name, log)
    entry["status"], reason = _outcome(entry, ended, child.returncode, seconds)
    entry["reason"] = entry["reason"] or reason


def _follow(child: subprocess.Popen[bytes], ends: float, look: Any) -> bool:
    """Wait for a child, calling `look` now and then; return False where its time is over first."""
    while time.monotonic() < ends:
        try:
            child.wait(POLL)
        except subprocess.TimeoutExpired:
            look()
        else:
            return True
    return False


def _write_down(result: Result, name: str, lines: Path, path: Path, started: float) -> None:
    """Take over new findings, and save where there are any."""
    entry = result["parts"][name]
    before = sum(len(entry[kind]) for kind in ("measurements", "notes", "failures"))
    take(result, name, lines)
    entry["seconds"] = round(time.monotonic() - started, 1)
    if sum(len(entry[kind]) for kind in ("measurements", "notes", "failures")) != before:
        save(result, path)


def _append_log(whole: Path, name: str, log: Path) -> None:
    """Put the end of a part's log into the one log of all parts."""
    text = log.read_text(encoding="utf-8", errors="replace")[-LOG_LETTERS:]
    with whole.open("a", encoding="utf-8") as file:
        file.write(f"===== {name}\n{text}\n")


def _outcome(entry: Mapping[str, Any], ended: bool, code: int, seconds: float) -> tuple[str, str]:
    if not ended:
        return "cut off", f"its {seconds:.0f} s were over"
    if code:
        why = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return "failed", f"{why}, see its log"
    if entry["failures"]:
        return "failed", f"{len(entry['failures'])} of its measurements, see its log"
    return ("skipped" if entry["reason"] else "done"), ""


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def environment() -> dict[str, str]:
    """Return the children's environment: the checkout first among packages, no look at the network."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(ROOT), *(str(Path(path).resolve()) for path in given if path)]  # children work in other folders
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip


def sources() -> str:
    """Return a digest of the Python files that are checked, for a checkout that came without its history."""
    digest = hashlib.sha256()
    for place in ("benchmark", "models", "datasets", "scripts/gpu_checks"):
        for file in sorted((ROOT / place).rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> tuple[str, bool]:
    try:
        return _git("rev-parse", "--short", "HEAD"), bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
