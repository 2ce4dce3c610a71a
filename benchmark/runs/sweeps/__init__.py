"""Sweeps: many runs that differ along named axes, computed once each and put into one table."""
