"""The Python API: what `import memobench` offers. Functions and results are those of the command line."""
