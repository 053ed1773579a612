"""What became of a preparation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Prepared:
    """Counts, and what is missing.

    Attributes:
        counts: by what is counted, in the order to show them.
        problems: one line for each thing that is missing or could not be used.
        ready: all that `dptn train` asks for is there.
    """

    counts: Mapping[str, int]
    problems: Sequence[str]
    ready: bool
