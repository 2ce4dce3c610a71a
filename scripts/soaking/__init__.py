"""Parts of `scripts/soak.py`: what is run, and what is done to it."""
