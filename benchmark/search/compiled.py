"""How the loops of the search are compiled by Numba: three sets of rules for floating point, and one cache.

Loops run without Python's lock (`nogil`), and start no threads themselves (`parallel.run_in_threads` does).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

FILES = ("compiled", "index_bounds", "kernels_digits", "kernels_float32", "kernels_lists", "kernels_uint8", "rounding")
"""Modules whose code ends up in compiled loops."""


def _digest() -> str:
    """Digest those modules."""
    texts = [(Path(__file__).parent / f"{name}.py").read_bytes() for name in FILES]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def _compiler(**rules: Any) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function on its first call and caches the machine code on the disk.

    Numba's cache notices a change of the file that defines a function, but not of functions and constants that it
    takes from other files: a caller would go on using the old ones. So the code of all FILES names the folder.
    """
    folder = Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__") / f"numba-{_digest()}"

    def compile_one(function: Any) -> Any:
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:  # the folder of a cache is chosen when a function is decorated; where it is read-only, Numba takes another
            return numba.njit(cache=True, nogil=True, boundscheck=False, **rules)(function)
        finally:
            numba.config.CACHE_DIR = before

    return compile_one


compiled: Any = _compiler()
"""IEEE arithmetic in the order that is written: wherever rounding, infinities or exact copies decide."""
reordering: Any = _compiler(fastmath={"nsz", "reassoc", "contract"})
"""Sums in any order and fused multiplications, which lets them be vectorised. NaN and infinities keep their meaning,
so that rows that are not finite are still recognised."""
finite: Any = _compiler(fastmath=True)
"""Also assumes that no NaN or infinity occurs: only for standardised rows and for values of finite products. LLVM may
do anything with an infinity here, so that no list that starts with -inf may be passed."""
