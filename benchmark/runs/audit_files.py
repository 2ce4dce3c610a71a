"""The files of an audit: the list to withhold, the summary without names, the tables, and the set without suspects."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark import __version__
from benchmark.core.csv_cells import csv_text
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import absolute, atomic_write, content_key, private_folder
from benchmark.core.leftovers import remove_leftovers
from benchmark.core.progress import progress
from benchmark.core.sealed import remove_sealed, sealed_write, write_sealed_json
from benchmark.evaluation.report.build import report_images, report_input
from benchmark.evaluation.report.page import shown_suspects, write_report
from benchmark.evaluation.run_evaluation import score_id, write_tables
from benchmark.evaluation.suspects import COLUMNS
from benchmark.images.readers.companions import with_companions
from benchmark.records.cohort_facts import facts_of
from benchmark.records.record import PROTOCOL, entries

if TYPE_CHECKING:
    from benchmark.cohorts.store import Stored
    from benchmark.runs.audit import Audit, AuditConfig

WITHHOLD, SUMMARY = "withhold.csv", "summary.json"
CLEAN = "clean"
"""Folder of the audit of the images that were not withheld."""
NOT_COMPARED = "not compared"
"""Reason of a synthetic file that could not be read, or was skipped: nobody knows what it shows."""


FILES = (WITHHOLD, SUMMARY, "report.html", "summary.html", "matches.parquet", "members.parquet")


def require_own(out: Path) -> None:
    """Raise UsageError where the folder for the files is a file, or holds something else than an earlier audit."""
    if not out.exists() or (out.is_dir() and ((out / WITHHOLD).is_file() or not any(out.iterdir()))):
        return
    what = "holds other files" if out.is_dir() else "is no folder"
    raise UsageError(f"--out {out} {what}", "give a new folder, or that of an earlier audit, which is replaced")


def new_folder(start: str) -> Path:
    """Return a folder that is not there yet: audits of one day do not replace each other."""
    names = (f"{start}-{number}" if number > 1 else start for number in count(1))
    return next(path for path in map(Path, names) if not path.exists())


def _remove_earlier(out: Path) -> None:
    """Remove the files of an earlier audit: where this one stops early, they must not pass for its own."""
    for name in FILES:
        remove_sealed(out / name)
    if (out / CLEAN / WITHHOLD).is_file():
        shutil.rmtree(out / CLEAN)


def write_audit(audit: Audit, out: Path) -> list[Path]:
    """Write report.html, withhold.csv, matches.parquet and members.parquet (private), summary.html and summary.json.

    The summaries hold no names, paths or images. A new folder is readable by its owner alone and ignored by git.
    """
    private_folder(out)
    remove_leftovers(out)
    _remove_earlier(out)
    with sealed_write(out / WITHHOLD) as temporary:
        temporary.write_text(csv_text(withhold_list(audit)), "utf-8")
    splits = [part.name for part in audit.cohort.splits for _ in range(len(part))]
    hashes = write_tables(out, audit.cohort.real, splits, audit.outcomes)
    write_sealed_json(out / SUMMARY, summary(audit) | {"hashes": hashes})
    return [_write_report(audit, out, hashes["matches"]), out / WITHHOLD, out / SUMMARY]


def _write_report(audit: Audit, out: Path, digest: str) -> Path:
    """Write report.html (private) and summary.html (without names), and return the first."""
    report = report_input(
        title=_title(audit.config),
        date=date.today().isoformat(),
        protocol=PROTOCOL,
        verdict=audit.verdict,
        outcomes=audit.outcomes,
        suspects=_with_paths(audit),
        cohort=audit.cohort,
        samples=len(audit.synthetic),
        possible=audit.possible,
        not_compared=_unread(audit),
        digests=_digests(audit),
        facts={"digest of the nearest images": digest},
        notes=audit.cohort.notes,
    )
    with progress("report", shown_suspects(report)) as advance:
        return write_report(report, report_images(audit.full_size, audit.cohort), out, advance=advance)


def _title(config: AuditConfig) -> str:
    """Return what was audited: the folder and the one that it is in, since many are named `synthetic`."""
    named = "/".join(absolute(config.synthetic).parts[-2:]).lstrip("/")
    return f"Audit of {'images in memory' if config.in_memory else named}"


def _digests(audit: Audit) -> dict[str, str]:
    """Return the digest of the pixels of each set, as they were compared; none for held-out images that are not."""
    shas, cohort = audit.real.table["sha"], audit.cohort
    sides = {"training": shas.iloc[cohort.train.rows], "held-out": shas.iloc[cohort.heldout.rows]}
    sides |= {"synthetic": audit.made.table["sha"]}
    return {name: content_key(*own) for name, own in sides.items() if len(own)}


def withhold_list(audit: Audit) -> pd.DataFrame:
    """Return one row per synthetic file to withhold, with paths below the folders that were given (COLUMNS).

    A file of which several images are suspects is listed with the most certain one.
    """
    listed = _with_paths(audit)[list(COLUMNS)].drop_duplicates("file")
    unread = [{"file": name, "reason": NOT_COMPARED} for name in _unread(audit)]
    return pd.concat([listed, pd.DataFrame(unread, columns=["file", "reason"])], ignore_index=True)


def _with_paths(audit: Audit) -> pd.DataFrame:
    """Return the suspects with paths below the folders that were given in place of names."""
    suspects, config, real_rows = audit.suspects, audit.config, audit.cohort.real.rows
    columns = {
        "file": [_below(audit.made, int(row), config.synthetic) for row in suspects["synthetic"]],
        "train_file": [_below(audit.real, int(real_rows[row]), config.train) for row in suspects["train_row"]],
    }
    if config.heldout:
        rows = [int(real_rows[row]) for row in suspects["heldout_row"]]
        columns["heldout_file"] = [_below(audit.real, row, config.heldout) for row in rows]
    return suspects.assign(**columns)


def _unread(audit: Audit) -> list[str]:
    """Return the files that were not compared; bytes of a name that are not UTF-8 as `\\xff`."""
    names = [_relative(file, audit.config.synthetic) for file in audit.unread]
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


def _below(stored: Stored, row: int, folder: Path) -> str:
    """Return the file of an item below its folder; of a DICOM series its folder."""
    source = stored.table["source"].iloc[row]
    listed = (stored.files["source"] == source) & ~stored.files["beside"]
    files = [Path(file) for file in stored.files.loc[listed, "file"]]
    place = files[0] if len(files) == 1 else files[0].parent
    return _relative(place, folder)


def _relative(file: Path, folder: Path) -> str:
    # Not `resolve`: an image that is a link is named by its place in the folder.
    return absolute(file).relative_to(absolute(folder)).as_posix()


def summary(audit: Audit) -> dict[str, Any]:
    """Return the answer without any name, path or image: for an ethics board, and for machines."""
    scores = {
        score_id(name, detector): score
        for detector, outcome in audit.outcomes.items()
        for name, score in outcome.scores.items()
    }
    verdict, config = asdict(audit.verdict), audit.config
    numbers = entries(scores | audit.possible | audit.of_samples)
    return {
        "memobench": __version__,
        "protocol": PROTOCOL,
        "verdict": {name: verdict[name] for name in ("kind", "sentence", "seen", "suspects", "exit_code")},
        "must_see": config.must_see,
        "fail_above": config.fail_above,
        "compared": facts_of(audit.cohort, audit.cohort.name).model_dump(mode="json"),
        "synthetic": len(audit.synthetic),
        "not_compared": len(audit.unread),
        "confidence": {str(name): int(count) for name, count in audit.suspects["confidence"].value_counts().items()},
        "scores": {name: entry.model_dump(mode="json") for name, entry in numbers.items()},
    }


def copy_clean(audit: Audit, out: Path) -> int:
    """Copy every synthetic file that is not to be withheld, and return how many.

    Raises BadDataError where nobody can tell what the images are: a set without a few suspects would look clean.
    """
    if audit.verdict.kind == "cannot tell":
        raise BadDataError(f"nothing is copied to {out}: {audit.verdict.sentence}", "a clean set needs an answer")
    withheld = set(withhold_list(audit)["file"])
    folder = audit.config.synthetic
    files = audit.made.files
    names = [_relative(Path(file), folder) for file in dict.fromkeys(files.loc[~files["beside"], "file"])]
    kept = [name for name in names if not {name, Path(name).parent.as_posix()} & withheld]
    if not kept:
        raise BadDataError(f"nothing is copied to {out}: every synthetic image is to be withheld", "")
    with atomic_write(out) as part:
        for file in with_companions(str(folder / name) for name in kept):  # a header alone would be no image
            place = part / _relative(Path(file), folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
    return len(kept)
