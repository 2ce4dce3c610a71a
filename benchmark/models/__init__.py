"""Adapters found here in a wheel, and in the top-level `models/` folder of a checkout."""

from pathlib import Path

__path__.append(str(Path(__file__).parents[2] / "models"))
