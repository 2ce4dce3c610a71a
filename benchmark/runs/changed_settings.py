"""Which hyper-parameters of a run differ from those of its preset."""

from __future__ import annotations

from typing import Any

from benchmark.cohorts.open import item_dimensions
from benchmark.plugins.registry import Preset
from benchmark.runs.config import Resolved


def changed_settings(resolved: Resolved) -> dict[str, Any]:
    """Return name -> value of each hyper-parameter that is not as the preset alone would set it."""
    preset = resolved.model.presets.get(resolved.config.model.preset, Preset())
    own = preset.set | (preset.volumes if item_dimensions(resolved.data, resolved.dataset) == 3 else {})
    # A preset need not give options that have no default, such as the path of a folder: these are always changed.
    missing = [option.name for option in resolved.model_class.options if option.required and option.name not in own]
    needed = {name: resolved.settings[name] for name in missing}
    alone = resolved.model_class.build(own | needed).settings
    return {name: value for name, value in resolved.settings.items() if name in needed or alone[name] != value}
