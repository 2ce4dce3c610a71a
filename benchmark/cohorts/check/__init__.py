"""Checks of a cohort before anybody trains on it."""
