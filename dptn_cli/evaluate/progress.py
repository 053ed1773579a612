"""The events of an evaluation, for a caller that wants to show them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # The command line imports this module and must start without NumPy.
    from dptn_cli.evaluate.plan import Plan


class Progress:
    """Receives the events of an evaluation. Override the methods whose events you want to show."""

    def downloading(self, url: str) -> None:
        """Called before a file of weights is downloaded."""

    def planned(self, plans: "Sequence[Plan]") -> None:
        """Called once, before the long work, with what will and what will not be computed."""

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Enter a stage of the long work.

        Args:
            label: name of the stage.
            total: number of images or pairs in it.

        Yields:
            A function that is called with the number of images or pairs just done.
        """
        yield lambda _: None


SILENT = Progress()
