"""The parts of `scripts/gpu_check.py`, one a file, and the frame that runs them."""
