"""DPTN in PyTorch: the networks, their configuration and their checkpoints."""
