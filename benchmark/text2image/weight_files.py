"""Which weights a pipeline's folder holds: safetensors, in shards or whole, and their variants such as fp16.

`save_pretrained(variant="fp16")` writes `model.fp16.safetensors` in place of `model.safetensors`. A plain file is
preferred; else one variant is taken for all parts, the most precise. Everything is computed in float32 whatever is
stored, so that a variant costs the precision of its file only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.core.model_files import read_header, require_whole

PLAIN = ""
STEMS = ("diffusion_pytorch_model", "model")
BITS = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8, "F8_E4M3": 4, "F8_E5M2": 3}
"""Bits of the significand, the hidden one included: fp16 is more precise than bf16, though its range is smaller."""
_STEM = f"(?P<stem>{'|'.join(STEMS)})"
_SHARD = r"(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
_NAMES = (
    re.compile(rf"{_STEM}(?:\.(?P<variant>[^.]+?))?{_SHARD}\.safetensors"),
    re.compile(rf"{_STEM}{_SHARD}(?:\.(?P<variant>[^.]+?))?\.safetensors"),  # as diffusers wrote shards before 0.28
)


@dataclass(frozen=True)
class Weights:
    """One variant of the weights of a part."""

    files: tuple[Path, ...]
    index: Path | None = None
    """JSON that says which shard holds which tensor."""

    def check(self) -> None:
        """Raise MissingDataError or BadDataError where a file is not there, not weights, or cut off."""
        for path in self.files:
            read_header(path)
        if self.index is None:
            return
        require_whole(self.index)
        missing = sorted({*_shards(self.index)} - {path.name for path in self.files})
        if missing:
            raise MissingDataError(
                f"{self.index.parent} holds {len(self.files)} shards and lacks {missing[0]}",
                "download or copy the folder again",
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor by name."""
        return {name: shape for path in self.files for name, shape in read_header(path).shapes.items()}

    @property
    def precision(self) -> int:
        """Bits of the significand of the format that most of the bytes have; 0 for integers."""
        stored: dict[str, int] = {}
        for path in self.files:
            for name, count in read_header(path).bytes_of.items():
                stored[name] = stored.get(name, 0) + count
        return BITS.get(max(stored, key=lambda name: stored[name]), 0) if stored else 0


def variants_of(part: Path) -> dict[str, Weights]:
    """Return the variants of a part's folder by name, "" for the plain one. Raises BadDataError for a damaged index."""
    by_variant: dict[str, list[Path]] = {}
    sharded = set()
    for path in sorted(part.iterdir()):
        matches = [match for pattern in _NAMES if (match := pattern.fullmatch(path.name))]
        if matches:
            variant = matches[0]["variant"] or PLAIN
            by_variant.setdefault(variant, []).append(path)
            sharded |= {variant} if matches[0]["number"] else set()
    return {
        variant: Weights(tuple(files), _index(part, variant) if variant in sharded else None)
        for variant, files in by_variant.items()
    }


def _index(part: Path, variant: str) -> Path:
    """Return the index of a variant in shards. Raises MissingDataError."""
    ending = f".{variant}.json" if variant else ".json"
    for stem in STEMS:
        if (path := part / f"{stem}.safetensors.index{ending}").exists():
            return path
    raise MissingDataError(
        f"{part} holds weights in shards and no index of them", f"copy the file that ends in .safetensors.index{ending}"
    )


def _shards(index: Path) -> list[str]:
    try:
        return list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadDataError(
            f"{index} is not an index of shards, or it is damaged", "download or copy it again"
        ) from error


def choose_variant(place: Path, parts: Mapping[str, Mapping[str, Weights]], wanted: str) -> str:
    """Return the variant to load, "" for the plain weights.

    Args:
        place: the folder, for messages.
        parts: variants of each part, none of them empty.
        wanted: the user's choice; if empty, plain weights, else the most precise variant.

    A part without the variant gives its plain weights. Raises UsageError where a choice does not exist or is needed.
    """
    names = sorted({variant for variants in parts.values() for variant in variants} - {PLAIN})
    usable = [name for name in names if all(name in variants or PLAIN in variants for variants in parts.values())]
    if wanted:
        if wanted not in usable:
            raise UsageError(
                f"{place} has no weights of the variant {wanted} for all parts", f"it has: {_listed(parts)}"
            )
        return wanted
    if all(PLAIN in variants for variants in parts.values()):
        return PLAIN
    if not usable:
        raise UsageError(f"{place} has no variant of weights that all parts have: {_listed(parts)}", "save it again")
    precision = {
        name: min(variants[name].precision for variants in parts.values() if name in variants) for name in usable
    }
    best = [name for name in usable if precision[name] == max(precision.values())]
    if len(best) > 1:
        raise UsageError(
            f"{place} has {len(best)} variants of the weights that are equally precise: {', '.join(best)}",
            f"choose one: --set variant={best[0]}",
        )
    return best[0]


def _listed(parts: Mapping[str, Mapping[str, Weights]]) -> str:
    return "; ".join(
        f"{name} {', '.join(variant or 'plain' for variant in sorted(variants))}" for name, variants in parts.items()
    )
