"""The events of an evaluation, for a caller that wants to show them."""

from collections.abc import Sequence

from dptn_cli.evaluate.plan import Plan
from dptn_cli.types import NoProgress


class EvalProgress(NoProgress):
    """Receives the events of an evaluation. Override the methods whose events you want to show.

    The units of `stage` are images or pairs.
    """

    def downloading(self, url: str) -> None:
        """Called before a file of weights is downloaded."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """Called once, before the long work, with what will and what will not be computed."""


SILENT = EvalProgress()
