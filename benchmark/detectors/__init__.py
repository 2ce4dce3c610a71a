"""Detectors: similarities between two items, as inner products of unit vectors. One file each."""
