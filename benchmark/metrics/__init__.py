"""Metrics: pure functions of named sets or matches. One idea a file; they know no model and no file."""
