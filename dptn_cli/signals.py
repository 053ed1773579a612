"""Stopping in order at SIGINT, SIGTERM and SIGHUP."""

import signal
from types import FrameType

ALWAYS = (signal.SIGINT, signal.SIGTERM)
# SIGHUP: the terminal or the connection has closed. Windows has none.
STOPPING = (*ALWAYS, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ALWAYS


class StopRequest:
    """While entered, the first signal to stop is only noted; a second SIGINT is raised.

    SIGHUP stays ignored if it is, as after `nohup`.

    Work that is then running in threads, such as a batch, is still waited for.

    Attributes:
        requested: whether a signal has arrived.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in STOPPING:
            if number in ALWAYS or signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


def ignore_interrupts(_worker: int = 0) -> None:
    """Ignore the signals to stop in a worker process: the parent decides when it ends.

    Ctrl-C reaches the whole process group, not only the parent.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
