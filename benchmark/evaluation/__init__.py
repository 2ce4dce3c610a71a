"""The protocol: a synthetic set against a cohort; the audit of detectors; figures."""
