"""Tell which project wrote a network pickle, from its opcodes and without running any of it.

Pickles of StyleGAN's successors have the same outer form as those of stylegan2-ada-pytorch, with another generator in
it, whose weights would at best be refused by their names and at worst be loaded into another function.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator

MOST_NAMES = 2_000_000
"""Strings that are looked at; an official file has a few thousand."""
CONVERT = "convert it first: python legacy.py --source=OLD.pkl --dest=NEW.pkl, in stylegan2-ada-pytorch"
GIVE = "give a network pickle of stylegan2-ada-pytorch"
FOLDER = "sample with its own code, and give the images as --model folder"
SIGNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a TensorFlow pickle of StyleGAN, StyleGAN2 or Progressive GAN", ("dnnlib.tflib", "tfutil.Network"), CONVERT),
    ("a network of EG3D", ("TriPlaneGenerator", "rendering_kwargs"), FOLDER),
    ("a network of Projected GAN", ("pg_modules", "networks_fastgan", "FastganSynthesis"), FOLDER),
    ("a network of StyleGAN-T", ("StyleSplit",), FOLDER),
    (
        "a network of StyleGAN-XL",
        ("networks_stylegan3_resetting", "SuperresGenerator", "head_layer_names", "path_stem"),
        FOLDER,
    ),
    (
        "a network of StyleGAN3",
        ("networks_stylegan3", "magnitude_ema_beta", "use_radial_filters", "conv_kernel", "SynthesisInput"),
        FOLDER,
    ),
)
"""What wrote a file, strings of which one shows it, and what to do. In order: StyleGAN-XL contains StyleGAN3."""


def kind_of(content: bytes) -> tuple[str, str]:
    """Return which other project wrote a file, such as "a network of StyleGAN3", and a hint; two empty texts for none.

    `content` is the whole file.
    """
    if content.startswith(b"PK\x03\x04"):  # not zipfile.is_zipfile: official pickles end with zip files of tensors
        return "a checkpoint of torch, as other implementations of StyleGAN2 write it", GIVE
    names = set(_strings(content))
    for kind, signs, hint in SIGNS:
        if any(sign in name for name in names for sign in signs):
            dilled = ", stored by dill" if _has_dill(names) else ""
            return kind + dilled, hint
    if _has_dill(names):
        return "a pickle of dill, which stores code", "load it where you trust it, and save it by pickle"
    return "", ""


def _has_dill(names: set[str]) -> bool:
    return any(name.partition(".")[0] in ("dill", "_dill") for name in names)


def _strings(content: bytes) -> Iterator[str]:
    """Yield the strings and the names of classes of a pickle, as far as it can be read."""
    try:
        for number, (_, argument, _) in enumerate(pickletools.genops(content)):
            if number > MOST_NAMES:
                return
            if isinstance(argument, str):
                yield argument.replace(" ", ".", 1) if argument.count(" ") == 1 else argument
    except (ValueError, IndexError, EOFError, KeyError, OverflowError, UnicodeDecodeError):
        return  # damaged: reading it tells so
