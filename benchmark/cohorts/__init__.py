"""From files to patient-disjoint splits: reading, preparing, splitting and checking a cohort."""
