"""What public files say of text: listed values, and digests that nobody can guess without this account's secret."""

from __future__ import annotations

import hashlib
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from benchmark.core import public_text
from benchmark.core.public_text import HIDDEN, declared_values, free_text_fields, hidden, public_options, public_value

DIGEST = "text-[0-9a-f]{8}"


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("steps", 500, 500), ("ema", 0.9, 0.9), ("on", True, True), ("label", None, None), ("widths", (8, 16), [8, 16]),
        ("augment", "flips", "flips"), ("channels", ("t1", "flair"), ["t1", "flair"]), ("channels", "t1,seg", "t1,seg"),
        ("window", "-1000,400", "-1000,400"), ("group_pattern", "folder:-2", "folder:-2"), ("table", "", ""),
        ("revision", "a" * 40, "a" * 40), ("watch", "5%", "5%"), ("path", "(path)", "(path)"),
        ("note", "text-1a2b3c4d", "text-1a2b3c4d"),
    ],
)  # fmt: skip
def test_numbers_and_listed_text_are_public(option: str, value: Any, shown: Any) -> None:
    assert public_value(option, value) == shown


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("group_pattern", "anna[0-9]+|anna"), ("table", "anna.csv"), ("path", "anna"), ("preset", "anna"),
        ("columns", "patient=anna"), ("augment", "anna"), ("channels", "t1,anna"), ("window", "-1000,400 anna"),
        ("window", "4711"), ("unknown", "flips"), ("revision", "anna"), ("path", "4711"), ("note", {"anna": 1}),
        ("note", "text-1a2b3c4d anna"), ("path", Path("anna")),
    ],
)  # fmt: skip
def test_any_other_text_is_a_digest(option: str, value: Any) -> None:
    shown = public_value(option, value)
    assert re.fullmatch(DIGEST, shown)
    assert shown == public_value(option, value)


def test_a_list_is_public_value_by_value() -> None:
    assert public_value("views", ["PA", "anna"]) == ["PA", hidden("anna")]


@dataclass
class Own:
    mode: Literal["calm", "wild"] = "calm"
    several: tuple[Literal["x", "y"], ...] = ()
    note: str = "a default of the author's"
    path: str = ""
    size: int = 3


def test_the_type_of_an_option_may_list_values_and_a_default_does_not() -> None:
    given = {"mode": "wild", "several": ("x",), "note": "a default of the author's", "size": 3}
    shown = public_options(given, declared_values(Own))
    assert shown == {"mode": "wild", "several": ["x"], "note": hidden(given["note"]), "size": 3}
    assert public_options({"mode": "wild"}) == {"mode": hidden("wild")}
    assert free_text_fields(Own) == {"note", "path"}


def test_a_digest_needs_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another secret the digest is another one, and no plain hash, on which a list of names could be tried."""
    digests = set()
    for name in ("one", "two"):
        monkeypatch.setenv("MEMOBENCH_SECRET", str(tmp_path / name / "key"))
        digests.add(hidden("Anna Smith"))
        key = tmp_path / name / "key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(key.read_bytes()) == 32
    assert len(digests) == 2
    plain = {hashlib.new(kind, b"Anna Smith").hexdigest()[:8] for kind in ("sha256", "sha1", "md5")}
    assert not {digest.removeprefix("text-") for digest in digests} & plain


def test_equal_text_is_equal_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOBENCH_SECRET", str(tmp_path / "key"))
    code = "from benchmark.core.public_text import hidden; print(hidden('Anna'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hidden("Anna")


def test_without_a_place_for_the_secret_texts_still_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEMOBENCH_SECRET", str(tmp_path / "file" / "key"))
    assert hidden("Anna") == hidden("Anna") != hidden("Berta")
    assert "cannot be kept as the secret of public digests" in capfd.readouterr().err


def test_a_secret_of_two_processes_is_the_first_ones(tmp_path: Path) -> None:
    public_text._write_secret(tmp_path / "key")
    first = (tmp_path / "key").read_bytes()
    public_text._write_secret(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_digests_are_not_digested_again() -> None:
    assert hidden(hidden("Anna")) == hidden("Anna")
    assert HIDDEN.fullmatch(hidden("mine", "own"))
