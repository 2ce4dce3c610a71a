"""Runs: their configuration and stages."""
