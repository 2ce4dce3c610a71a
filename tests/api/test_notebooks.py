"""The notebooks run, in an empty folder that stays empty, without a network, and are kept without output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXPECTED = {
    "audit_arrays": ["HOLD: ", "exit code of bench audit: 10", "layout='NDHW' for volumes", "not on one scale"],
    "monai_diffusion": ["samples unlike the training images", "<strong>"],
    "text_to_image": ["CANNOT TELL", "d_mem"],
}
"""What the outputs of each notebook say."""


def run(path: Path, folder: Path) -> str:
    """Run the cells in a folder, and return all that they print and show."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return "\n".join(text for cell in notebook.cells for output in cell.get("outputs", []) for text in texts(output))


def texts(output: Any) -> list[str]:
    """The texts of one output of a cell."""
    return [output.get("text", ""), *(str(data) for data in output.get("data", {}).values())]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_writes_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing answers there
    shown = run(path, tmp_path)
    assert [text for text in EXPECTED[path.stem] if text not in shown] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count] == []
    assert notebook.cells[0].source.startswith("# ")


def test_a_cell_that_fails_is_seen(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(tmp_path / "broken.ipynb", tmp_path)


def test_there_is_a_notebook_for_each_expectation() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(EXPECTED)
