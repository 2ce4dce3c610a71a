"""The base that every other package builds on: types, errors, files, devices, seeds, stages."""
