"""Repositories that are fetched: from a local one here, with the same git commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.errors import BenchError
from benchmark.plugins.checkouts import checkout_folder, install
from benchmark.plugins.registry import Checkout, ModelCard


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A model that needs the first of a repository's two commits."""
    monkeypatch.setenv("MEMOBENCH_HOME", str(tmp_path / "home"))
    origin = tmp_path / "origin"
    git("init", "--quiet", str(origin))
    for text in ("first", "second"):
        (origin / "file.txt").write_text(text)
        git("-C", str(origin), "add", ".")
        git("-C", str(origin), "commit", "--quiet", "-m", text)
    commit = git("-C", str(origin), "rev-parse", "HEAD~1")
    checkout = Checkout(repository=str(origin), commit=commit, terms="For research only.")
    return ModelCard(name="needy", entry="adapter:Needy", checkout=checkout)


def test_the_commit_of_the_card_is_checked_out_once(card: ModelCard) -> None:
    folder = install(card, accepted=True)
    assert folder == checkout_folder("needy")
    assert (folder / "file.txt").read_text() == "first"
    (folder / "file.txt").write_text("mine")
    assert (install(card, accepted=True) / "file.txt").read_text() == "mine"


def test_terms_come_first(card: ModelCard) -> None:
    with pytest.raises(BenchError) as error:
        install(card, accepted=False)
    assert card.checkout is not None
    assert str(error.value) == (
        f"{card.checkout.repository}: For research only.\n  hint: add --accept-licence if you may use it so"
    )
    assert not checkout_folder("needy").exists()


def test_a_failed_clone_leaves_nothing(card: ModelCard, tmp_path: Path) -> None:
    assert card.checkout is not None
    lost = card.model_copy(update={"checkout": card.checkout.model_copy(update={"repository": str(tmp_path / "none")})})
    with pytest.raises(BenchError) as error:
        install(lost, accepted=True)
    assert error.value.message == f"git clone failed: fatal: repository '{tmp_path / 'none'}' does not exist"
    assert not list((tmp_path / "home").rglob("*.txt"))


def test_a_model_without_repository_needs_none() -> None:
    with pytest.raises(BenchError) as error:
        install(ModelCard(name="ldm", entry="adapter:LDM"), accepted=True)
    assert str(error.value) == ("ldm needs no checkout\n  hint: run it: bench run --model ldm --data phantom-mr")


def test_the_command_prints_the_terms_first(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark", "models", "install", "stylegan2-ada"]
    environment = {**os.environ, "MEMOBENCH_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: https://github.com/NVlabs/stylegan2-ada-pytorch.git: The NVIDIA Source Code License allows use for "
        "research or evaluation only, not commercially, and redistribution only under the same licence (LICENSE.txt of "
        "the repository). It does not mention trained weights or samples.\n"
        "  hint: add --accept-licence if you may use it so\n"
    )
