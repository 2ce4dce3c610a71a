"""Models in a process of their own, which gets the training items and nothing else of a cohort."""
