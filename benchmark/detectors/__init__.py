"""Detectors: similarities between two items. One file per detector, with a card in `cards/`."""
