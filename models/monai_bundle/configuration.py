"""A bundle's configuration, read as data: names of MONAI's networks and their arguments, nothing that could run.

MONAI's own parser evaluates every value that begins with `$` and calls whatever `_target_` names. Here a reference
`@name` is looked up, three networks and three schedulers are known by name, and a needed value of any other kind is
refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.core.errors import AdapterError, MissingDataError

NETWORKS = ("DiffusionModelUNet", "AutoencoderKL", "VQVAE")
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
SOURCES = ("monai.", "generative.")
FORMER_NAMES = {"num_channels": "channels"}
"""Arguments of the package `generative`, which has become part of MONAI."""
DECODERS = re.compile(
    "autoencoder|auto_encoder|vae|vqgan|first_?stage|stage_?(1|one)|decoder|compress|(?<![a-z])ae(kl)?(?![a-z])"
    "|latent(?!_shape|_channels)",
    re.IGNORECASE,
)
"""Names of what maps latents to images."""
SCALE = "scale_factor"
"""Under this name MONAI's trainings keep the factor of the latents."""
FORMER_SCHEDULES = {"linear": "linear_beta", "scaled_linear": "scaled_linear_beta"}


class Configuration:
    """The values of a bundle's configuration file."""

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, _read(path)

    def find(self, *names: str) -> dict[str, Any] | None:
        """Return the arguments of the section that builds one of these classes, or None; several raise AdapterError."""
        sections = [value for value in self.values.values() if isinstance(value, dict) and _class_of(value) in names]
        if len(sections) > 1:
            raise AdapterError(f"{self.path} builds several of {', '.join(names)}", "leave one section in it")
        return self._arguments(sections[0]) if sections else None

    def name_of(self, *names: str) -> str:
        """Return which of these classes is built."""
        return next(_class_of(value) for value in self.values.values() if _class_of(value) in names)

    def value(self, name: str) -> Any:
        """Return a plain value with references resolved; None where it is missing."""
        return self._plain(self.values[name]) if name in self.values else None

    def unknown_autoencoder(self) -> str:
        """Return what shows that images are decoded by something that cannot be built here; empty if nothing does.

        Anywhere in the file: a class named as an autoencoder, or a value under such a name. Sampled without its
        decoder, a latent model would give latents that are taken for images.
        """
        for name, value in _entries(self.values):
            target = str(value.get("_target_", "")) if isinstance(value, dict) else ""
            builds_none = _class_of(value) in ("DiffusionModelUNet", *SCHEDULERS)
            if target and not builds_none and DECODERS.search(f"{name} {target}"):
                return f"{name} builds {target}"
        for name, value in _entries(self.values):
            if DECODERS.search(f"{name} {value}" if isinstance(value, str) else name):
                return f"{name} is {value!r}" if isinstance(value, str) else f"there is {name}"
        return ""

    def latent_scale(self) -> float | None:
        """Return the factor of the latents, or None where the file gives none.

        Raises AdapterError for an expression: an image decoded from latents on another scale is not the model's.
        """
        for name, value in _entries(self.values):
            if name.rpartition("::")[2] == SCALE:
                try:
                    return float(self._plain(value))
                except (AdapterError, TypeError, ValueError) as error:
                    raise AdapterError(
                        f"{self.path} gives {name} as {value!r}, which is no number, and no expression is run",
                        "give the number that the model was trained with: --set scale=NUMBER",
                    ) from error
        return None

    def _arguments(self, section: dict[str, Any]) -> dict[str, Any]:
        given = {name: self._plain(value) for name, value in section.items() if not name.startswith("_")}
        return {FORMER_NAMES.get(name, name): value for name, value in given.items()}

    def _plain(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            raise AdapterError(
                f"{self.path} holds the expression {value!r} where a number is needed, and none is run",
                "write the number into a copy of the file",
            )
        if isinstance(value, str) and value.startswith("@"):
            if depth > 20 or value[1:] not in self.values:
                raise AdapterError(f"{self.path} refers to {value!r}, which it does not define", "fix the file")
            return self._plain(self.values[value[1:]], depth + 1)
        if isinstance(value, list):
            return [self._plain(part, depth) for part in value]
        return value


def _entries(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and value of every entry of nested sections, without notes (`_desc_`) and arguments (`_target_`)."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in pairs:
        if not str(key).startswith("_") and key != "imports":
            full = f"{name}::{key}" if name else str(key)  # as MONAI writes nested ids
            yield full, value
            yield from _entries(value, full)


def _class_of(section: Any) -> str:
    """Return the last part of a section's `_target_` when it is a class of MONAI, else an empty text."""
    target = section.get("_target_", "") if isinstance(section, dict) else ""
    name = str(target).rpartition(".")[2]
    ours = str(target) == name or str(target).startswith(SOURCES)
    return name if ours and name in NETWORKS + SCHEDULERS else ""


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}", "give --set path=BUNDLE and, if need be, --set config=FILE")
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path} is not readable: {error}", "give the bundle's inference.json or .yaml") from error
    if not isinstance(values, dict):
        raise AdapterError(f"{path} holds no sections", "give the bundle's inference.json or .yaml")
    return values


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
