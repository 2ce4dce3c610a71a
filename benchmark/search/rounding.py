"""How many terms add up without rounding, and bounds of what rounding loses where it does.

u = 2^-24 is the unit roundoff of float32: one operation returns (1 + d) times the exact result, |d| <= u. A sum of
products in which each term passes through at most n roundings is within n u / (1 - n u) of exact, relative to the sum
of the terms' sizes, in any order of summation (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 3.1);
for two rows the sum of sizes is at most the product of their lengths (Cauchy-Schwarz).
"""

from __future__ import annotations

PIECE_TERMS = 512
"""Float32 products are summed over pieces of this many terms: the error grows with 512 + D / 512, not with D."""

# Exact integer sums. 8-bit numbers are -128 to 127, so that one product is at most 2^14.
EXACT_TERMS_FLOAT32 = 1024
"""1,024 * 2^14 = 2^24: float32 holds every whole number up to 2^24, so that partial sums are exact in any order."""
EXACT_TERMS_INT32 = 131_071
"""131,071 * 2^14 = 2^31 - 2^14, the last multiple of 2^14 that int32 holds."""
INT32_PIECE = EXACT_TERMS_INT32 + 1 - 64
"""Terms of an int32 sum where longer rows are cut: a multiple of 64, so that pieces begin at aligned addresses."""
EXACT_TERMS_CROSS = 66_572
"""Two sums of products of digits, each of -127 to 127, in one int32: 66,572 * 2 * 127^2 < 2^31."""
MAX_PIXELS_FLOAT64 = 1 << 19
"""n Sxy and Sx Sy are at most n^2 2^14 = 2^52 for n = 2^19: they, and their difference, are exact in float64 (2^53)."""
MAX_PIXELS = 1 << 24
"""n Sxy and Sx Sy are at most n^2 2^14 = 2^62 for n = 2^24, and so is their difference, which Cauchy-Schwarz bounds by
n^2 times the variance of grey levels: all are exact in int64 (2^63)."""

# What is lost where numbers are rounded.
CORRELATION_ERROR = 4e-15
"""Between n * (1 / sqrt v) * (1 / sqrt w) and n / sqrt(v w) in float64: 7 and 4 roundings of 2^-53, 1.2e-15, three
times over. n, v and w are the same numbers in both, so that their own rounding does not count."""
UNIT_ERROR = 2.0**-20
"""How far the squared length of a row of length 1 may be from 1 (its length then by half of that), and more than the
rounding of its numbers to float32 changes an inner product (2 u = 2^-23)."""
UNIT_ROUNDOFF = 2.0**-24
"""u: a constant computed in float32 is off by at most u times its value in each pixel."""
SUM_TERMS = 4096
"""Squares of float32 numbers are summed in float32 over at most this many terms at once, and in float64 beyond."""
ENLARGED = 1 + SUM_TERMS * 2.0**-23
"""Makes a length an upper bound. A sum of 4,096 squares loses at most 4,100 u, its root half of that, 2,050 * 2^-24;
this is four times as much, and so holds for sums of up to 16,000 terms."""
ROUNDED = 1e-6
"""Added to the length of what digits or boxes leave of a row of length 1. Each time that the row is rounded to float32
(standardised, less its share of the direction, less each digit's part, each digit times its step), an error vector of
length at most u = 6e-8 arises; there are at most six, 3.6e-7."""


def float_error(dimension: int) -> float:
    """Return how far a float32 product of unit rows, summed in pieces of `PIECE_TERMS`, can be from the exact one.

    A term is rounded once when multiplied, in up to 511 additions of its piece and then once per further piece:
    n = min(512, D) + D / 512 roundings. 4 u more cover n^2 u^2, the second-order part (0.001 u for D = 100, which is as
    long as rows of `FloatEngine` get; 0.02 u for D = 2,000; 4 u for D = 3,900,000), and lengths, 1 up to rounding.
    """
    return float((min(PIECE_TERMS, dimension) + dimension / PIECE_TERMS + 4) * UNIT_ROUNDOFF)
