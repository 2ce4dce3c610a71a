"""Metrics: pure functions of named sets or matches. Each file has one idea; none uses a model or reads a file."""
