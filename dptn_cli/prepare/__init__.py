"""Bring images into the published data layout that `dptn train` reads."""
