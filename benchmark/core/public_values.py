"""Text that a public file may hold: the values that options of this package may take, by the name of the option.

A value that is not listed here, and that the type of the option does not list (`Literal`), is written as a digest
(`core.public_text`). Names of files, tables, columns, patterns and folders are never listed.
"""

from __future__ import annotations

import re

PUBLIC_VALUES: dict[str, tuple[str, ...]] = {
    "aspect": ("squash", "pad", "fill"),
    "augment": ("none", "flips", "published", "strong"),
    "augmentation": ("none", "flips", "published", "strong", "anatomy", "bg", "bgc", "ada"),
    "autoencoder": ("kl", "vq", "linear"),
    "autoencoder_weights": ("models/model_autoencoder.pt",),
    "axis": ("axial", "coronal", "sagittal"),
    "channels": ("t1", "t2", "flair", "t1ce", "seg", "image", "red", "green", "blue"),
    "columns": ("",),
    "config": ("configs/inference.json",),
    "control": ("equal-steps", "equal-epochs"),
    "fit": ("all", "centre", "fill", "pad", "squash"),
    "group_pattern": ("", "none", "folder", "patient-id", "study-id"),
    "items": ("slices", "tiles", "volumes", "patches"),
    "nan": ("refuse", "background"),
    "noise_schedule": ("squaredcos_cap_v2", "scaled_linear", "linear"),
    "ops": ("auto", "reference", "cuda"),
    "padding": ("background", "mid-grey"),
    "parts": ("pipeline", "radedit"),
    "path": ("microsoft/radedit",),
    "points": ("", "annotations", "candidates"),
    "precision": ("auto", "fp32", "bf16"),
    "prediction": ("epsilon", "v_prediction", "sample", "flow"),
    "preset": ("smoke", "small", "paper", "radedit"),
    "projection": ("frontal", "lateral", "all"),
    "published": ("nih", "dar2025", "mrnet"),
    "range": ("auto", "signed", "unit", "levels", "levels16"),
    "sampler": ("ddim", "ddpm", "dpm-solver"),
    "sampling_density": ("fitted", "prior"),
    "set": (
        "pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist",
        "bloodmnist", "tissuemnist", "organamnist", "organcmnist", "organsmnist", "organmnist3d", "nodulemnist3d",
        "adrenalmnist3d", "fracturemnist3d", "vesselmnist3d", "synapsemnist3d",
    ),
    "split": ("patients", "official", "images"),
    "stop_when": ("exposed",),
    "train_items": ("all",),
    "train_patients": ("all",),
    "transform": (
        "exact", "flip", "rotate5", "rotate15", "shift", "crop", "contrast", "blur", "noise", "resample", "deform",
        "recode",
    ),
    "transforms": ("flips", "rotations", "shifts", "scales"),
    "variant": ("", "fp16", "bf16", "ema", "non_ema"),
    "views": ("PA", "AP", "LATERAL", "LL", "all"),
    "weights": ("models/model.pt",),
    "window": ("lung", "mediastinum", "bone", "auto", "levels", "percentiles", "maximum", "range"),
}  # fmt: skip
"""Option -> its values."""

PUBLIC_PATTERNS: dict[str, re.Pattern[str]] = {
    "group_pattern": re.compile(r"folder:-?[0-9]{1,2}"),
    "revision": re.compile(r"[0-9a-f]{40}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "watch": re.compile(r"[0-9]{1,9}|[0-9]{1,3}(\.[0-9]{1,3})?%"),
    "window": re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,4})?, ?-?[0-9]{1,5}(\.[0-9]{1,4})?"),
}
"""Option -> what its values look like, where they are numbers, counts or digests that the option's text wraps."""

PRIVATE_OPTIONS = frozenset(
    ("checkout", "ending", "network", "recaptions", "source", "table", "tag", "text_encoder", "vae", "variants")
)
"""Text options of this package whose values are never public, besides those that are only public as listed above."""
