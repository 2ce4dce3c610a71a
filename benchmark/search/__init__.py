"""Exact nearest neighbours over all items of a bank, in bounded memory."""

from benchmark.search.blocks import block_parts, blocks, join, settle, settle_bank, similarities, subject_maxima
from benchmark.search.engine import MEMORY_BYTES, Certificate, Found, nearest, search
from benchmark.search.rows import Rows, piece
from benchmark.search.shards import search_shards
from benchmark.search.similarity import COSINE, LEVELS, PEARSON

__all__ = [
    "COSINE", "LEVELS", "MEMORY_BYTES", "PEARSON", "Certificate", "Found", "Rows", "block_parts", "blocks", "join",
    "nearest", "piece", "search", "search_shards", "settle", "settle_bank", "similarities", "subject_maxima",
]  # fmt: skip
