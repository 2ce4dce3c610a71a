"""The one training loop: configuration, batches, losses that alternate, checkpoints, state and log."""
