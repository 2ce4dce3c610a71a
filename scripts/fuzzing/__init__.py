"""Damaged files of every format that is read, and what becomes of them."""
