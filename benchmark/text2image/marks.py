"""What de-identification leaves in a report."""

MARKER = r"___|XXXX|\[\*\*.*?\*\*\]"
"""De-identification marks of MIMIC-CXR, of Open-i and of older MIMIC notes."""
