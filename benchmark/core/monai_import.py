"""MONAI without the optional packages that its networks and MS-SSIM do not need."""

from __future__ import annotations

import os
import sys

VARIABLE = "BENCH_LIGHT_IMPORTS"
"""Environment variable of processes that run code of this package alone. A user's process, and that of a plugin, have
MONAI as it is: their code may need what is left out here."""
LEFT_OUT = (
    "matplotlib", "nibabel", "pandas", "PIL", "scipy", "skimage", "sklearn", "tensorboard", "torch.utils.tensorboard",
    "transformers",
)  # fmt: skip
"""Packages that MONAI imports where they are installed: for transforms, readers, and networks of text."""


def import_monai() -> None:
    """Import MONAI, in our own processes without LEFT_OUT: 0.5 instead of 3.7 s of processor time.

    MONAI imports all of its modules at once. What is loaded already stays, and later imports of these packages are not
    affected; of MONAI, what needs one says that it is not installed.
    """
    own = bool(os.environ.get(VARIABLE)) and "monai" not in sys.modules
    hidden = [name for name in LEFT_OUT if own and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # an import of None raises ImportError
    try:
        import monai.networks.nets  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
