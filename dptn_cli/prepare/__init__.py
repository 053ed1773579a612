"""From images as they come to the published data layout that `dptn train` reads."""
