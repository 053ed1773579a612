"""Stopping in order at SIGINT and SIGTERM."""

import signal
from types import FrameType


class StopRequest:
    """While entered, the first SIGINT or SIGTERM is noted; a second SIGINT is raised.

    What runs in threads then, a batch for instance, is still waited for.
    """

    def __init__(self) -> None:
        self.asked = False
        self._former: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def ignore_interrupt(_worker: int = 0) -> None:
    """In a worker process: leave what reaches the whole group, Ctrl-C or a stop, to the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
