"""A site that is built once."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_boards import build_site
from made_records import several


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site with every kind of row."""
    folder = tmp_path_factory.mktemp("boards") / "site"
    build_site(several(), folder, left_out=[("records/broken.json", "it is no JSON")])
    return folder
