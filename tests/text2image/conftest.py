from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_pipeline import save_tiny

from benchmark.text2image.loading import open_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("pipelines") / "tiny")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    return open_model(str(folder), "cpu").pipeline
