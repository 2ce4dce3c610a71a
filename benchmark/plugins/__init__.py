"""From cards and entry points to classes; checkouts of repositories that a model needs."""
