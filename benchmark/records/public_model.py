"""What the parts of public files have in common: strict types, finite numbers, no unknown fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
LISTED = Field(strict=False)
"""JSON has lists, and no tuples: a list is taken for one, its entries are as strict as elsewhere."""


class PublicModel(BaseModel):
    """A part of a public file: unknown fields are refused, and so are `true` and "1" in place of 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True)
