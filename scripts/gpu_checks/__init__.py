"""The parts of `scripts/gpu_check.py`, one per file, and what runs them."""
