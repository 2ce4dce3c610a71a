"""De-identification markers: what de-identification leaves in a report in place of a name, a date or an age."""

MARKER = r"___|XXXX|\[\*\*.*?\*\*\]"
"""Regular expression of the markers of MIMIC-CXR, of Open-i and of older MIMIC notes, in this order."""
