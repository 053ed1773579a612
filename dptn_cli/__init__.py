"""DPTN pose transfer as a tool: export, batched transfer and training."""

__version__ = "0.1.0"
