"""Frames that model families build on, sampling from them, and the conformance suite."""
