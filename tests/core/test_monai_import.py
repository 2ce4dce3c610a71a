"""MONAI is imported without its optional packages in our own processes, and as it is in those of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.monai_import import VARIABLE

FILES = {
    "monai/__init__.py": """
def found(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
FOUND = [name for name in ("transformers", "pandas", "scipy") if found(name)]
""",
    "monai/networks/__init__.py": "",
    "monai/networks/nets.py": "",
    "transformers.py": "",
    "pandas.py": "",
    "scipy.py": "",
}
"""Packages of these names, so that nothing heavy is imported."""
CODE = """
import scipy
from benchmark.core.monai_import import import_monai
import_monai()
import_monai()
import monai, transformers, pandas
print(*monai.FOUND)
"""


@pytest.mark.parametrize(("own", "found"), [("1", "scipy\n"), ("", "transformers pandas scipy\n")])
def test_what_is_not_loaded_is_hidden_from_monai_alone(tmp_path: Path, own: str, found: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, VARIABLE: own}
    done = subprocess.run([sys.executable, "-P", "-c", CODE], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (found, "")
