"""`python -m benchmark` is `bench`: the form that torchrun can start."""

from benchmark.cli.start import main

if __name__ == "__main__":
    main()
