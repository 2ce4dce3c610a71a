"""Records of runs, their columns, and the boards made of them."""
