"""Every command on data full of canaries: none of them, and no pixel, is in a public output.

All private outputs are protected.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer
from canaries import leaks
from conftest import Bench, films
from dicom_files import write_slice
from PIL import Image
from pixels import pixel_leaks, pixels_of
from plugins_with_canaries import SOURCE
from tiny_pipeline import save_tiny
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import BenchError

C = {
    "root": "Qzhospital Nord", "folder": "qzward/Qzroom", "file": "qzscan7", "patient": "Qzmüller", "tag": "Qzdoe^Jane",
    "id": "QZ4711MRN", "table": "qzlist", "column": "qzcolumn", "site": "Qzcity", "prompt": "qzfindings of the lung",
    "marker": "Qzbrowski", "model": "Qzmodel", "data": "Qzdata", "detector": "Qzdetector", "plugins": "qzcode",
    "default": "qzdefault", "error": "qzerror of a patient", "remark": "qzremark", "channel": "qzchannel",
    "label": "qzlabel", "option": "qzoption", "preset": "qzpreset", "pipeline": "qzpipeline",
}  # fmt: skip
"""Canaries by kind; each begins with two letters that nothing else begins with."""
PATIENTS = 20
MODEL, DATA, DETECTOR = (f"./{C['plugins']}.py:{C[kind]}" for kind in ("model", "data", "detector"))
ROLES = f"patient=who,file={C['column']},site=where"
COHORT = (
    "--root", C["root"], "--image-size", 32, "--set-data", f"table={C['table']}.csv", "--set-data",
    "ending=dicom-images", "--cache", "cache",
)  # fmt: skip
OWN = (*COHORT, "--columns", ROLES, "--set-data", f"hospital={C['option']}")
SIDES = ("--train", "sides/train", "--heldout", "sides/heldout", "--synthetic", "sides/synthetic")
RUN = "runs/folder/*/seed-0"

COMMANDS: dict[str, tuple[int, tuple[object, ...]]] = {
    "datasets split": (0, (DATA, *OWN)),
    "datasets check": (0, (DATA, *OWN, "--json")),
    "detectors check": (0, ("--data", DATA, *OWN[: len(COHORT)], "--set-data", f"columns={ROLES}", "--detector",
                            f"{DETECTOR}:scanner={C['option']}", "--set-data", f"hospital={C['option']}")),
    "run": (0, ("--model", MODEL, "--preset", C["preset"], "--set", f"note={C['option']}", "--data", "folder", *COHORT,
                "--columns", ROLES, "--samples", 40, "--json")),
    "evaluate": (0, (RUN, "--detector", f"{DETECTOR}:scanner={C['option']}", "--json")),
    "report": (0, (RUN,)),
    "sweep": (5, ("--model", MODEL, "--set", f"note={C['option']}fails", "--data", "folder", *COHORT, "--set-data",
                  f"columns={ROLES};", "--samples", 40, "--name", "one", "--workers", 1)),
    "audit": (11, (*SIDES, "--quick", "--image-size", 32, "--out", "audited", "--cache", "cache", "--json")),
    "prompts": (0, (C["pipeline"], "--prompts", "prompts.csv", "--column", C["column"], "--steps", 2, "--seeds", 1,
                    "--tokens", 1, "--mitigate", 1, "--images", 2, "--insertions", 1, "--marker", C["marker"],
                    "--cache", "cache")),
    "reproduce": (2, ("dutt2025", "--root", C["root"])),
    "check": (0, (MODEL, "--set", f"note={C['option']}", "--only", "trains")),
    "demo": (2, ("--out", C["root"], "--no-open")),
    "metrics": (0, ("--json",)),
    "metrics show": (0, ("exposed.items", "--json")),
    "models": (0, ("--json",)),
    "models show": (0, ("ldm", "--json")),
    "models new": (0, ("new-model", "--out", "written")),
    "models install": (2, ("vae",)),
    "datasets": (0, ("--json",)),
    "datasets show": (0, ("folder",)),
    "detectors": (0, ("--json",)),
    "detectors show": (0, ("pixels", "--json")),
    "leaderboard submit": (0, (RUN,)),
    "leaderboard verify": (0, (f"{RUN}/record.json",)),
    "leaderboard validate": (0, ()),
    "leaderboard build": (0, ()),
    "leaderboard table": (0, ("--format", "latex", "--columns", "rank,model,preset,settings,device,exposed.items")),
    "leaderboard export": (0, (f"{RUN}/record.json", "--format", "every-eval-ever")),
    "leaderboard retract": (0, ("leaderboards/records/*.json", "--reason", "trained on test patients")),
    "runs list": (0, ("--json",)),
    "runs show": (0, ("sweeps/one", "--json")),
    "runs verify": (0, (RUN,)),
    "runs gc": (0, ("--cache", "cache", "--yes")),
    "runs rm": (0, (RUN, "--yes")),
}  # fmt: skip
"""Name, in the order of the calls -> exit code, arguments. `demo`, `models install` and `reproduce` are refused: the
first two read no data, and tests/text2image/studies has the study from end to end."""
PUBLIC_FILES = (
    "runs/**/record.json", "runs/**/summary.html", "audited/summary.json", "audited/summary.html",
    "audits/*/audit.json", "audits/*/audit.png", "leaderboards/*.md", "leaderboards/*.csv", "leaderboards/*.json",
    "leaderboards/records/*.json", "leaderboards/site/**/*.html", "leaderboards/site/**/*.parquet",
    "sweeps/*/index.html", "sweeps/*/table.*", "sweeps/*/means.*", "sweeps/*/trends.*", "prompts/*/summary.json",
    "prompts/*/tokens.json", "prompts/*/mitigations.json", "written/new_model/*",
)  # fmt: skip
"""What SECURITY.md calls public. Each pattern has to match a file, so that the test cannot pass on nothing."""
INPUTS = (C["root"], "sides", C["pipeline"], "prompts.csv", f"{C['table']}.csv", f"{C['plugins']}.py", "__pycache__")
PUBLIC_PLACES = ("leaderboards", "written")


LIGHT = ("demo", "metrics", "models", "runs", "leaderboard", "reproduce")
IN_PROCESS = (
    "datasets", "datasets show", "detectors", "detectors show",
    *(name for name in COMMANDS if name.split()[0] in LIGHT),
)  # fmt: skip
"""Commands that take no time, and are called here: the end of a process costs a second of processor time."""


def whole(stdout: str) -> str:
    return stdout


def answer(stdout: str) -> str:
    shown = json.loads(stdout)
    return json.dumps([shown["headline"], shown["record"]])


def outcome(stdout: str) -> str:
    return json.dumps({name: value for name, value in json.loads(stdout).items() if name != "folder"})


PUBLIC_STDOUT: dict[str, Callable[[str], str]] = {
    "run": answer, "evaluate": answer, "runs show": outcome, "leaderboard build": whole, "audit": whole,
    **dict.fromkeys(("leaderboard table", "leaderboard export"), whole),
    **dict.fromkeys(("metrics", "metrics show", "models", "models show", "models new"), whole),
    **dict.fromkeys(("datasets", "datasets show"), whole),
    **dict.fromkeys(("detectors", "detectors show"), whole),
}  # fmt: skip
"""What standard output SECURITY.md calls public, by command."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """60 DICOM images of 20 patients with canaries in paths, tags and table; audit folders; plugins; a pipeline."""
    rows = [",".join((C["column"], "who", "where"))]
    for patient in range(PATIENTS):
        for number, film in enumerate((*films(patient, 32), films(patient + PATIENTS, 32)[0])):
            name = f"{C['folder']}/{C['file']}-{patient}-{number}.dcm"
            write_slice(
                tmp_path / C["root"] / name, film, PatientName=C["tag"], PatientID=f"{C['id']}{patient}",
                Modality="CR", SeriesInstanceUID=f"1.2.{patient}.{number}", StudyDescription=C["error"],
            )  # fmt: skip
            rows.append(",".join((name, f"{C['patient']}{patient}", C["site"])))
    (tmp_path / f"{C['table']}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for side, patients in (("train", range(12)), ("heldout", range(12, 20)), ("synthetic", range(30, 36))):
        for patient in patients:
            path = tmp_path / "sides" / side / f"{C['patient']}{patient}" / f"{C['file']}.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(films(patient, 32)[0]).save(path)
    (tmp_path / f"{C['plugins']}.py").write_text(SOURCE.format(**C), encoding="utf-8")
    prompts = [f"{C['prompt']} of {C['patient']} {number} {C['marker']}" for number in range(6)]
    (tmp_path / "prompts.csv").write_text("\n".join((C["column"], *prompts)) + "\n", encoding="utf-8")
    save_tiny(tmp_path / C["pipeline"])
    return tmp_path


def test_every_command_is_called() -> None:
    assert set(leaves(typer.main.get_command(app))) == set(COMMANDS)


def leaves(command: Any, above: str = "") -> Iterator[str]:
    """Yield the names of all commands that do something."""
    inner_commands = getattr(command, "commands", {})
    if above and (not inner_commands or command.invoke_without_command):
        yield above
    for name, inner in inner_commands.items():
        yield from leaves(inner, f"{above} {name}".strip())


@pytest.mark.slow
def test_no_canary_is_in_a_public_output(place: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name, (code, arguments) in COMMANDS.items():
        if name == "runs gc":  # what follows removes files
            require_clean(place)
            require_protected(place)
        given = [next(place.glob(one)).relative_to(place) if "*" in str(one) else one for one in arguments]
        call = in_process if name in IN_PROCESS else bench
        done = call(*name.split(), *given)
        assert done.returncode == code, (name, done.stdout, done.stderr)
        if name in PUBLIC_STDOUT:
            assert leaks(PUBLIC_STDOUT[name](done.stdout).encode(), C.values()) == set(), name


def in_process(*arguments: object) -> CompletedProcess[str]:
    given = list(map(str, arguments))
    done = CliRunner().invoke(app, given)
    code = done.exception.exit_code if isinstance(done.exception, BenchError) else done.exit_code
    return CompletedProcess(given, code, done.stdout, done.stderr)


def require_clean(place: Path) -> None:
    known = pixels_of([film for patient in range(2 * PATIENTS) for film in films(patient, 32)])
    for pattern in PUBLIC_FILES:
        found = list(place.glob(pattern))
        assert found, f"no file is {pattern}"
        for path in found:
            assert leaks(path.read_bytes(), C.values()) == set(), path
            assert pixel_leaks(path.read_bytes(), known) == set(), path
    for folder in PUBLIC_PLACES:
        names = "\n".join(str(path.relative_to(place)) for path in (place / folder).rglob("*"))
        assert leaks(names.encode(), C.values()) == set()


def require_protected(place: Path) -> None:
    """Whatever else the commands left is in a folder that its owner alone can read, and that git ignores."""
    for path in place.iterdir():
        if path.name in (*INPUTS, *PUBLIC_PLACES):
            continue
        assert path.is_dir(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
        assert (path / ".gitignore").read_text() == "*\n", path
        assert (path / "PRIVATE.txt").exists(), path
