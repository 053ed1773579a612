"""A metric that has no value for a pair of images."""


class Undefined(ValueError):
    """Why there is no value; the pair is left out of that metric's mean, and counted."""
