"""Programs for those who develop memobench. A package, so that another package named scripts cannot hide it."""
