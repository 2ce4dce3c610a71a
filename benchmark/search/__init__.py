"""Exact nearest neighbours over all items of a bank, in bounded memory.

Modules of compiled loops (`kernels_*`, `index_bounds`, `compiled`) import Numba, which takes about half a second, and
those of device code import torch: both are imported inside the functions that call them, so that importing this
package stays light. No import here, at the top of a module or inside a function, closes a circle.
"""

from benchmark.search.blocks import block_parts, blocks, join, settle, settle_bank, similarities, subject_maxima
from benchmark.search.engine import MEMORY_BYTES, Certificate, SearchResult, nearest, search
from benchmark.search.rows import Rows, piece
from benchmark.search.shards import search_shards
from benchmark.search.similarity import COSINE, LEVELS, PEARSON

__all__ = [
    "COSINE", "LEVELS", "MEMORY_BYTES", "PEARSON", "Certificate", "Rows", "SearchResult", "block_parts", "blocks",
    "join", "nearest", "piece", "search", "search_shards", "settle", "settle_bank", "similarities", "subject_maxima",
]  # fmt: skip
