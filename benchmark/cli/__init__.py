"""The command line `bench`: one file per noun."""
