"""Training: the published data layout, the losses and the training loop."""
