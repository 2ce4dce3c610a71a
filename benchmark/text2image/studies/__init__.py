"""Studies of published findings: plan, training, verdict and tables."""
