"""From files to patient-disjoint splits: reading, preparing and splitting a cohort."""
